"""Resources: which kinds there are for us, and where the API server keeps them.

A ``Resource`` is a kind with its place in the API; an ``ObjectKey`` names one object of a known kind. Both
are plain values. The constants are the kinds that more than one part of trivyop speaks of; a part that needs
another kind writes down its own ``Resource``.

Not here: whether a server serves them (``kube.discovery``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote


class ObjectKey(NamedTuple):
    """Name of one object among those of its kind; ``namespace`` is empty for cluster scope."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @classmethod
    def parse(cls, text: str) -> ObjectKey:
        """Read what ``str`` wrote: "namespace/name", or a bare name for cluster scope."""
        namespace, slash, name = text.partition("/")
        return cls(namespace, name) if slash else cls("", namespace)


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and its place in the API; the core group is the empty string."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects spell it: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def name(self) -> str:
        """As kubectl and RBAC people spell it: "pods", "deployments.apps"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, of one object, or of an object's subresource.

        Without a namespace the path of a namespaced kind spans all of them; for a cluster-scoped kind the
        namespace does not count.
        """
        parts = [f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"]
        if namespace and self.namespaced:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=":"))  # RBAC names hold colons: "system:node"
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


_RBAC = "rbac.authorization.k8s.io"
_REPORTS = "aquasecurity.github.io"

PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
EVENTS = Resource("", "v1", "events", "Event")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICEACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
REPLICATIONCONTROLLERS = Resource("", "v1", "replicationcontrollers", "ReplicationController")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
REPLICASETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
STATEFULSETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
DAEMONSETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
JOBS = Resource("batch", "v1", "jobs", "Job")
CRONJOBS = Resource("batch", "v1", "cronjobs", "CronJob")
SERVICES = Resource("", "v1", "services", "Service")
LIMITRANGES = Resource("", "v1", "limitranges", "LimitRange")
RESOURCEQUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
PERSISTENTVOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
PERSISTENTVOLUMECLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
ROLES = Resource(_RBAC, "v1", "roles", "Role")
CLUSTERROLES = Resource(_RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
ROLEBINDINGS = Resource(_RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTERROLEBINDINGS = Resource(_RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRDS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
CLUSTERVERSIONS = Resource(  # of OpenShift
    "config.openshift.io", "v1", "clusterversions", "ClusterVersion", namespaced=False
)
VULNERABILITYREPORTS = Resource(_REPORTS, "v1alpha1", "vulnerabilityreports", "VulnerabilityReport")
EXPOSEDSECRETREPORTS = Resource(_REPORTS, "v1alpha1", "exposedsecretreports", "ExposedSecretReport")
SBOMREPORTS = Resource(_REPORTS, "v1alpha1", "sbomreports", "SbomReport")
CLUSTERSBOMREPORTS = Resource(
    _REPORTS, "v1alpha1", "clustersbomreports", "ClusterSbomReport", namespaced=False
)
CLUSTERVULNERABILITYREPORTS = Resource(
    _REPORTS, "v1alpha1", "clustervulnerabilityreports", "ClusterVulnerabilityReport", namespaced=False
)
CONFIGAUDITREPORTS = Resource(_REPORTS, "v1alpha1", "configauditreports", "ConfigAuditReport")
CLUSTERCONFIGAUDITREPORTS = Resource(
    _REPORTS, "v1alpha1", "clusterconfigauditreports", "ClusterConfigAuditReport", namespaced=False
)
RBACASSESSMENTREPORTS = Resource(_REPORTS, "v1alpha1", "rbacassessmentreports", "RbacAssessmentReport")
CLUSTERRBACASSESSMENTREPORTS = Resource(
    _REPORTS, "v1alpha1", "clusterrbacassessmentreports", "ClusterRbacAssessmentReport", namespaced=False
)
INFRAASSESSMENTREPORTS = Resource(_REPORTS, "v1alpha1", "infraassessmentreports", "InfraAssessmentReport")
CLUSTERINFRAASSESSMENTREPORTS = Resource(
    _REPORTS, "v1alpha1", "clusterinfraassessmentreports", "ClusterInfraAssessmentReport", namespaced=False
)
CLUSTERCOMPLIANCEREPORTS = Resource(
    _REPORTS, "v1alpha1", "clustercompliancereports", "ClusterComplianceReport", namespaced=False
)
SELFSUBJECTACCESSREVIEWS = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False
)
IMAGESCANS = Resource("trivyop.dev", "v1alpha1", "imagescans", "ImageScan")
