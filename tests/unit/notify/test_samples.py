"""The samples in the documentation are what is sent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.unit.notify.reports import Json, change, report, vulnerability
from trivyop.kube.resources import ObjectKey
from trivyop.notify.endpoint import Endpoint
from trivyop.notify.events import Event, ScanFailed
from trivyop.notify.filters import EventType, Filter, filter_kinds
from trivyop.notify.findings import diff
from trivyop.notify.formats import FORMATS, DigestFormat, Message
from trivyop.report.findings import Severity
from trivyop.settings.kinds import SecretText

PAGE = Path(__file__).parents[3] / "docs/webhook-formats.md"
NOW = datetime(2026, 1, 2, 3, 15, tzinfo=UTC)
REPORT = report(
    vulnerability(
        "CVE-2023-5363",
        fixed="3.0.11-1~deb12u2",
        installedVersion="3.0.11-1~deb12u1",
        title="openssl: Incorrect cipher key and IV length processing",
        primaryLink="https://avd.aquasec.com/nvd/cve-2023-5363",
    )
)
FAILED = ScanFailed(
    ObjectKey("trivy-system", "sha256-90de86a798a8775345771c724bcc1be2-linux-amd64"),
    "6b3dd44c-1d77-4d43-b277-a22e2df42000",
    "shop.example.com/old:0.9",
    "sha256:90de86a798a8775345771c724bcc1be2c4c1d0b1f0d7a1c1a3b0a5e6f7d8c9b0",
    "linux/amd64",
    "not-found",
    "MANIFEST_UNKNOWN: manifest unknown",
    3,
    ("Deployment/shop/old",),
    NOW,
    "h1",
)


def messages(format_name: str, *events: Event, envelope: bool = False) -> list[Message]:
    """What an endpoint called "sample" of a cluster called "prod" is sent."""
    endpoint = Endpoint(
        name="sample", url=SecretText("https://unused"), format=format_name, envelope=envelope, cluster="prod"
    )
    found = diff(None, REPORT)
    format_ = FORMATS[format_name]
    if isinstance(format_, DigestFormat):
        notes = [format_.note(event, found, endpoint) for event in events]
        return list(format_.digest([note for note in notes if note is not None], endpoint, NOW))
    return [message for event in events for message in format_.render(event, found, endpoint, NOW)]


def samples() -> dict[str, Json]:
    told = change(REPORT)
    updated, added = messages("cloudevents", told)
    made = {
        "trivy-operator": messages("trivy-operator", told, envelope=True)[0],
        "report.updated": updated,
        "finding.added": added,
        "scan.failed": messages("cloudevents", FAILED)[0],
        "slack": messages("slack", told, FAILED)[0],
        "teams": messages("teams", told, FAILED)[0],
    }
    return {name: orjson.loads(message.body) for name, message in made.items()}


def documented(name: str) -> str:
    found = re.search(
        rf"<!-- sample: {re.escape(name)} -->\n\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", samples())
def test_documented_sample_is_what_is_sent(name: str) -> None:
    assert orjson.loads(documented(name)) == samples()[name]


@pytest.mark.parametrize("name", [*FORMATS, *filter_kinds(), *EventType, *Severity, *Filter.KEYS])
def test_every_word_of_a_configuration_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE.read_text()


def test_documented_filter_is_one() -> None:
    found = re.search(r"```yaml\nfilter:\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    keys = re.findall(r"^  (\w+):", found[1], re.MULTILINE)

    assert keys == list(Filter.KEYS)
