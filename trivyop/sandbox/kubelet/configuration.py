"""The configuration that the node agent says it runs with: that of a node that kubeadm set up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CONFIGURATION: Final[Mapping[str, Any]] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True, "cacheTTL": "2m0s"},
        "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "eventRecordQPS": 50,
    "makeIPTablesUtilChains": True,
    "rotateCertificates": True,
    "streamingConnectionIdleTimeout": "4h0m0s",
}
"""What it does not have is what a kubelet leaves out, too: ``readOnlyPort`` 0, files that are not named."""
