"""`trivyop sandbox`: a cluster in one process, for trying things out and for tests."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import yaml

from trivyop.cli.run import stop_on_signals
from trivyop.errors import TerminalError
from trivyop.observe.logging import LEVELS, configure_logging


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
        default="127.0.0.1:0",
        metavar="HOST:PORT",
        help="of the API server; default: any free port",
    )
    parser.add_argument(
        "--kubeconfig",
        default="sandbox.kubeconfig",
        metavar="FILE",
        help="where to write the credentials; without the component apiserver: which API server to use",
    )
    parser.add_argument(
        "--components",
        default="apiserver,controllers,kubelet,registry",
        metavar="LIST",
        help="default: apiserver,controllers,kubelet,registry",
    )
    parser.add_argument("--log-level", choices=LEVELS, default="warning")
    parser.set_defaults(command=sandbox)


async def sandbox(arguments: argparse.Namespace) -> int:
    """Run until a signal; returns 0."""
    from trivyop.sandbox.cluster import SandboxOptions, running_sandbox  # noqa: PLC0415 - needs an extra

    configure_logging(arguments.log_level)
    host, _, port = arguments.listen.rpartition(":")
    if not host or not port.isdigit():
        raise TerminalError(f"--listen {arguments.listen!r}: write HOST:PORT")
    components = _components(arguments.components)
    stop = stop_on_signals()
    kubeconfig = Path.cwd() / arguments.kubeconfig
    with tempfile.TemporaryDirectory(prefix="trivyop-sandbox-") as directory:
        options = SandboxOptions(
            root_dir=Path(directory),
            host=host.strip("[]"),
            port=int(port),
            components=components,
            kubeconfig=arguments.kubeconfig,
        )
        async with running_sandbox(options) as cluster:
            if cluster.server is not None:
                write_kubeconfig(kubeconfig, cluster.kubeconfig())
                _say(f"API server   {cluster.server.url}")
            if cluster.registry is not None:
                _say(f"registry     {cluster.registry.address}")
            _say(f"\nexport KUBECONFIG={kubeconfig}\nkubectl get nodes\n\nCtrl-C ends it.")
            await stop.wait()
    return 0


def _components(text: str) -> frozenset[Any]:
    from trivyop.sandbox.cluster import Component  # noqa: PLC0415 - needs an extra

    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Component)]
    if unknown or not names:
        raise TerminalError(f"--components {text!r}: choose from {', '.join(Component)}")
    return frozenset(Component(name) for name in names)


def write_kubeconfig(path: Path, document: dict[str, Any]) -> None:
    """Write credentials that only their owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    path.chmod(0o600)
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _say(text: str) -> None:
    print(text, flush=True)
