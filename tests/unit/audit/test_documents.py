"""Any JSON is handed to Trivy in a way that it reads."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.audit.running import audit_all, auditing, failed_ids, pod
from trivyop.audit.documents import Family, family_of, write_document
from trivyop.audit.engine import AuditError, AuditFailure, Subject

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "data"]), JSON))
def test_the_document_stays_the_same(document: dict[str, Any]) -> None:
    """As JSON untouched; as YAML with the same meaning."""
    data = orjson.dumps({"apiVersion": "v1", "kind": "Thing", **document})

    written = write_document(data)

    assert written.family == Family("v1", "Thing")
    if written.suffix == ".json":
        assert written.data == data
    else:
        read = yaml.safe_load(written.data)
        assert orjson.loads(orjson.dumps(_floats(read), default=str)) == _floats(orjson.loads(data))


def _floats(value: Any) -> Any:
    """Numbers as text with 12 digits: YAML 1.1 takes ``1e16`` for a text."""
    if isinstance(value, dict):
        return {key: _floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_floats(one) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    try:
        return f"{float(value):.12g}"
    except (TypeError, ValueError):
        return value


@pytest.mark.parametrize(
    ("document", "suffix"),
    [
        (b'{"kind":"Pod","a":1,"b":"-5","c":"x:1.2.3","d":"[-1"}', ".json"),
        (b'{"kind":"Pod","a":-1}', ".yaml"),
        (b'{"kind":"Pod","a":[1.5]}', ".yaml"),
        (b'{"kind":"Pod","a": 1e3}', ".yaml"),
        (b'{"kind":"Pod","a":123456789012345678901}', ".yaml"),
        (b'{"kind":"Pod","a":"\\"-1","b":2}', ".json"),
    ],
)
def test_only_numbers_that_trivy_cannot_read_ask_for_yaml(document: bytes, suffix: str) -> None:
    assert write_document(document).suffix == suffix


@pytest.mark.parametrize("document", [b"", b"not json", b'{"kind":"Pod"', b"[]", b'{"kind":1}'])
def test_what_is_no_resource_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        write_document(document)
    assert family_of(document) == Family()


@pytest.mark.slow
async def test_no_resource_ends_without_an_outcome_in_silence() -> None:
    """Odd numbers are audited like others; what Trivy cannot parse is named, and costs only itself."""
    spoiled = [
        Subject("cut", "Pod", pod("x").document[:-5]),
        Subject("twice", "Pod", b'{"kind":"Pod",' + pod("x").document[1:]),
        Subject("no Kubernetes", "Pod", b'{"apiVersion":"v1","kind":"Pod"}'),
    ]
    odd = [
        pod("negative", priority=-5),
        pod("fraction", x=1.5, text="\u2028\U0001f600\x7f\x01/"),
        pod("huge", x=2**63 - 1, y=-(2**63)),
    ]
    async with auditing() as auditor:
        plain, *outcomes = await audit_all(auditor, [pod("plain"), *odd, *spoiled])

    for outcome in outcomes[:3]:
        assert failed_ids(outcome) == failed_ids(plain)
    for outcome, subject in zip(outcomes[3:], spoiled, strict=True):
        assert isinstance(outcome, AuditError)
        assert (outcome.reason, outcome.culprit) == (AuditFailure.UNPARSABLE, subject.name)
        assert outcome.message
