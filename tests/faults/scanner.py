"""A stand-in for Trivy in scan pods: it answers at once, with what Trivy once found in ``shop/web:1.0``.

Each scan is noted down, so that tests can tell which image was scanned how often.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.e2e.harness import NAMESPACE, Cluster, pod
from trivyop.kube.resources import CONFIGMAPS, ObjectKey
from trivyop.settings.configmaps import TRIVY_CONFIG

RECORDED = Path(__file__).parent / "recorded"

_SCRIPT = """\
#!/bin/sh
# Trivy, as far as scan pods need it: every image has the findings that were recorded.
case "$*" in *--download-db-only*) exit 0 ;; esac
for word in "$@"; do
  [ "$previous" = --output ] && output=$word
  previous=$word
done
results={recorded}
[ -e {directory}/result.json ] && results={directory}
if [ "$1" = convert ]; then
  cp $results/bom.json "$output"
  exit
fi
[ "$1" = sbom ] && exit 1  # bills of materials are not what is tested with this
echo "$previous" >>{directory}/scanned
[ -e {directory}/slow ] && sleep "$(cat {directory}/slow)"
sed "s|@REFERENCE@|$previous|g" $results/result.json >"$output"
[ -e {directory}/spaces ] && head -c "$(cat {directory}/spaces)" /dev/zero | tr '\\0' ' ' >>"$output"
:
"""

# What makes an operator need nothing but the API server.
WITHOUT_DATABASE = {
    "OPERATOR_REMATCH_ENABLED": "false",
    "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "10",
}


@dataclass(frozen=True, slots=True)
class Scanner:
    """The programs that pods find first: ``running_cluster(..., programs_first=scanner.directory)``."""

    directory: Path

    @classmethod
    def install(cls, directory: Path) -> Self:
        directory.mkdir(parents=True)
        program = directory / "trivy"
        program.write_text(_SCRIPT.format(directory=directory, recorded=RECORDED))
        program.chmod(0o755)
        return cls(directory)

    def slow_down(self, seconds: float) -> None:
        """Let each scan from now on take that much longer."""
        (self.directory / "slow").write_text(str(seconds))

    def pad(self, size: int) -> None:
        """Let each result from now on be that many bytes larger, which say nothing."""
        (self.directory / "spaces").write_text(str(size))

    def answer(self, times: int) -> None:
        """Let results from now on have each finding and each component that many times, as different ones."""
        result = json.loads((RECORDED / "result.json").read_bytes())
        for one in result["Results"]:
            found = one.get("Vulnerabilities", [])
            one["Vulnerabilities"] = [
                {**each, "VulnerabilityID": f"{each['VulnerabilityID']}{n:05}"}
                for each in found
                for n in range(times)
            ]
        bom = json.loads((RECORDED / "bom.json").read_bytes())
        bom["components"] = [
            {**each, "bom-ref": f"{each['bom-ref']}-{n}"} for each in bom["components"] for n in range(times)
        ]
        (self.directory / "bom.json").write_text(json.dumps(bom))
        (self.directory / "result.json").write_text(json.dumps(result))

    def scanned(self) -> Counter[str]:
        """How often each image was begun to be scanned, by its pinned reference."""
        noted = self.directory / "scanned"
        return Counter(noted.read_text().splitlines()) if noted.exists() else Counter()


def image(n: int) -> str:
    """An image that no registry has; nodes invent its digest from its name."""
    return f"registry.example/app-{n}:1"


def bare_pod(n: int, namespace: str = "shop") -> dict[str, object]:
    """A bare Pod with an image of its own."""
    return pod(f"w{n}", namespace, app=image(n))


async def use_no_database(cluster: Cluster) -> None:
    """Let scan pods ask a Trivy server, which spares them the database, and us half of the time."""
    mode = {"trivy.mode": "ClientServer", "trivy.serverURL": "http://trivy.example:4954"}
    key = ObjectKey(NAMESPACE, TRIVY_CONFIG)
    await cluster.api.patch(CONFIGMAPS, key, {"data": mode})
