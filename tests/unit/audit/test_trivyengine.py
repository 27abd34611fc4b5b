"""What Trivy's end means: whose fault it is; with programs that end to order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scarcity import no_more_files
from tests.unit.audit.running import audit_settings, pod
from trivyop.audit.engine import AuditError, AuditFailure
from trivyop.audit.policies import Policies
from trivyop.audit.results import ResultReader
from trivyop.audit.trivyengine import TrivyEngine


@pytest.mark.parametrize(
    ("script", "reason", "everyone"),
    [
        ("echo 'FATAL\tFatal error\twrite x: no space left on device' >&2; exit 1", "scanner", True),
        ("exit 127", "scanner", True),
        ("kill -TERM $$", "scanner", True),
        ("kill -KILL $$", "memory", False),
        ("echo 'fatal error: runtime: out of memory' >&2; exit 2", "memory", False),
        ("echo 'FATAL\tFatal error\tthe resource is poisoned' >&2; exit 1", "scanner", False),
    ],
)
async def test_exit_says_whose_fault_it_is(tmp_path: Path, script: str, reason: str, everyone: bool) -> None:
    """A full disk is not laid to the subjects that were audited just then."""
    program = tmp_path / "trivy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    engine = TrivyEngine(audit_settings(OPERATOR_TRIVY_PROGRAM=str(program)))

    with pytest.raises(AuditError) as caught:
        await engine.run([pod("web")], Policies())

    assert (caught.value.reason, caught.value.everyone) == (AuditFailure(reason), everyone)


async def test_result_that_cannot_be_opened_just_now_is_nobodys_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trivy has done its work; a policy is not given up because the operator has no more files."""
    program = tmp_path / "trivy"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    engine = TrivyEngine(audit_settings(OPERATOR_TRIVY_PROGRAM=str(program)))
    read = ResultReader.read

    def read_without_files(self: ResultReader, *args: Any) -> object:
        with no_more_files():
            return read(self, *args)

    monkeypatch.setattr(ResultReader, "read", read_without_files)

    with pytest.raises(AuditError, match="Too many open files") as caught:
        await engine.run([pod("web")], Policies())

    assert caught.value.everyone
