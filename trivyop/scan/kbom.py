"""The cluster's bill of materials: Kubernetes itself, the pods of its control plane, its nodes and what runs
them, as a CycloneDX document that ``trivy sbom`` matches.

Names are those under which vulnerabilities are published: ``k8s.io/apiserver`` in the feed of Kubernetes,
``github.com/containerd/containerd`` among Go modules. What is the same on several nodes, or in several pods,
is one component.

Promises: pure; the same cluster, in any order, gives the same document but for its time. It changes with
versions, images and nodes, and with the pods of the control plane, whose names it shows.
Not here: what vulnerabilities there are, and the reports.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from trivyop.report.findings import Sbom
from trivyop.workload.images import ImageName, ImageRefError, repo_digest
from trivyop.workload.nodes import HOSTNAME_LABEL, ClusterNode
from trivyop.workload.objects import Pod

SPEC_VERSION = "1.7"
KUBERNETES = "k8s.io/kubernetes"
COMPONENT_LABEL, APP_LABEL = "component", "k8s-app"

_SYSTEM_NAMESPACE = "kube-system"
_OPENSHIFT = {  # namespace to the label whose presence tells
    "openshift-kube-apiserver": "apiserver",
    "openshift-kube-controller-manager": "kube-controller-manager",
    "openshift-kube-scheduler": "scheduler",
    "openshift-etcd": "etcd",
}
_MODULES = {
    "kube-controller-manager": "controller-manager",
    "kube-apiserver": "apiserver",
    "api server": "apiserver",
    "etcd": "etcd/v3",
    "cloud-controller-manager": "cloud-provider",
    "scheduler": "kube-scheduler",
}
_ORGANISATIONS = {
    **dict.fromkeys(
        (
            "controller-manager",
            "kubelet",
            "apiserver",
            "kubectl",
            "kubernetes",
            "kube-scheduler",
            "kube-proxy",
            "cloud-provider",
            "ingress-nginx",
        ),
        "k8s.io",
    ),
    "secrets-store-csi-driver": "sigs.k8s.io",
    "etcd/v3": "go.etcd.io",
}
_CONTROL_PLANE = frozenset({"controller-manager", "apiserver", "kube-scheduler", "etcd/v3", "cloud-provider"})
_RUNTIMES = {
    "containerd": "github.com/containerd/containerd",
    "cri-o": "github.com/cri-o/cri-o",
    "docker": "github.com/Mirantis/cri-dockerd",
}
_SEMANTIC = frozenset({"github.com/containerd/containerd"})  # modules that are named by their major version
_SUFFIX = re.compile(r"[-+](?:k3s|rke2|eks|gke|aks|rancher|build)[-.\w]*$")
_TRIVY, _RESOURCE = "aquasecurity:trivy:", "aquasecurity:trivy:resource:"
_NAMESPACE = uuid.UUID("b1a5d0de-6c3f-5a3e-8b7c-3f1c5d9e7a42")  # random once, for names of ours

Json = dict[str, Any]


class Image(NamedTuple):
    """An image that a component runs."""

    name: str
    tag: str
    digest: str


class Component(NamedTuple):
    """A part of Kubernetes that runs as pods; ``pod`` is one of them."""

    name: str
    version: str
    type: str
    images: tuple[Image, ...]
    pod: str


@dataclass(frozen=True, slots=True)
class ClusterParts:
    """What a cluster is made of."""

    version: str  # of the API server, as it says: "v1.31.0"
    components: tuple[Component, ...] = ()
    nodes: tuple[ClusterNode, ...] = ()
    distribution: str = ""  # "eks", "gke", "aks", "ocp"; "" for any other
    name: str = ""  # of the cluster, if it has one

    @property
    def tag(self) -> str:
        """The version as the tag of an image: reports on the cluster are named by it."""
        return self.version.removeprefix("v").replace("+", "-")


def component_of(pod: Pod) -> Component | None:
    """What part of Kubernetes a pod is; None if it is none."""
    namespace, labels = pod.metadata.namespace, pod.metadata.labels or {}
    value = labels.get(COMPONENT_LABEL) or labels.get(APP_LABEL) or ""
    openshift = _OPENSHIFT.get(namespace, "")
    if openshift and openshift in labels:
        value = openshift
    name = labels.get("app.kubernetes.io/name") or _MODULES.get(value, value)
    if not value or not (name in _ORGANISATIONS or namespace == _SYSTEM_NAMESPACE or openshift):
        return None
    images = tuple(_images(pod))
    version = labels.get("app.kubernetes.io/version") or next(
        (image.tag for image in images if value in f"{image.name}:{image.tag}"), ""
    )
    kind = "controlPlane" if name in _CONTROL_PLANE else "node" if name == "kube-proxy" else value
    organisation = _ORGANISATIONS.get(name)
    full = f"{organisation}/{name}" if organisation else name
    return Component(full, _plain_version(version), kind, images, pod.metadata.name)


def distinct(components: Iterable[Component]) -> tuple[Component, ...]:
    """Each part once, however many pods it runs in; of their names the first counts."""
    first: dict[Component, str] = {}
    for component in components:
        key = component._replace(pod="")
        first[key] = min(component.pod, first.get(key, component.pod))
    return tuple(sorted(key._replace(pod=pod) for key, pod in first.items()))


def build_kbom(parts: ClusterParts, *, scanner_version: str, now: datetime) -> Sbom:
    """The document; ``scanner_version`` is that of the tool that it names as its own."""
    document = _Document()
    server = parts.version.removeprefix("v")
    where = f"{parts.distribution}/" if parts.distribution else ""
    root = document.add(
        "platform",
        KUBERNETES,
        version=f"v{server}",
        purl=_purl(f"k8s/{where}", KUBERNETES, server),
        properties={f"{_RESOURCE}Name": parts.name, f"{_RESOURCE}Type": "cluster"},
    )
    for component in parts.components:
        document.relate(root, _add_component(document, component))
    for node in parts.nodes:
        document.relate(root, _add_node(document, node))
    return document.finished(root, scanner_version, now)


def matched_of(bom: Sbom) -> str:
    """What matching finds depends on, of a document, in one word: what it lists, not where that runs."""
    listed = [bom["metadata"]["component"], *bom["components"]]
    content = hashlib.sha256()
    for what in sorted(
        (one["type"], one["name"], one.get("version", ""), one.get("purl", ""))
        for one in listed
        if "purl" in one or one["type"] != "platform"  # a node
    ):
        content.update(json.dumps(what).encode())
    return content.hexdigest()


def _add_component(document: _Document, component: Component) -> str:
    made = document.add(
        "application",
        component.name,
        version=f"v{component.version}" if component.version else "",
        purl=_purl("k8s/", component.name, component.version),
        properties={f"{_RESOURCE}Name": component.pod, f"{_RESOURCE}Type": component.type},
        identity=component,
    )
    for image in component.images:
        url = quote(image.name, safe=":")
        short = image.name.rpartition("/")[2]
        ref = document.add(
            "container",
            image.name,
            version=image.digest,
            purl=f"pkg:oci/{short}@{image.digest}?repository_url={url}",
            properties={f"{_TRIVY}PkgID": f"{image.name}:{image.tag}", f"{_TRIVY}PkgType": "oci"},
            identity=image,
        )
        document.relate(made, ref)
    return made


def _add_node(document: _Document, node: ClusterNode) -> str:
    system, name = node.status.node_info, node.metadata.name
    made = document.add(
        "platform",
        name,
        properties={
            f"{_TRIVY}Architecture": system.architecture,
            f"{_TRIVY}HostName": (node.metadata.labels or {}).get(HOSTNAME_LABEL, name),
            f"{_TRIVY}KernelVersion": system.kernel_version,
            f"{_TRIVY}NodeRole": "master" if node.is_control_plane else "worker",
            f"{_TRIVY}OperatingSystem": system.operating_system,
            f"{_RESOURCE}Name": name,
            f"{_RESOURCE}Type": "node",
        },
    )
    os_name, os_version = _os_name(system.os_image)
    if os_name:
        properties = {f"{_TRIVY}Class": "os-pkgs", f"{_TRIVY}Type": os_name}
        system_ref = document.add("operating-system", os_name, version=os_version, properties=properties)
        document.relate(made, system_ref)
    programs = [_program(document, "k8s/", "k8s.io/kubelet", _plain_version(system.kubelet_version))]
    runtime, _, version = system.container_runtime_version.partition("://")
    version = _plain_version(version)
    if module := _RUNTIMES.get(runtime):
        programs.append(_program(document, "golang/", _module(module, version), version))
    core = document.add("application", "node-core-components", identity=tuple(programs))
    for program in programs:
        document.relate(core, program)
    document.relate(made, core)
    return made


def _program(document: _Document, kind: str, name: str, version: str) -> str:
    return document.add(
        "application",
        name,
        version=f"v{version}" if version else "",
        purl=_purl(kind, name, version),
        properties={f"{_RESOURCE}Name": name, f"{_RESOURCE}Type": "node"},
    )


class _Document:
    """A document on its way: components by reference, and what contains what."""

    def __init__(self) -> None:
        self._components: dict[str, Json] = {}
        self._purls: dict[str, str] = {}
        self._within: defaultdict[str, set[str]] = defaultdict(set)

    def add(
        self,
        kind: str,
        name: str,
        *,
        version: str = "",
        purl: str = "",
        properties: Mapping[str, str] | None = None,
        identity: object = None,
    ) -> str:
        """Add a component, or find it added; returns its reference.

        The reference is its package URL, but a second component of the same one, and those without, get a
        name made from what they are.
        """
        shown = [{"name": key, "value": value} for key, value in sorted((properties or {}).items()) if value]
        what = json.dumps([kind, name, version, purl, shown, identity], default=str)
        ref = str(uuid.uuid5(_NAMESPACE, what))
        if purl and self._purls.setdefault(purl, what) == what:
            ref = purl
        made = {"bom-ref": ref, "type": kind, "name": name, "version": version, "purl": purl}
        made = {**made, "properties": shown}
        self._components[ref] = {key: value for key, value in made.items() if value}
        return ref

    def relate(self, outer: str, inner: str) -> None:
        self._within[outer].add(inner)

    def finished(self, root: str, scanner_version: str, now: datetime) -> Sbom:
        components = dict(sorted(self._components.items()))
        root_component = components.pop(root)
        dependencies = [
            {"ref": outer, "dependsOn": sorted(inner)} for outer, inner in sorted(self._within.items())
        ]
        content = hashlib.sha256()
        for part in (root_component, *components.values(), *dependencies):  # one by one: others run meanwhile
            content.update(json.dumps(part).encode())
        tool = {"type": "application", "group": "aquasecurity", "name": "trivy", "version": scanner_version}
        return {
            "bomFormat": "CycloneDX",
            "specVersion": SPEC_VERSION,
            "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, content.hexdigest())}",
            "version": 1,
            "metadata": {
                "timestamp": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
                "tools": {"components": [tool]},
                "component": root_component,
            },
            "components": list(components.values()),
            "dependencies": dependencies,
        }


def _images(pod: Pod) -> Iterable[Image]:
    running = {status.name: status.image_id for status in pod.status.container_statuses}
    for container in pod.spec.containers:
        digest = repo_digest(running.get(container.name, ""))
        try:
            name = ImageName.parse(container.image)
        except ImageRefError:
            continue
        if digest is not None:
            yield Image(name.name, name.tag or "", digest)


def _purl(kind: str, name: str, version: str) -> str:
    return f"pkg:{kind}{quote(name, safe='')}" + (f"@v{quote(version, safe='')}" if version else "")


def _plain_version(version: str) -> str:
    """A version without what distributions put around it."""
    return _SUFFIX.sub("", version.removeprefix("v"))


def _module(name: str, version: str) -> str:
    """The name of a Go module, which from version 2 on ends with the major version, also in advisories."""
    major = version.partition(".")[0]
    return f"{name}/v{major}" if name in _SEMANTIC and major.isdigit() and int(major) > 1 else name


def _os_name(image: str) -> tuple[str, str]:
    """Name and version in what a node calls its system: "Ubuntu 22.04.3 LTS"."""
    words = image.split()
    at = next((place for place, word in enumerate(words) if word[:1].isdigit()), len(words))
    return " ".join(words[:at]).lower(), words[at] if at < len(words) else ""
