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
    FailureClass.NOT_FOUND: "Check the image's name and tag; the registry does not have it (any more), or "
    "hides it from this login.",
    FailureClass.INVALID_IMAGE: "Correct the image's name in the workload.",
    FailureClass.UNSUPPORTED: "Read the message: what is there is no image that Trivy can read.",
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
    FailureClass.TRIVY_SERVER: "Look at the log of the Trivy server (trivy.serverURL).",
    FailureClass.CONFIGURATION: "Correct the setting that the message names.",
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
    FailureClass.SCANNER: "Read the message: the cause is not known.",
}

# Within a class the first that fits counts.
CAUSES: dict[FailureClass, tuple[Cause, ...]] = {
    FailureClass.AUTH: (
        _cause(
            "a login that has run out",
            r"token has expired|credentials? (?:have|has) expired",
            "Renew the pull secret: its login has run out.",
        ),
    ),
    FailureClass.NOT_FOUND: (
        _cause(
            "a part of an image",
            r"BLOB_UNKNOWN|/blobs/sha",
            "The registry has the image's manifest, but not all of its parts: push the image anew.",
        ),
        _cause(
            "a digest",
            r"/manifests/sha(?:256|512):",
            "The registry does not have this digest in this repository: the image was deleted there, or "
            "the node has it from another repository.",
        ),
    ),
    FailureClass.UNSUPPORTED: (
        _cause(
            "an artifact that is no image",
            r"unsupported artifact type",
            "None needed: it is no image, and there is nothing to scan in it.",
        ),
        _cause(
            "a manifest of schema 1",
            r"manifest\.v1\+|issues/377",
            "Push the image anew with a current tool: its manifest has the old format of 2015, which "
            "Trivy does not read.",
        ),
        _cause(
            "a layer or configuration that is damaged or encrypted",
            r"extract the archive|uncompressed layer|config file|layer content",
            "Push the image anew: a layer or its configuration is damaged, or encrypted.",
        ),
    ),
    FailureClass.TLS: (
        _cause(
            "no TLS at all",
            r"server gave HTTP response",
            "The registry speaks plain HTTP: list it under trivy.nonSslRegistry.<name>.",
        ),
        _cause(
            "a certificate for another name",
            r"certificate is (?:valid for|not valid for any)|doesn't contain any IP SANs",
            "The registry's certificate is for another name: use that name in the workload, or renew the "
            "certificate; trivy.insecureRegistry.<name> accepts it unchecked.",
        ),
        _cause(
            "a certificate that has expired",
            r"has expired or is not yet valid",
            "Renew the registry's certificate, or look at the clock of the node; "
            "trivy.insecureRegistry.<name> accepts it unchecked.",
        ),
        _cause(
            "an unknown certificate authority",
            r"unknown authority|self-signed",
            "Let Trivy trust the registry's certificate authority (trivy.sslCertDir); "
            "trivy.insecureRegistry.<name> accepts it unchecked.",
        ),
    ),
    FailureClass.NETWORK: (
        _cause(
            "a proxy",
            r"proxyconnect|Proxy ?Authentication|\b407\b|"
            r"^Get \"https?://\S+: (?:Forbidden|[A-Z]\w+ [A-Z]\w+)$",
            "The proxy does not let scan pods through: correct trivy.httpsProxy or trivy.httpProxy, with "
            "a login if it asks for one, or leave the registry out of it (trivy.noProxy).",
        ),
        _cause(
            "Rekor",
            r"rekor",
            "Scan pods cannot reach Rekor: take it out of trivy.sbomSources, or let them through.",
        ),
        _cause(
            "repositories of VEX documents",
            r"vex repositor|vexhub",
            "Scan pods cannot reach the VEX repositories that trivy.configFile asks for: let them "
            "through, or take them out.",
        ),
        _cause(
            "a web page instead of an answer",
            r"looking for beginning of value",
            "Something answers with a web page in the registry's place: look at proxies and at the "
            "registry's address.",
        ),
        _cause(
            "a host name that DNS does not have",
            r"no such host",
            "Correct the registry's host in the workload, or let the cluster's DNS resolve it.",
        ),
        _cause(
            "a registry that is in trouble",
            r"\b50[0234]\b|UNAVAILABLE|INTERNAL_ERROR|\bUNKNOWN: ",
            "The registry has an error of its own; the scan is tried again by itself.",
        ),
    ),
    FailureClass.DISK: (
        _cause(
            "a directory that cannot be written",
            r"read-only file system",
            "Let trivy.imageScanCacheDir be below /tmp, or mount a volume there that can be written "
            "(scanJob.customVolumes).",
        ),
    ),
    FailureClass.DATABASE: (
        _cause(
            "a newer format",
            r"version of DB schema doesn't match",
            "The database has another format than this Trivy reads: bring trivy.tag and "
            "trivy.dbRepository together.",
        ),
        _cause(
            "an older format",
            r"old DB schema",
            "The database has an older format than this Trivy reads: bring trivy.tag and "
            "trivy.dbRepository together.",
        ),
        _cause(
            "a Java database that is not fetched",
            r"skip-java-db-update",
            "Scan pods start without a Java database: set trivy.skipJavaDBUpdate to false, or give them one.",
        ),
        _cause(
            "no database",
            r"skip-db-update|first run cannot skip",
            "There is no database where the scan looks for one (trivy.imageScanCacheDir); the step "
            "before it fetches it.",
        ),
        _cause(
            "a database that is damaged",
            r"failed to open db|invalid database|file size too small",
            "The database is damaged; the scan is tried again with another copy. If that does not help, "
            "delete what is in trivy.imageScanCacheDir.",
        ),
        _cause(
            "a rate limit",
            r"TOOMANYREQUESTS|Too Many Requests|\b429\b|rate limit",
            "The registry of the databases does not want to be asked so often: name a copy of your own in "
            "trivy.dbRepository and trivy.javaDbRepository, or a login (trivy.dbRepositoryUsername).",
        ),
        _cause(
            "a login",
            r"UNAUTHORIZED|DENIED|\b40[13]\b|unauthenticated",
            "The registry of the databases asks for a login: trivy.dbRepositoryUsername and "
            "trivy.dbRepositoryPassword.",
        ),
        _cause(
            "something that is no database",
            r"title is missing|unacceptable media type|MANIFEST_UNKNOWN|NAME_UNKNOWN|\b404\b",
            "There is no database under that name: correct trivy.dbRepository or trivy.javaDbRepository.",
        ),
        _cause(
            "a certificate",
            r"x509:|tls: |server gave HTTP response",
            "Let Trivy trust the registry of the databases (trivy.sslCertDir), or set "
            "trivy.dbRepositoryInsecure.",
        ),
        _cause(
            "a proxy",
            r"proxyconnect|Proxy ?Authentication|: Forbidden$",
            "The proxy does not let scan pods through to the databases: correct trivy.httpsProxy, or name "
            "a copy that they can reach in trivy.dbRepository and trivy.javaDbRepository.",
        ),
    ),
    FailureClass.TRIVY_SERVER: (
        _cause(
            "a token",
            r"unauthenticated|permission_denied|\b40[13]\b",
            "The Trivy server refuses the token: correct trivy.serverToken and trivy.serverTokenHeader, "
            "or the headers that something in front of it asks for (trivy.serverCustomHeaders).",
        ),
        _cause(
            "another address",
            r"bad_route|\b404\b|\b30[1278]\b|no such host",
            "There is no Trivy server under that address: correct trivy.serverURL.",
        ),
        _cause(
            "a certificate",
            r"x509:|tls: |server gave HTTP response",
            "The Trivy server's certificate is not trusted, or it speaks no TLS: correct trivy.serverURL, "
            "or set trivy.serverInsecure.",
        ),
        _cause(
            "a server that does not answer",
            r"connection (?:refused|reset)|i/o timeout|deadline exceeded|unavailable|\b50[234]\b|no route",
            "The Trivy server does not answer: look at its pods, its service (trivy.serverURL) and at "
            "network policies; the scan is tried again by itself.",
        ),
    ),
    FailureClass.CONFIGURATION: (
        _cause(
            "a flag that this Trivy does not have",
            r"unknown (?:shorthand )?flag",
            "Trivy's version is too old, or too new, for this operator: correct trivy.tag.",
        ),
        _cause(
            "a file that is not there",
            r"no such file|file not found",
            "A file that the message names is not in scan pods: mount it (scanJob.customVolumes), or take "
            "it out of trivy.configFile.",
        ),
        _cause(
            "an ignore policy",
            r"apply the policy",
            "Correct the policy in trivy.ignorePolicy: the message says where.",
        ),
        _cause(
            "the configuration file",
            r"config file",
            "Correct trivy.configFile: the message says where.",
        ),
        _cause(
            "an ignore file",
            r"parse error: yaml",
            "Correct trivy.ignoreFile: the message says where.",
        ),
        _cause(
            "a database's name",
            r"invalid DB repository",
            "Correct trivy.dbRepository or trivy.javaDbRepository: it is no image reference.",
        ),
        _cause(
            "a value",
            r"invalid argument",
            "Correct the value that the message names, in the setting or in trivy.configFile.",
        ),
    ),
    FailureClass.SCANNER: (
        _cause(
            "a cache in use",
            r"cache may be in use by another process",
            "Scan pods share a cache: let each have its own (trivy.imageScanCacheDir, "
            "scanJob.customVolumes).",
        ),
        _cause(
            "an answer of the registry",
            r"^(?:exit code \d+: )?(?:GET|HEAD|POST) https?://",
            "The registry gave an answer that fits no other class: look at the registry.",
        ),
    ),
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
            "Bring scanJob.podTemplatePodSecurityContext and scanJob.podTemplateContainerSecurityContext "
            "in line with the pod security standard, take away host volumes (trivy.sslCertDir, "
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
    """What helps, by the cause that ``message`` names, else what helps against most failures of the "
    "class."""
    found = (cause.remedy for cause in CAUSES.get(failure_class, ()) if cause.pattern.search(message))
    return next(found, GENERAL[failure_class])
