"""What the node collector is asked, compared with what the Go operator asks (``tests/data/golden-jobs``)."""

from __future__ import annotations

import base64
import bz2
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from trivyop.audit.nodes.commands import collector_arguments, commands_for, detect_platform

GOLDEN = Path(__file__).parents[3] / "data" / "golden-jobs" / "node-collector.json"


def unpacked(argument: str) -> Any:
    return yaml.safe_load(bz2.decompress(base64.b64decode(argument)))


def golden_arguments() -> dict[str, Any]:
    (container,) = json.loads(GOLDEN.read_text())["spec"]["template"]["spec"]["containers"]
    words: list[str] = container["args"][3:]
    return {flag: unpacked(value) for flag, value in zip(words[::2], words[1::2], strict=True)}


def shell(line: str, **environ: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a shell line."""
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        check=False,
        timeout=20,
        text=True,
        env={**os.environ, **environ},
    )
    return done.returncode, done.stdout, done.stderr


def in_any_order(paths: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Any:
    """Paths by component, as sets."""
    return {
        component: {what: set(found) if isinstance(found, list) else found for what, found in known.items()}
        for component, known in paths["node"].items()
    }


def ours(platform: str = "k8s") -> dict[str, Any]:
    return {flag: unpacked(value) for flag, value in collector_arguments(platform).items()}


def test_arguments_have_the_flags_of_the_go_operator_in_its_order() -> None:
    assert list(collector_arguments("k8s")) == list(golden_arguments())


def test_paths_are_those_of_all_distributions_that_the_go_operator_knows() -> None:
    assert in_any_order(ours()["--node-config"]) == in_any_order(golden_arguments()["--node-config"])


def test_kubelets_configuration_is_looked_up_where_the_go_operator_does() -> None:
    """But for one path that is misspelt there."""
    expected = golden_arguments()["--kubelet-config-mapping"]
    expected["kubeletEventQpsArgumentSet"] = "kubeletconfig.eventRecordQPS"

    assert ours()["--kubelet-config-mapping"] == expected


def test_commands_ask_for_what_the_go_operator_asks_for() -> None:
    def what(commands: list[dict[str, Any]]) -> set[tuple[str, str, str, tuple[str, ...]]]:
        return {(one["id"], one["key"], one["nodeType"], tuple(one["platforms"])) for one in commands}

    assert what(ours()["--node-commands"]["commands"]) == what(
        golden_arguments()["--node-commands"]["commands"]
    )


def test_command_has_the_fields_that_the_collector_reads() -> None:
    fields = set(golden_arguments()["--node-commands"]["commands"][0])

    assert all(set(command) == fields for command in ours()["--node-commands"]["commands"])


@pytest.mark.parametrize(
    ("platform", "count"), [("k8s", 45), ("eks", 10), ("rke2", 45), ("k3s", 45), ("gke", 45)]
)
def test_platform_without_commands_of_its_own_is_asked_as_any(platform: str, count: int) -> None:
    assert len(commands_for(platform)) == count


@pytest.mark.parametrize("command", commands_for("k8s"), ids=lambda command: command.key)
def test_line_that_finds_nothing_says_nothing_and_does_not_fail(command: Any, tmp_path: Path) -> None:
    line = command.audit
    for place, there in (
        ("$kubelet.bins", "no such program"),
        ("$proxy.bins", "no such program"),
        ("/*/cni/*", f"{tmp_path}/cni/*"),
    ):
        line = line.replace(place, there)
    for component in ("apiserver", "controllermanager", "scheduler", "etcd", "kubelet"):
        for what in ("confs", "kubeconfig", "svc", "datadirs", "cafile"):
            line = line.replace(f"${component}.{what}", f"{tmp_path}/{what}/{component}.yaml")
    line = line.replace("/etc/kubernetes", str(tmp_path))

    assert shell(line) == (0, "", "")


PROCESSES = """\
root   1  0 /sbin/init
root  80  1 kubelet --anonymous-auth=false --feature-gates=X=1,RotateKubeletServerCertificate=false,Y=1
root  90  1 sh -c LINE
root  91 90 grep kubelet
"""


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("kubeletAnonymousAuthArgumentSet", "false"),
        ("kubeletRotateKubeletServerCertificateArgumentSet", "false"),
        ("kubeletTlsCertFileTlsArgumentSet", ""),
    ],
)
def test_argument_of_a_process_is_found_and_the_line_does_not_find_itself(
    key: str, found: str, tmp_path: Path
) -> None:
    (command,) = [one for one in commands_for("k8s") if one.key == key]
    line = command.audit.replace("$kubelet.bins", "kubelet")
    (tmp_path / "processes").write_text(PROCESSES.replace("LINE", line))
    program = tmp_path / "ps"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/processes\n")
    program.chmod(0o755)

    assert shell(line, PATH=f"{tmp_path}:{os.environ['PATH']}") == (0, found + "\n" * bool(found), "")


@pytest.mark.parametrize(
    ("version", "names", "openshift", "platform"),
    [
        ("v1.31.0", ["n1"], False, "k8s"),
        ("v1.31.0+k3s1", ["n1"], False, "k3s"),
        ("v1.31.0+rke2r1", ["n1"], False, "rke2"),
        ("v1.31.0-eks-1234", ["n1"], False, "eks"),
        ("v1.31.0-gke.100", ["n1"], False, "gke"),
        ("v1.31.0", ["aks-pool-1", "zz"], False, "aks"),
        ("v1.31.0", ["n1"], True, "ocp"),
        ("", [], False, "k8s"),
    ],
)
def test_platform_is_told_by_version_and_names(
    version: str, names: list[str], openshift: bool, platform: str
) -> None:
    assert detect_platform(version, names, openshift=openshift) == platform
