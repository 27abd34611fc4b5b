"""What helps against a failed scan: by its class, and by the cause where the message names one.

Promises: pure; every class has a remedy; a cause that is not certain gets the general words of its class.
Not here: what class a failure has (``failures.py``), when it is tried again (``retries.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trivyop.trivy.failureclasses import FailureClass


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause that messages of a class name, and what helps against it."""

    name: str  # for the documentation: "a quota is used up"
    pattern: re.Pattern[str]
    remedy: str


def _cause(name: str, pattern: str, remedy: str) -> Cause:
    return Cause(name, re.compile(pattern, re.IGNORECASE), remedy)


GENERAL: dict[FailureClass, str] = {
    FailureClass.AUTH: "Give the workload a pull secret for this registry, or name one in "
    "OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES.",
    FailureClass.NOT_FOUND: "Check the image's name and tag; the registry does not have it (any more).",
    FailureClass.INVALID_IMAGE: "Correct the image's name in the workload.",
    FailureClass.RATE_LIMIT: "Use credentials for this registry, or a mirror of it "
    "(trivy.registry.mirror.<registry>).",
    FailureClass.TLS: "Let Trivy trust the registry's certificate authority (trivy.sslCertDir), or list the "
    "registry under trivy.insecureRegistry or trivy.nonSslRegistry.",
    FailureClass.NETWORK: "Check that scan pods can reach the registry: DNS, proxies, network policies.",
    FailureClass.PLATFORM: "The image has nothing for the platform of its node.",
    FailureClass.OUT_OF_MEMORY: "Raise trivy.resources.limits.memory, or set trivy.slow.",
    FailureClass.TIMEOUT: "Raise trivy.timeout and OPERATOR_SCAN_JOB_TIMEOUT.",
    FailureClass.DISK: "Raise trivy.resources.limits.ephemeral-storage, or free disk space on the node.",
    FailureClass.DATABASE: "Check that trivy.dbRepository and trivy.javaDbRepository can be reached.",
    FailureClass.TOO_LARGE: "Leave parts of the image out (trivy.skipDirs), or raise the limit that was met.",
    FailureClass.ADMISSION: "See what refused the scan Job: quota, pod security, or an admission webhook.",
    FailureClass.UNSCHEDULABLE: "See why no node takes the scan pod: scanJob.nodeSelector, scanJob.affinity, "
    "scanJob.tolerations, trivy.resources.requests.",
    FailureClass.PERMISSION: "Give the operator the permission that the message names: apply "
    "the roles of deploy/kustomize/base.",
    FailureClass.SCANNER_IMAGE: "Check trivy.repository, trivy.tag and trivy.imagePullSecret.",
    FailureClass.POD_START: "See what the node says about the scan pod, its volumes and its network.",
    FailureClass.INTERRUPTED: "None needed: the scan is tried again.",
    FailureClass.PARSE: "Check that trivy.tag is a version that is supported.",
    FailureClass.TRANSPORT: "Check that nodes keep long logs of pods (containerLogMaxSize), or make the "
    "result smaller (trivy.skipDirs).",
    FailureClass.SCANNER: "Read the message; Trivy itself refused.",
}

# Within a class the first that fits counts.
CAUSES: dict[FailureClass, tuple[Cause, ...]] = {
    FailureClass.ADMISSION: (
        _cause(
            "a quota asks for requests or limits",
            r"failed quota: .*must specify",
            "Set what the quota asks for: trivy.resources.requests and trivy.resources.limits.",
        ),
        _cause(
            "a quota is used up",
            r"exceeded quota",
            "Raise the ResourceQuota that the message names, or let fewer scans run at once "
            "(OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT); the scan is tried again by itself.",
        ),
        _cause(
            "Pod Security",
            r"violates PodSecurity",
            "Bring scanJob.podTemplatePodSecurityContext and scanJob.podTemplateContainerSecurityContext in "
            "line with the pod security standard, take away host volumes (trivy.sslCertDir, "
            "scanJob.customVolumes), or relax the namespace's label pod-security.kubernetes.io/enforce.",
        ),
        _cause(
            "a LimitRange",
            r"(?:maximum|minimum) [\w./-]+ (?:usage|limit to request ratio) per (?:Container|Pod)|LimitRange|"
            r"must be less than or equal to [\w./-]+ limit",
            "Bring trivy.resources.requests and trivy.resources.limits within the LimitRange.",
        ),
        _cause(
            "a webhook that does not answer",
            r"failed calling (?:admission )?webhook|failed to call webhook|no endpoints available",
            "The admission webhook that the message names does not answer; look at its service.",
        ),
        _cause(
            "a webhook or a policy",
            r"denied the request|ValidatingAdmissionPolicy|denied by",
            "Let the policy that the message names allow scan Jobs, or give them what it asks for "
            "(scanJob.labels, scanJob.annotations, security contexts, resources).",
        ),
        _cause(
            "no priority class of that name",
            r"no PriorityClass with name",
            "Correct scanJob.podPriorityClassName, or create that priority class.",
        ),
        _cause(
            "no service account of that name",
            r"error looking up service ?account|serviceaccounts? \S+ not found",
            "Create the service account that the message names (OPERATOR_SERVICE_ACCOUNT).",
        ),
        _cause(
            "the namespace is going",
            r"being terminated|NamespaceTerminating",
            "None needed: the namespace is being deleted.",
        ),
        _cause(
            "a permission of the operator",
            r"cannot (?:create|get|list|watch|patch|update|delete) (?:resource|path)",
            "Give the operator's service account the permission that the message names.",
        ),
        _cause(
            "a container that would run as root",
            r"runAsNonRoot",
            "Set runAsUser in scanJob.podTemplatePodSecurityContext to a user that is not root.",
        ),
    ),
    FailureClass.UNSCHEDULABLE: (
        _cause(
            "not enough free resources",
            r"Insufficient|Too many pods|enough resource|OutOf(?:cpu|memory|pods|ephemeral-storage)",
            "Lower trivy.resources.requests, let fewer scans run at once "
            "(OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT), or add nodes; the scan is tried again by itself.",
        ),
        _cause(
            "node selector or affinity",
            r"node affinity|node selector|didn't match Pod's",
            "Correct scanJob.nodeSelector or scanJob.affinity: no node matches.",
        ),
        _cause(
            "taints",
            r"taint",
            "Add the taint that the message names to scanJob.tolerations.",
        ),
        _cause(
            "a volume",
            r"persistentvolumeclaim|volume node affinity|unbound immediate",
            "Correct scanJob.customVolumes: no node can have the volume that the message names.",
        ),
        _cause(
            "scheduling gates",
            r"SchedulingGated|scheduling gate",
            "Something put a scheduling gate on the scan pod, and has not taken it away.",
        ),
    ),
    FailureClass.SCANNER_IMAGE: (
        _cause(
            "a login is missing",
            r"unauthorized|authentication required|\bdenied\b|\b40[13]\b|authorization failed",
            "Name a pull secret for Trivy's own image in trivy.imagePullSecret; it is looked for in the "
            "namespace of the scan pods. Or correct trivy.repository.",
        ),
        _cause(
            "an image that the node must have already",
            r"ErrImageNeverPull|pull policy of Never",
            "Load Trivy's image onto the node, or set trivy.imagePullPolicy to IfNotPresent.",
        ),
        _cause(
            "no image for the node's platform",
            r"no match for platform|no matching manifest|exec format error",
            "Trivy's image has nothing for the node's platform: keep scan pods on other nodes "
            "(scanJob.nodeSelector), or use an image for several platforms.",
        ),
        _cause(
            "no image of that name",
            r"not found|manifest unknown|name unknown|InvalidImageName|couldn't parse image",
            "Correct trivy.repository or trivy.tag: there is no such image.",
        ),
        _cause(
            "a registry that cannot be reached",
            r"no such host|i/o timeout|connection refused|deadline exceeded|toomanyrequests|\b429\b|\b50\d\b",
            "Check that nodes can reach the registry of trivy.repository, or name a mirror there.",
        ),
    ),
    FailureClass.POD_START: (
        _cause(
            "a Secret or ConfigMap is missing",
            r"(?:secret|configmap)s? \S+ not found|references non-existent|couldn't find key",
            "Create the Secret or ConfigMap that the message names, or correct the setting that names it "
            "(scanJob.customVolumes, trivy.configFile).",
        ),
        _cause(
            "a volume",
            r"MountVolume|AttachVolume|FailedMount|FailedAttachVolume|volume|hostPath",
            "Correct the volume that the message names (scanJob.customVolumes, trivy.sslCertDir), or what "
            "provides it.",
        ),
        _cause(
            "the pod's network",
            r"sandbox|network plugin|\bCNI\b",
            "Look at the node's network plugin; the scan is tried again by itself.",
        ),
    ),
}


def remedy_for(failure_class: FailureClass, message: str) -> str:
    """What helps, by the cause that ``message`` names, else what helps against most failures of the class."""
    found = (cause.remedy for cause in CAUSES.get(failure_class, ()) if cause.pattern.search(message))
    return next(found, GENERAL[failure_class])
