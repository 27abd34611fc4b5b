"""What the operator's image holds: the package as the Containerfile builds it, without the sandbox."""

from __future__ import annotations

import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.harness import operator_process, pod, running_cluster
from tests.e2e.programs import ROOT, TRIVYOP, run
from trivyop.kube.resources import VULNERABILITYREPORTS

_CONTAINERFILE = (ROOT / "deploy" / "kustomize" / "Containerfile").read_text()
# The tests' own venv finds modules of an editable installation that the package here does not have.
_NO_EDITABLE = """\
import sys

sys.meta_path[:] = [
    finder for finder in sys.meta_path if not getattr(finder, "__module__", "").startswith("__editable__")
]
"""
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture
async def installed(tmp_path: Path) -> Path:
    """The folder of the package: what the Containerfile copies, less what it removes, built and unpacked."""
    source, wheels, installed = tmp_path / "source", tmp_path / "wheels", tmp_path / "installed"
    source.mkdir()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", _CONTAINERFILE, re.MULTILINE):
        for name in line.split():
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source / name)
    for name in re.findall(r"\brm -r (\S+)", _CONTAINERFILE):
        shutil.rmtree(source / name)
    done = await run(sys.executable, "-c", _BUILD, wheels, cwd=source)
    assert done.code == 0, done.err
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(installed)
    (installed / "sitecustomize.py").write_text(_NO_EDITABLE)
    return installed


async def test_image_has_no_sandbox_and_says_so(installed: Path) -> None:
    environ = {"PYTHONPATH": str(installed)}

    assert not (installed / "trivyop" / "sandbox").exists()
    assert (installed / "trivyop" / "py.typed").exists()
    assert (await run(TRIVYOP, "--help", **environ)).code == 0
    for command in ("sandbox", "demo"):
        done = await run(TRIVYOP, command, "--kubeconfig", installed / "kubeconfig", **environ)
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            "trivyop: this command needs the sandbox, which the operator's image does not have; "
            "elsewhere: pip install 'trivyop[sandbox]'\n"
        )


async def test_operator_works_without_the_sandbox(installed: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with running_cluster(tmp_path / "cluster") as cluster:
        await cluster.create(pod("app", "shop", app=cluster.image("library/single:1")))
        async with operator_process(cluster, log=log, environ={"PYTHONPATH": str(installed)}):
            await cluster.until(len, VULNERABILITYREPORTS)

    assert "Traceback" not in log.read_text()
