"""Vulnerabilities of Kubernetes itself and of what its nodes run.

Sources: the official CVE feed of Kubernetes, issue 128885 of kubernetes/kubernetes, for CVE-2024-10220; the
advisory in github.com/advisories whose GHSA id is given for containerd. Those are rated by CVSS 4 only.
"""

from __future__ import annotations

from trivyop.sandbox.registry.facts.model import GO, K8S, Affected, Score, Severity, Vulnerability

_CONTAINERD = "github.com/containerd/containerd/v2"
_CONTAINERD_RANGES = (("2.1.0", "2.1.9"), ("2.2.0", "2.2.5"), ("2.3.0", "2.3.2"))

KUBERNETES = (
    Vulnerability(
        "CVE-2024-10220",
        "kubelet: commands run outside of containers by gitRepo volumes",
        "Hooks in the repository that a gitRepo volume clones run on the node.",
        (
            Affected(
                K8S,
                "k8s.io/kubelet",
                ranges=(("", "1.28.12"), ("1.29.0", "1.29.7"), ("1.30.0", "1.30.3")),
            ),
        ),
        {"k8s": Score(8.1, "AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:N")},
        references=("https://github.com/kubernetes/kubernetes/issues/128885",),
        published="2024-11-22T17:15:06Z",
    ),
    Vulnerability(
        "CVE-2026-50195",
        "containerd: checkpoints can give images the tags of others",
        "Who may create pods can have an image pulled under any local tag, for other pods to run.",
        (Affected(GO, _CONTAINERD, ranges=_CONTAINERD_RANGES, vendor_ids=("GHSA-cvxm-645q-p574",)),),
        {},
        {"ghsa": Severity.MEDIUM},
        weaknesses=("CWE-345", "CWE-829"),
        references=("https://github.com/advisories/GHSA-cvxm-645q-p574",),
        published="2026-07-01T17:50:00Z",
    ),
)

CONTAINERD_NEWS = (
    Vulnerability(
        "CVE-2026-53492",
        "containerd: checkpoints bring devices of the host with them",
        "Annotations in a checkpoint are believed when it is restored, those that ask for devices included.",
        (Affected(GO, _CONTAINERD, ranges=_CONTAINERD_RANGES, vendor_ids=("GHSA-33vj-92qq-66hc",)),),
        {},
        {"ghsa": Severity.HIGH},
        references=("https://github.com/advisories/GHSA-33vj-92qq-66hc",),
    ),
)
