"""A stand-in for the node collector: does here what it is told, and prints what the real one would.

It takes the real one's arguments: shell lines, paths to put into them, and where a kubelet's configuration
has the same, each as YAML in bzip2 in base64. Each line runs in a shell of its own, with a deadline; what
fails counts as no answer. The node's kubelet is asked for its configuration through the API server, as the
service account of the pod; what it says counts for more. Without it, the lines' answers are all there is.

Promises: one NodeInfo on the standard output and exit code 0, or a message on the error output and another.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import json
import os
import re
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, cast

import yaml

from trivyop.kube.config import SERVICE_ACCOUNT_DIR, SERVICE_ACCOUNT_VARIABLE

LINE_SECONDS = 5.0
ASK_SECONDS = 10.0
MASTER, WORKER = "master", "worker"
_MASTER_FILE = "/etc/kubernetes/manifests/kube-apiserver.yaml"
_PLACE = re.compile(r"\$([a-z]+)\.([a-z]+)")
_DEFAULTS = {
    "confs": "defaultconf",
    "kubeconfig": "defaultkubeconfig",
    "svc": "defaultsvc",
    "cafile": "defaultcafile",
    "datadirs": "defaultdatadir",
}


def unpacked(argument: str) -> Any:
    """The data of an argument; raises ``ValueError`` for anything else."""
    try:
        return yaml.safe_load(bz2.decompress(base64.b64decode(argument, validate=True)))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(str(error)) from None


def with_paths(line: str, node: Mapping[str, Mapping[str, Any]], processes: str) -> str:
    """The shell line with ``$component.what`` replaced: by what exists or runs, else by the default."""

    def found(place: re.Match[str]) -> str:
        component, what = node.get(place[1], {}), place[2]
        candidates: Sequence[str] = component.get(what) or ()
        if what == "bins":
            running = (one for one in candidates if one in processes)
            return next(running, candidates[-1] if candidates else place[1])
        existing = (one for one in candidates if os.path.exists(one))
        return next(existing, str(component.get(_DEFAULTS.get(what, ""), "")))

    return _PLACE.sub(found, line)


def run_line(line: str) -> str:
    """What a shell line prints; "" if it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S602 - a shell line is what it is told to run
            line, shell=True, capture_output=True, timeout=LINE_SECONDS, stdin=subprocess.DEVNULL, check=False
        )
    except (subprocess.TimeoutExpired, OSError):
        return ""
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def values_of(output: str) -> list[str | int]:
    """The values in an output: one per line, or between commas; whole numbers as such."""
    words = output.removesuffix("\n").replace("\n", ",")
    return [int(word) if word.isascii() and word.isdigit() else word for word in words.split(",") if words]


def read_configz(node: str, environ: Mapping[str, str]) -> Any:
    """What the node's kubelet says it runs with; None if it cannot be asked, for whatever reason."""
    account = Path(environ.get(SERVICE_ACCOUNT_VARIABLE) or SERVICE_ACCOUNT_DIR)
    try:
        tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
        host, port = environ["KUBERNETES_SERVICE_HOST"], int(environ["KUBERNETES_SERVICE_PORT"])
        with closing(HTTPSConnection(host, port, timeout=ASK_SECONDS, context=tls)) as connection:
            token = (account / "token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("GET", f"/api/v1/nodes/{node}/proxy/configz", headers=headers)
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, HTTPException, KeyError, ValueError):
        return None


def configured(configz: Any, mapping: Mapping[str, str]) -> dict[str, Any]:
    """The answers that a kubelet's configuration has; those that it says nothing of are left out."""
    found: dict[str, Any] = {}
    for key, path in mapping.items():
        value = configz
        for name in path.split("."):
            value = cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None
        if value is not None:
            words = cast("list[Any]", value) if isinstance(value, list) else [value]
            found[key] = {"values": [str(one).lower() if isinstance(one, bool) else one for one in words]}
    return found


def collect(
    commands: Sequence[Mapping[str, Any]], node: Mapping[str, Any], answers: Mapping[str, Any]
) -> dict[str, Any]:
    """The NodeInfo of this machine; ``answers`` count for more than what commands find."""
    node_type = MASTER if os.path.exists(_MASTER_FILE) else WORKER
    processes = run_line("ps -ef")
    info = {
        command["key"]: {"values": values_of(run_line(with_paths(command["audit"], node, processes)))}
        for command in commands
        if node_type in (MASTER, command["nodeType"])
    }
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "NodeInfo",
        "metadata": {"creationTimestamp": now},
        "type": node_type,
        "info": dict(sorted({**info, **answers}.items())),
    }


def main(words: Sequence[str] | None = None) -> int:
    """Read the arguments, print the NodeInfo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="node-collector")
    parser.add_argument("target", choices=["k8s"])
    parser.add_argument("--node", required=True)
    parser.add_argument("--node-config", required=True)
    parser.add_argument("--kubelet-config-mapping", required=True)
    parser.add_argument("--node-commands", required=True)
    arguments = parser.parse_args(words)
    try:
        node: Mapping[str, Any] = unpacked(arguments.node_config)["node"]
        commands: Sequence[Mapping[str, Any]] = unpacked(arguments.node_commands)["commands"]
        mapping: Mapping[str, str] = dict(unpacked(arguments.kubelet_config_mapping))
    except (ValueError, KeyError, TypeError) as error:
        print(f"node-collector: arguments that cannot be read: {error}", file=sys.stderr)
        return 1
    answers = configured(read_configz(arguments.node, os.environ), mapping)
    print(json.dumps(collect(commands, node, answers), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
