"""What helps against a failed scan: by its class, and by the cause where the message names one.

Promises: pure; every class has a remedy; a cause that is not certain gets the general words of its class.
Not here: the causes (``causes.py``, ``podcauses.py``), what class a failure has (``failures.py``), when it
is tried again (``retries.py``).
"""

from __future__ import annotations

from trivyop.trivy.causes import CAUSES_IN_SCANS, Cause
from trivyop.trivy.failureclasses import FailureClass
from trivyop.trivy.podcauses import CAUSES_IN_PODS

GENERAL: dict[FailureClass, str] = {
    FailureClass.AUTH: "Give the workload a pull secret for this registry, or name one in "
    "OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES.",
    FailureClass.NOT_FOUND: "Check the image's name and tag: the registry does not have the image (any "
    "more), or hides it from this login.",
    FailureClass.INVALID_IMAGE: "Correct the image's name in the workload.",
    FailureClass.UNSUPPORTED: "Read the message: the reference leads to no image that Trivy can read.",
    FailureClass.RATE_LIMIT: "Use credentials for this registry, or a mirror of it "
    "(trivy.registry.mirror.<registry>).",
    FailureClass.TLS: "Let Trivy trust the registry's certificate authority (trivy.sslCertDir), or list the "
    "registry under trivy.insecureRegistry or trivy.nonSslRegistry.",
    FailureClass.NETWORK: "Check that scan pods can reach the registry: DNS, proxies, network policies.",
    FailureClass.PLATFORM: "Use an image that supports the platform of the node.",
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
    FailureClass.INTERRUPTED: "Nothing: the operator scans the image again.",
    FailureClass.PARSE: "Check that trivyop supports the version in trivy.tag.",
    FailureClass.TRANSPORT: "Check that nodes keep long logs of pods (containerLogMaxSize), or make the "
    "result smaller (trivy.skipDirs).",
    FailureClass.SCANNER: "Read the message: the cause is not known.",
}

CAUSES: dict[FailureClass, tuple[Cause, ...]] = {**CAUSES_IN_SCANS, **CAUSES_IN_PODS}


def remedy_for(failure_class: FailureClass, message: str) -> str:
    """What helps, by the cause that ``message`` names, else what helps against most failures of the "
    "class."""
    found = (cause.remedy for cause in CAUSES.get(failure_class, ()) if cause.pattern.search(message))
    return next(found, GENERAL[failure_class])
