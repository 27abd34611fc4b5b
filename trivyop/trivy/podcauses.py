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
            r"(?:maximum|minimum) [\w./-]+ usage per |max limit to request ratio per |LimitRange|"
            r"must be less than or equal to [\w./-]+ limit",
            "Bring trivy.resources.requests and trivy.resources.limits within the LimitRange.",
        ),
        cause(
            "security context constraints of OpenShift",
            r"security context constraint",
            "Take what the message names out of scanJob.podTemplatePodSecurityContext and "
            "scanJob.podTemplateContainerSecurityContext (without runAsUser, runAsGroup and fsGroup "
            "OpenShift chooses them), or let scan pods' service account use a constraint that allows it.",
        ),
        cause(
            "a webhook whose certificate is not trusted",
            r"failed calling (?:admission )?webhook.*(?:x509:|tls: )",
            "Renew the certificate of the admission webhook that the message names, or the caBundle in its "
            "configuration.",
        ),
        cause(
            "a webhook that does not answer",
            r"failed calling (?:admission )?webhook|failed to call webhook|no endpoints available",
            "The admission webhook that the message names does not answer; look at its service.",
        ),
        cause(
            "a policy about images",
            r"(?:denied|blocked|webhook)[\s\S]*(?:\bsign(?:ed|ature)|image registr|image repo|allowed repo|"
            r"verify image|image verification)|image policy webhook",
            "Let the policy that the message names allow Trivy's own image, or name one that it allows "
            "(trivy.repository, trivy.tag).",
        ),
        cause(
            "a webhook or a policy",
            r"denied (?:the )?request|ValidatingAdmissionPolicy|denied by",
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
            "a namespace's own node selector or tolerations",
            r"node selector conflict|label selector conflicts|namespace (?:whitelist|allowlist)",
            "Bring scanJob.nodeSelector and scanJob.tolerations in line with the annotations "
            "scheduler.alpha.kubernetes.io of the namespace that scan pods run in.",
        ),
        cause(
            "an API server that is busy",
            r"etcdserver: |request did not complete|unable to handle the request|context deadline exceeded",
            "None needed: the API server could not answer in time; the scan is tried again by itself.",
        ),
        cause(
            "a container that would run as root",
            r"runAsNonRoot",
            "Set runAsUser in scanJob.podTemplatePodSecurityContext to a user that is not root.",
        ),
        cause(
            "a field that the API server refuses",
            r"\bis invalid: ",
            "Correct the setting that the field in the message comes from: one of scanJob.* or "
            "trivy.resources.*.",
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
            r"(?<!volume )node affinity|node selector|didn't match Pod's",
            "Correct scanJob.nodeSelector or scanJob.affinity: no node matches.",
        ),
        cause(
            "pods beside it",
            r"anti-affinity|pod affinity|topology spread",
            "Correct scanJob.affinity, or the affinity of the pods that run on those nodes.",
        ),
        cause(
            "nodes that are not ready",
            r"node\.kubernetes\.io/(?!instance)[a-z-]+: |cloudprovider\.kubernetes\.io/uninitialized|"
            r"were unschedulable|no nodes available",
            "Nodes that could take it are not ready, cordoned or short of something: look at them, or add "
            "nodes; the scan is tried again by itself.",
        ),
        cause(
            "taints",
            r"taint",
            "Add the taint that the message names to scanJob.tolerations.",
        ),
        cause(
            "a volume",
            r"persistentvolumeclaim|volume node affinity|unbound immediate|max volume count",
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
            "a security profile",
            r"seccomp|apparmor",
            "Correct the profile in scanJob.podTemplatePodSecurityContext or "
            "scanJob.podTemplateContainerSecurityContext, or install it on the nodes.",
        ),
        cause(
            "a program that the image lacks",
            r"executable file not found|exec: .*no such file",
            "The image of trivy.repository lacks the program that the message names: use Trivy's own, or one "
            "that is built on it.",
        ),
        cause(
            "a mount",
            r"error mounting",
            "Correct the mount that the message names (scanJob.customVolumesMount, trivy.sslCertDir).",
        ),
        cause(
            "a full disk",
            r"no space left on device",
            "Free disk space on the node; the scan is tried again by itself.",
        ),
        cause(
            "a node's runtime that is slow or stuck",
            r"(?:Create|Run)ContainerError: (?:.* )?(?:context deadline exceeded|name is reserved)|"
            r"failed to reserve \w+ name",
            "The node's container runtime does not get on: look at the node; the scan is tried again by "
            "itself.",
        ),
        cause(
            "TLS between nodes and a registry",
            r"x509:|\btls: |server gave HTTP response",
            "Let the nodes' container runtime trust the registry of trivy.repository, or name another one "
            "there.",
        ),
        cause(
            "a name without a registry",
            r"short.name",
            "Write the registry into trivy.repository, too (docker.io/aquasec/trivy): the nodes take no "
            "short names.",
        ),
        cause(
            "a signature",
            r"signature",
            "The nodes take signed images only: name one in trivy.repository and trivy.tag that their policy "
            "allows.",
        ),
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
            "a security profile",
            r"AppArmor|Sysctl",
            "Correct scanJob.podTemplatePodSecurityContext and "
            "scanJob.podTemplateContainerSecurityContext: the node does not have, or allow, what the "
            "message names.",
        ),
        cause(
            "the image that nodes start each pod with",
            r"sandbox image",
            "The node cannot pull its own pause image: look at the configuration of its container runtime.",
        ),
        cause(
            "the pod's network",
            r"sandbox|network plugin|\bCNI\b",
            "Look at the node's network plugin; the scan is tried again by itself.",
        ),
    ),
}
