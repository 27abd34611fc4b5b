"""What commands that talk to a cluster share: their arguments, and the API client."""

from __future__ import annotations

import argparse

from trivyop.control.clock import SystemClock
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.kube.permissions import Permissions

DEFAULT_NAMESPACE = "trivy-system"


def add_cluster_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which cluster."""
    parser.add_argument(
        "--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, the pod's service account, ~/.kube/config"
    )
    parser.add_argument("--context", help="context of the kubeconfig; default: its current one")


async def cluster_config(arguments: argparse.Namespace) -> ClusterConfig:
    """The cluster that the arguments name; ``ConfigError`` if there is none."""
    return await ClusterConfig.load(arguments.kubeconfig, arguments.context)


async def looking_at(arguments: argparse.Namespace) -> Api:
    """A client for a command that looks at the cluster once: it cannot wait minutes for a permission."""
    return Api(await cluster_config(arguments), permissions=Permissions(SystemClock(), hurried=True))
