"""A sandbox's kubeconfig: private, gone with the sandbox, and never in the place of another cluster's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from trivyop.cli.kubeconfig import kubeconfig_file
from trivyop.errors import TerminalError


def config_of(cluster: str, server: str = "https://127.0.0.1:1") -> dict[str, Any]:
    return {"kind": "Config", "clusters": [{"name": cluster, "cluster": {"server": server}}]}


def test_file_is_its_owners_only_and_goes_with_the_directories_made_for_it(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "kubeconfig"

    with kubeconfig_file(path, config_of("sandbox")):
        assert yaml.safe_load(path.read_text()) == config_of("sandbox")
        assert path.stat().st_mode & 0o777 == 0o600

    assert list(tmp_path.iterdir()) == []


def test_directory_that_was_there_stays(tmp_path: Path) -> None:
    with kubeconfig_file(tmp_path / "kubeconfig", config_of("sandbox")):
        pass

    assert tmp_path.exists()


def test_directory_that_others_use_meanwhile_stays(tmp_path: Path) -> None:
    with kubeconfig_file(tmp_path / "demo" / "kubeconfig", config_of("sandbox")):
        (tmp_path / "demo" / "notes").write_text("mine")

    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["notes"]


def test_kubeconfig_of_a_sandbox_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config_of("sandbox", "https://127.0.0.1:2")))
    path.chmod(0o644)

    with kubeconfig_file(path, config_of("sandbox")):
        assert yaml.safe_load(path.read_text()) == config_of("sandbox")
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        yaml.safe_dump(config_of("production")),
        yaml.safe_dump({"clusters": [{"name": "sandbox"}, {"name": "production"}]}),
        "just a list:\n- of things\n",
        "no: [yaml",
        "text",
        "[]",
    ],
)
def test_any_other_file_is_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)

    with pytest.raises(TerminalError, match="another cluster's kubeconfig"), kubeconfig_file(path, {}):
        pass

    assert path.read_text() == content


def test_file_that_a_later_sandbox_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"

    with kubeconfig_file(path, config_of("sandbox")):
        path.write_text("another's")

    assert path.read_text() == "another's"
