"""With the bundle of checks that is published, reports on roles are those that the Go operator writes.

The bundle is put together from the checks' released sources, which come as a Go module; they are read only.
The recording was made with a later release of them; what is compared here is the same in both.
"""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.parity.test_audits import recorded_objects, recorded_reports
from tests.unit.audit.running import audit_all, auditing, subject_of
from trivyop.audit.engine import AuditError
from trivyop.report.checkids import canonical
from trivyop.sandbox.programs import trivy
from trivyop.sandbox.registry.oci import Blob, Image, gzip_stored, tar
from trivyop.sandbox.registry.server import Registry
from trivyop.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MODULE = "github.com/aquasecurity/trivy-checks@v1.10.0"
ROLES = ("Role", "ClusterRole")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the sources of the checks; skips where there is no Go, or no way to its modules."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("no program `go` here, which brings the sources of the checks")
    try:
        done = subprocess.run(
            [go, "mod", "download", "-json", MODULE],
            capture_output=True,
            timeout=120,
            check=False,
            cwd=tmp_path_factory.mktemp("go"),
        )
    except subprocess.TimeoutExpired:
        pytest.skip("the Go module proxy does not answer")
    answer = orjson.loads(done.stdout) if done.stdout else {}
    if "Dir" not in answer:
        pytest.skip(f"the sources of the checks cannot be had: {answer.get('Error') or done.stderr.decode()}")
    return Path(answer["Dir"])


def files(sources: Path) -> Iterator[tuple[str, bytes]]:
    """The files of the bundle as its makers lay them out: checks for Kubernetes, and what they import."""
    for directory, place in (
        ("checks/kubernetes", "policies/kubernetes/policies"),
        ("lib/kubernetes", "policies/kubernetes/lib"),
    ):
        for path in sorted((sources / directory).rglob("*.rego")):
            if not path.name.endswith("_test.rego"):
                yield f"{place}/{path.relative_to(sources / directory)}", path.read_bytes()


async def test_reports_on_roles_are_those_of_the_go_operator(sources: Path, tmp_path: Path) -> None:
    """Check by check and message by message, all of them."""
    contents = {".manifest": b'{"revision":"1","roots":[""]}', **dict(files(sources))}
    layer = Blob("application/vnd.cncf.openpolicyagent.layer.v1.tar+gzip", gzip_stored(tar(contents)))
    image = Image.artifact("application/vnd.cncf.openpolicyagent.config.v1+json", layer, "bundle.tar.gz")
    roles = [one for one in recorded_objects() if one["kind"] in ROLES]
    async with Registry({"trivy-checks:1": image}) as registry:
        settings = load_settings(
            {
                "OPERATOR_NAMESPACE": "trivy-system",
                "OPERATOR_TRIVY_PROGRAM": str(trivy()),
                "OPERATOR_TRIVY_CACHE_DIR": str(tmp_path),
            },
            configmap={"policies.bundle.oci.ref": f"{registry.address}/trivy-checks:1"},
        )
        async with auditing(settings=settings) as auditor:
            assert auditor.policies.bundle_digest == registry.digest("trivy-checks:1")
            outcomes = await audit_all(auditor, [subject_of(one) for one in roles])

    golden = recorded_reports()
    differing: dict[tuple[str, str], tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]] = {}
    for one, outcome in zip(roles, outcomes, strict=True):
        assert not isinstance(outcome, AuditError)
        meta = one["metadata"]
        found = Counter((canonical(each.id), each.message) for each in outcome if not each.success)
        expected = golden.get((one["kind"], meta.get("namespace", ""), meta["name"]), Counter())
        if found != expected:
            differing[one["kind"], meta["name"]] = (found - expected, expected - found)
    assert len(roles) >= 80
    assert differing == {}
