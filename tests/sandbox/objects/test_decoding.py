from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.apiserver.objects.decoding import decode_strict, decode_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_was_encoded_comes_back_without_complaint(value: object) -> None:
    assert decode_strict(orjson.dumps(value)) == (value, [])


def test_keys_that_come_twice_are_named_by_their_path() -> None:
    value, doubles = decode_strict(b'{"a":{"b":1,"b":2},"c":[{"d":1},{"d":1,"d":2}]}')

    assert value == {"a": {"b": 2}, "c": [{"d": 1}, {"d": 2}]}
    assert doubles == ["a.b", "c[1].d"]
    assert type(value["a"]) is dict


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a":', "unexpected end of JSON input"),
        (b'{"a":"b', "unexpected end of JSON input"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"{nope", "invalid character 'n' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a":[1 2]}', "invalid character '2' after array element"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
    ],
)
def test_broken_json_is_described_in_gos_words(body: bytes, message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  # the message is what is tested
        decode_strict(body)
    assert str(refused.value) == message


def test_yaml_is_read_as_json_sees_it() -> None:
    """Dates stay text, keys become text, and 1:30 is no number of seconds."""
    value, doubles = decode_yaml(b"on: {a: yes}\nday: 2024-01-01\ntime: 1:30\n8080: x\n")

    assert value == {"true": {"a": True}, "day": "2024-01-01", "time": "1:30", "8080": "x"}
    assert doubles == []


def test_yaml_keys_that_come_twice_are_noticed() -> None:
    assert decode_yaml(b"a: 1\na: 2\n") == ({"a": 2}, ["a"])


def test_broken_yaml_names_the_line() -> None:
    with pytest.raises(ValueError, match=r"^error converting YAML to JSON: yaml: line 1: "):
        decode_yaml(b"not yaml: [")
