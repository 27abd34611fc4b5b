"""`trivyop sandbox`: a cluster in one process, for trying things out and for tests."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from trivyop.cli.extras import needs_extra
from trivyop.cli.kubeconfig import kubeconfig_file
from trivyop.cli.run import stop_on_signals
from trivyop.errors import TerminalError
from trivyop.observe.logging import LEVELS, configure_logging

if TYPE_CHECKING:
    from trivyop.sandbox.cluster import Component, Sandbox

_COMPONENTS = "apiserver,controllers,kubelet,registry"
_MAX_PORT = 65535


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:  # pyright: ignore[reportPrivateUsage] - argparse has no public name for it
    parser = commands.add_parser(
        "sandbox",
        help="run a Kubernetes cluster in one process",
        description="Run a cluster in one process: an API server in memory, the controllers that matter, a "
        "node that runs scan pods as local processes, and a registry with small images. Needs the extra "
        "'sandbox'. See docs/sandbox.md.",
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 0),
        metavar="HOST:PORT",
        help="of the API server; port 0 is any free one; default: 127.0.0.1:0",
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        default=Path("sandbox.kubeconfig"),
        metavar="FILE",
        help="where to write the credentials, for as long as the sandbox runs; without the component "
        "apiserver: which API server to use; default: sandbox.kubeconfig",
    )
    parser.add_argument(
        "--components", default=_COMPONENTS, metavar="LIST", help=f"default: {_COMPONENTS}, which is all"
    )
    parser.add_argument(
        "--node-name", default="sandbox-node", metavar="NAME", help="of the kubelet; default: sandbox-node"
    )
    parser.add_argument(
        "--slow-start",
        action="store_true",
        help="let the API server answer 503, then 403 and 429 for up to two seconds, as real ones do after "
        "a start; whoever is in the group system:masters is not denied anything",
    )
    parser.add_argument("--log-level", choices=LEVELS, default="warning", help="default: warning")
    parser.set_defaults(command=sandbox)


async def sandbox(arguments: argparse.Namespace) -> int:
    """Run until a signal; returns 0."""
    with needs_extra("sandbox"):
        from trivyop.sandbox.apiserver.starting import Starting  # noqa: PLC0415 - as the line above says
        from trivyop.sandbox.cluster import (  # noqa: PLC0415 - as the line above says
            Component,
            SandboxOptions,
            running_sandbox,
        )

    configure_logging(arguments.log_level)
    components = parse_components(arguments.components, tuple(Component))
    stop = stop_on_signals()
    host, port = arguments.listen
    kubeconfig: Path = arguments.kubeconfig.absolute()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="trivyop-sandbox-"))
        options = SandboxOptions(
            root_dir=Path(directory),
            host=host,
            port=port,
            components=components,
            kubeconfig=str(kubeconfig),
            node_name=arguments.node_name,
            starting=Starting() if arguments.slow_start else None,
        )
        async with running_sandbox(options) as cluster:
            if cluster.server is not None:
                stack.enter_context(kubeconfig_file(kubeconfig, cluster.kubeconfig()))
            print(_description(cluster, arguments.node_name, kubeconfig), flush=True)
            await stop.wait()
    return 0


def parse_components(text: str, known: tuple[Component, ...]) -> frozenset[Component]:
    """Read ``kubelet,registry``; raises ``TerminalError`` for what is not known, and for nothing at all."""
    by_name = {component.value: component for component in known}
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(by_name):
        raise TerminalError(f"--components {text!r}: choose from {', '.join(by_name)}")
    return frozenset(by_name[name] for name in names)


def _address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``[::1]:PORT`` too."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host) or not port.isdecimal() or int(port) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return bare, int(port)


def _description(cluster: Sandbox, node_name: str, kubeconfig: Path) -> str:
    """What runs, and how to use it."""
    parts = [
        ("API server", cluster.server.url if cluster.server else ""),
        ("node", node_name if cluster.kubelet else ""),
        ("registry", cluster.registry.address if cluster.registry else ""),
    ]
    lines = [f"{name:<12}{value}" for name, value in parts if value]
    if cluster.server is not None:
        lines += ["", f"export KUBECONFIG={kubeconfig}", "kubectl get nodes"]
    return "\n".join([*lines, "", "Ctrl-C ends it."])
