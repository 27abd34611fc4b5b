"""The sandbox's node collector honours the contract of the real one: arguments in, a NodeInfo out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from trivyop.audit.nodes.commands import collector_arguments
from trivyop.audit.nodes.info import read_info
from trivyop.sandbox.nodecollector import (
    collect,
    configured,
    main,
    read_configz,
    run_line,
    values_of,
    with_paths,
)


def arguments(platform: str = "k8s") -> list[str]:
    return ["k8s", "--node", "n1", *(word for pair in collector_arguments(platform).items() for word in pair)]


def test_arguments_of_the_operator_give_a_document_that_the_operator_reads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments()) == 0

    printed = capsys.readouterr().out
    info = read_info(printed.encode())
    assert info.type == "worker"
    assert "kubeletConfFilePermissions" in info.info
    assert "kubeAPIServerSpecFilePermission" not in info.info, "that is asked of a master"
    assert json.loads(printed)["metadata"]["creationTimestamp"].endswith("Z")


@pytest.mark.parametrize("change", ["--node-config", "--kubelet-config-mapping", "--node-commands"])
def test_arguments_that_can_not_be_read_are_an_error(change: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = arguments()
    words[words.index(change) + 1] = "bm90IGJ6aXAy"

    assert main(words) == 1
    assert capsys.readouterr().out == ""


def test_files_of_this_machine_are_looked_at(tmp_path: Path) -> None:
    here = tmp_path / "kubelet.conf"
    here.write_text("")
    here.chmod(0o640)
    command = {"key": "mode", "nodeType": "worker", "audit": "stat -c %a $kubelet.kubeconfig"}
    node = {"kubelet": {"kubeconfig": [str(tmp_path / "none"), str(here)], "defaultkubeconfig": "/none"}}

    assert collect([command], node, {})["info"] == {"mode": {"values": [640]}}
    told = {"mode": {"values": [600]}, "other": {"values": ["true"]}}
    assert collect([command], node, told)["info"] == told


def test_first_that_exists_or_runs_counts_else_the_default(tmp_path: Path) -> None:
    node = {
        "kubelet": {"confs": [str(tmp_path / "a"), str(tmp_path)], "defaultconf": "/c", "bins": ["x y", "y"]}
    }

    assert with_paths("$kubelet.confs", node, "") == str(tmp_path)
    assert with_paths("$kubelet.confs", {"kubelet": {**node["kubelet"], "confs": []}}, "") == "/c"
    assert with_paths("$kubelet.bins", node, "1 0 x y --flag") == "x y"
    assert with_paths("$kubelet.bins", node, "1 0 y") == "y"
    assert with_paths("$HOME $1 $(x) $none.confs", node, "") == "$HOME $1 $(x) "


def test_configuration_answers_what_it_has_as_the_real_one_says_it() -> None:
    mapping = {
        "anonymous": "kubeletconfig.authentication.anonymous.enabled",
        "port": "kubeletconfig.readOnlyPort",
        "suites": "kubeletconfig.tlsCipherSuites",
        "absent": "kubeletconfig.authorization.mode",
        "deep": "kubeletconfig.readOnlyPort.more",
    }
    told = {
        "authentication": {"anonymous": {"enabled": False}},
        "readOnlyPort": 0,
        "tlsCipherSuites": ["a", "b"],
    }

    assert configured({"kubeletconfig": told}, mapping) == {
        "anonymous": {"values": ["false"]},
        "port": {"values": [0]},
        "suites": {"values": ["a", "b"]},
    }
    assert configured(None, mapping) == {}


def test_kubelet_that_can_not_be_asked_says_nothing(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    assert read_configz("n1", {}) is None
    assert read_configz("n1", {**environ, "TRIVYOP_SERVICEACCOUNT_DIR": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("output", "values"),
    [
        ("", []),
        ("\n", []),
        ("600\n", [600]),
        ("600\n644\n", [600, 644]),
        ("root:root\n", ["root:root"]),
        ("A,B\n", ["A", "B"]),
        ("true", ["true"]),
    ],
)
def test_values_are_those_of_the_real_one(output: str, values: list[str | int]) -> None:
    assert values_of(output) == values


def test_line_that_fails_has_no_answer() -> None:
    assert run_line("echo 600; exit 3") == ""
    assert run_line(f"echo {os.getpid()}") == f"{os.getpid()}\n"
