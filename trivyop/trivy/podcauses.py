"""Causes that keep a scan's Job or pod from running, as Kubernetes names them, and what helps against each.

Not here: what Trivy says once it runs (``causes.py``).
"""

from __future__ import annotations

from trivyop.trivy.causes import Cause, cause
from trivyop.trivy.failureclasses import FailureClass

# Within a class the first that fits counts.
CAUSES_IN_PODS: dict[FailureClass, tuple[Cause, ...]] = {
    FailureClass.ADMISSION: (
        cause(
            "a quota asks for requests or limits",
            r"failed quota: .*must specify",
            "Set what the quota asks for: trivy.resources.requests and trivy.resources.limits.",
        ),
        cause(
            "a quota is used up",
            r"exceeded quota",
            "Raise the ResourceQuota that the message names, or let fewer scans run at once "
            "(OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT); the scan is tried again by itself.",
        ),
        cause(
            "Pod Security",
            r"violates PodSecurity",
            "Bring scanJob.podTemplatePodSecurityContext and scanJob.podTemplateContainerSecurityContext "
            "in line with the pod security standard, take away host volumes (trivy.sslCertDir, "
            "scanJob.customVolumes), or relax the namespace's label pod-security.kubernetes.io/enforce.",
        ),
        cause(
            "a LimitRange",
            r"(?:maximum|minimum) [\w./-]+ (?:usage|limit to request ratio) per (?:Container|Pod)|LimitRange|"
            r"must be less than or equal to [\w./-]+ limit",
            "Bring trivy.resources.requests and trivy.resources.limits within the LimitRange.",
        ),
        cause(
            "a webhook that does not answer",
            r"failed calling (?:admission )?webhook|failed to call webhook|no endpoints available",
            "The admission webhook that the message names does not answer; look at its service.",
        ),
        cause(
            "a webhook or a policy",
            r"denied the request|ValidatingAdmissionPolicy|denied by",
            "Let the policy that the message names allow scan Jobs, or give them what it asks for "
            "(scanJob.labels, scanJob.annotations, security contexts, resources).",
        ),
        cause(
            "no priority class of that name",
            r"no PriorityClass with name",
            "Correct scanJob.podPriorityClassName, or create that priority class.",
        ),
        cause(
            "no service account of that name",
            r"error looking up service ?account|serviceaccounts? \S+ not found",
            "Create the service account that the message names (OPERATOR_SERVICE_ACCOUNT).",
        ),
        cause(
            "the namespace is going",
            r"being terminated|NamespaceTerminating",
            "None needed: the namespace is being deleted.",
        ),
        cause(
            "a permission of the operator",
            r"cannot (?:create|get|list|watch|patch|update|delete) (?:resource|path)",
            "Give the operator's service account the permission that the message names.",
        ),
        cause(
            "a container that would run as root",
            r"runAsNonRoot",
            "Set runAsUser in scanJob.podTemplatePodSecurityContext to a user that is not root.",
        ),
    ),
    FailureClass.UNSCHEDULABLE: (
        cause(
            "not enough free resources",
            r"Insufficient|Too many pods|enough resource|OutOf(?:cpu|memory|pods|ephemeral-storage)",
            "Lower trivy.resources.requests, let fewer scans run at once "
            "(OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT), or add nodes; the scan is tried again by itself.",
        ),
        cause(
            "node selector or affinity",
            r"node affinity|node selector|didn't match Pod's",
            "Correct scanJob.nodeSelector or scanJob.affinity: no node matches.",
        ),
        cause(
            "taints",
            r"taint",
            "Add the taint that the message names to scanJob.tolerations.",
        ),
        cause(
            "a volume",
            r"persistentvolumeclaim|volume node affinity|unbound immediate",
            "Correct scanJob.customVolumes: no node can have the volume that the message names.",
        ),
        cause(
            "scheduling gates",
            r"SchedulingGated|scheduling gate",
            "Something put a scheduling gate on the scan pod, and has not taken it away.",
        ),
    ),
    FailureClass.SCANNER_IMAGE: (
        cause(
            "a login is missing",
            r"unauthorized|authentication required|\bdenied\b|\b40[13]\b|authorization failed",
            "Name a pull secret for Trivy's own image in trivy.imagePullSecret; it is looked for in the "
            "namespace of the scan pods. Or correct trivy.repository.",
        ),
        cause(
            "an image that the node must have already",
            r"ErrImageNeverPull|pull policy of Never",
            "Load Trivy's image onto the node, or set trivy.imagePullPolicy to IfNotPresent.",
        ),
        cause(
            "no image for the node's platform",
            r"no match for platform|no matching manifest|exec format error",
            "Trivy's image has nothing for the node's platform: keep scan pods on other nodes "
            "(scanJob.nodeSelector), or use an image for several platforms.",
        ),
        cause(
            "no image of that name",
            r"not found|manifest unknown|name unknown|InvalidImageName|couldn't parse image",
            "Correct trivy.repository or trivy.tag: there is no such image.",
        ),
        cause(
            "a registry that cannot be reached",
            r"no such host|i/o timeout|connection refused|deadline exceeded|toomanyrequests|\b429\b|\b50\d\b",
            "Check that nodes can reach the registry of trivy.repository, or name a mirror there.",
        ),
    ),
    FailureClass.POD_START: (
        cause(
            "a Secret or ConfigMap is missing",
            r"(?:secret|configmap)s? \S+ not found|references non-existent|couldn't find key",
            "Create the Secret or ConfigMap that the message names, or correct the setting that names it "
            "(scanJob.customVolumes, trivy.configFile).",
        ),
        cause(
            "a volume",
            r"MountVolume|AttachVolume|FailedMount|FailedAttachVolume|volume|hostPath",
            "Correct the volume that the message names (scanJob.customVolumes, trivy.sslCertDir), or what "
            "provides it.",
        ),
        cause(
            "the pod's network",
            r"sandbox|network plugin|\bCNI\b",
            "Look at the node's network plugin; the scan is tried again by itself.",
        ),
    ),
}
