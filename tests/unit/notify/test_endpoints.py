"""Endpoints as people write them: one that is wrong is named, with its key, and harms no other."""

from __future__ import annotations

import asyncio
import base64
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from trivyop.notify.endpoint import SecretRef
from trivyop.notify.endpoints import default_endpoint, default_kinds, parse_endpoints
from trivyop.notify.secrets import Secret, Secrets, build_access
from trivyop.notify.validation import EndpointError
from trivyop.settings import load_settings
from trivyop.settings.kinds import SecretText

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime.now(UTC)
URL = "https://siem.example.com/hook"
ALL_KEYS = (
    *("name", "url", "format", "deletes", "envelope", "headers", "bearerToken", "signature", "tls"),
    *("timeout", "concurrency", "digest", "cluster", "filter"),
)
ENV = {"OPERATOR_NAMESPACE": "trivy-system"}


def one(**keys: Any) -> str:
    return yaml.safe_dump([{"name": "siem", "url": URL, **keys}])


def problem(text: str) -> str:
    parsed = parse_endpoints(text)
    assert parsed.endpoints == ()
    (error,) = parsed.problems
    return str(error)


def test_the_example_can_be_used() -> None:
    example = ROOT / "deploy" / "kustomize" / "components" / "webhooks" / "endpoints.example.yaml"

    parsed = parse_endpoints(yaml.safe_load(example.read_text())["data"]["endpoints"])

    assert parsed.problems == ()
    archive, siem, chat = parsed.endpoints
    assert (archive.deletes, archive.envelope) == (True, True)
    assert archive.tls.key == SecretRef("archive-webhook", "tls.key")
    assert archive.filter.kinds == default_kinds()
    assert (siem.timeout_seconds, siem.cluster, siem.deletes) == (10, "production-1", True)
    assert siem.filter.kinds == frozenset()
    assert (chat.digest_seconds, chat.url) == (6 * 3600, SecretRef("chat-webhook", "url"))


def test_one_bad_endpoint_leaves_the_others() -> None:
    text = yaml.safe_dump([{"name": "a", "url": URL}, {"name": "b"}, "c", {"name": "a", "url": URL}])

    parsed = parse_endpoints(text)

    assert [endpoint.name for endpoint in parsed.endpoints] == ["a"]
    assert [str(error).partition(" (")[0] for error in parsed.problems] == [
        "endpoint 'b': url: is missing",
        "endpoint '#3': a mapping is expected, with keys out of " + ", ".join(ALL_KEYS),
        "endpoint 'a': name: there is another endpoint of that name",
    ]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"url": "ftp://h/x"}, "url: ftp:// is not allowed, only http:// and https:// are"),
        ({"url": "file:///etc/passwd"}, "url: file:// is not allowed, only http:// and https:// are"),
        ({"url": "h:8080/x"}, "url: is not allowed, only http:// and https:// are"),
        ({"url": "https://"}, "url: names no host"),
        ({"url": "https://h:99999/"}, "url: is not a URL such as https://host[:port]/path"),
        ({"url": "https://me:pw@h/"}, "url: has credentials in it; use headers or bearerToken for them"),
        ({"url": "https://h/\u00e4"}, "url: is too long, or has characters that a URL cannot have"),
        ({"url": ""}, "url: is empty"),
        ({"url": {"secretref": {}}}, "url: a text is expected, or secretRef: {name: ..., key: ...}"),
        ({"frmat": "slack"}, "frmat: is not known; did you mean format?"),
        ({"format": "cloudevent"}, "format: 'cloudevent' is not known (allowed: trivy-operator, "),
        ({"filter": {"severty": "HIGH"}}, "filter.severty: unknown key 'severty' (did you mean severity?)"),
        ({"filter": {"severity": "HGIH"}}, "filter.severity: unknown value 'HGIH' (did you mean HIGH?)"),
        ({"timeout": "soon"}, "timeout: a duration from 1s to 5m0s is expected, such as 30s or 15m"),
        ({"timeout": "1h"}, "timeout: a duration from 1s to 5m0s is expected"),
        ({"digest": "1h"}, "digest: the format trivy-operator sends each event on its own"),
        ({"envelope": True, "format": "slack"}, "envelope: is only for the format trivy-operator"),
        ({"deletes": "yes"}, "deletes: true or false is expected"),
        ({"concurrency": 0}, "concurrency: a number from 1 to 32 is expected"),
        ({"headers": ["a"]}, "headers: a mapping is expected"),
        ({"headers": {"a b": "c"}}, "headers.a b: is not the name of a header"),
        ({"headers": {"Host": "c"}}, "headers.Host: cannot be set, it is part of each request"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers.X: has characters that a header cannot have"),
        ({"headers": {"X": 1}}, "headers.X: a text is expected, or secretRef: {name: ..., key: ...}"),
        ({"bearerToken": {"secretRef": {"name": "s"}}}, "bearerToken.secretRef.key: is missing"),
        ({"bearerToken": {"secretRef": {"name": "S", "key": "k"}}}, "bearerToken.secretRef.name: is "),
        ({"tls": {"certifcate": "x"}}, "tls.certifcate: is not known; did you mean certificate?"),
        ({"tls": {"certificate": "x", "key": "y"}}, "tls.key: must come from a Secret"),
        ({"tls": {"key": {"secretRef": {"name": "s", "key": "k"}}}}, "tls.key: needs tls.certificate"),
        ({"cluster": 7}, "cluster: a text of one line is expected"),
    ],
)
def test_what_is_wrong_is_said_with_endpoint_and_key(keys: dict[str, Any], says: str) -> None:
    assert problem(one(**keys)).startswith(f"endpoint 'siem': {says}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "endpoint '*': endpoints: is not YAML at line 1: "),
        ("just words", "endpoint '*': endpoints: a list of endpoints is expected"),
        ("- {name: A, url: https://h}", "endpoint '#1': name: is missing, or is not lower-case letters"),
        ("- {name: default, url: https://h}", "endpoint 'default': name: 'default' is the endpoint of "),
        ("- {name: a-findings, url: https://h}", "endpoint 'a-findings': name: must not end in -findings or"),
        ("- !!python/object/apply:os.system [id]", "endpoint '*': endpoints: is not YAML at line 1: "),
        (
            "- name: a\n  cluster: 2024-02-30",
            "endpoint '*': endpoints: is not YAML at line 2: this is not a value of type timestamp",
        ),
        ("- !!timestamp x", "endpoint '*': endpoints: is not YAML at line 1: this is not a value of type "),
        (
            "- {name: !!int ''}",
            "endpoint '*': endpoints: is not YAML at line 1: this is not a value of type ",
        ),
        ("- !!bool x", "endpoint '*': endpoints: is not YAML at line 1: this is not a value of type bool"),
        ("[" * 5000, "endpoint '*': endpoints: is nested too deeply"),
        (f"- {{cluster: {'{a: ' * 5000}", "endpoint '*': endpoints: is nested too deeply"),
    ],
)
def test_what_is_no_list_of_endpoints(text: str, says: str) -> None:
    assert problem(text).startswith(says)


@pytest.mark.parametrize("text", ["", "[]", "# nothing yet"])
def test_nothing_configured_is_no_problem(text: str) -> None:
    parsed = parse_endpoints(text)

    assert (parsed.endpoints, parsed.problems) == ((), ())


def test_no_message_shows_a_secret() -> None:
    bad = "htps://hooks.example.com/T000/B000/XXXXXXXX"

    assert "XXXX" not in problem(one(url=bad))
    assert "XXXX" not in problem(one(bearerToken=["XXXX"]))
    assert "XXXX" not in problem(one(headers={"X": "XXXX\n"}))
    assert "XXXX" not in problem("- {bearerToken: !!int XXXX}")


# the Go operator's settings


def test_the_go_operators_settings_make_one_endpoint() -> None:
    environ = {
        **ENV,
        "OPERATOR_WEBHOOK_BROADCAST_URL": URL,
        "OPERATOR_WEBHOOK_BROADCAST_TIMEOUT": "5s",
        "OPERATOR_WEBHOOK_BROADCAST_CUSTOM_HEADERS": "Authorization:Bearer x",
        "OPERATOR_SEND_DELETED_REPORTS": "true",
    }

    endpoint = default_endpoint(load_settings(environ))

    assert endpoint is not None
    assert endpoint.url == SecretText(URL)
    assert (endpoint.name, endpoint.format, endpoint.timeout_seconds) == ("default", "trivy-operator", 5)
    assert (endpoint.envelope, endpoint.deletes) == (True, True)
    assert endpoint.headers["Authorization"] == SecretText("Bearer x")
    assert endpoint.filter.kinds == default_kinds()


def test_without_deletions_its_bodies_are_bare_and_an_empty_timeout_is_the_default() -> None:
    environ = {
        **ENV,
        "OPERATOR_WEBHOOK_BROADCAST_URL": URL,
        "OPERATOR_WEBHOOK_BROADCAST_TIMEOUT": "",
    }

    endpoint = default_endpoint(load_settings(environ))

    assert endpoint is not None
    assert (endpoint.envelope, endpoint.deletes, endpoint.timeout_seconds) == (False, False, 30)
    assert default_endpoint(load_settings(ENV)) is None


# Secrets


def secrets(**data: str) -> Secrets:
    return {"s": Secret("u@1", {name.replace("_", "."): text.encode() for name, text in data.items()})}


def access_error(keys: dict[str, Any], there: Secrets) -> str:
    (endpoint,) = parse_endpoints(one(**keys)).endpoints
    with pytest.raises(EndpointError) as raised:
        build_access(endpoint, there, {}, now=NOW)
    return str(raised.value)


def ref(key: str, name: str = "s") -> dict[str, Any]:
    return {"secretRef": {"name": name, "key": key}}


def test_access_is_made_of_secrets() -> None:
    keys = {
        "url": ref("url"),
        "bearerToken": ref("token"),
        "signature": ref("key"),
        "headers": {"X": ref("x")},
    }
    (endpoint,) = parse_endpoints(one(**keys)).endpoints
    key = base64.b64encode(b"key").decode()

    access = build_access(
        endpoint, secrets(url=f"{URL}\n", token="t0ken\n", key=f"whsec_{key}\n", x="why"), {}, now=NOW
    )

    assert access.url == URL
    assert access.headers == {"X": "why", "Authorization": "Bearer t0ken"}
    assert access.signing_keys == (b"key",)
    assert "t0ken" not in repr(access)
    assert URL not in repr(access)
    assert access.tls is None


@pytest.mark.parametrize(
    ("keys", "there", "says"),
    [
        (
            {"bearerToken": ref("t")},
            {"s": Secret(problem="does not exist")},
            "bearerToken: Secret s does not",
        ),
        ({"bearerToken": ref("t")}, secrets(other="x"), "bearerToken: Secret s has no key 't'"),
        ({"bearerToken": ref("t")}, secrets(t=" \n"), "bearerToken: key 't' of Secret s is empty"),
        ({"bearerToken": ref("t")}, secrets(t="a\nb"), "bearerToken: has characters that a header cannot"),
        (
            {"bearerToken": ref("t")},
            {"s": Secret("1", {"t": b"\xff"})},
            "bearerToken: key 't' of Secret s is ",
        ),
        ({"signature": ref("t")}, secrets(t="whsec_%"), "signature: what follows whsec_ is not base64"),
        ({"url": ref("t")}, secrets(t="ftp://x/"), "url: ftp:// is not allowed"),
        ({"tls": {"ca": ref("t")}}, secrets(t="nonsense"), "tls.ca: is not a certificate in PEM"),
    ],
)
def test_what_is_wrong_with_a_secret_is_named_without_its_content(
    keys: dict[str, Any], there: Secrets, says: str
) -> None:
    said = access_error(keys, there)

    assert said.startswith(f"endpoint 'siem': {says}")
    assert "nonsense" not in said


def test_a_rotated_secret_makes_another_fingerprint() -> None:
    (endpoint,) = parse_endpoints(one(bearerToken=ref("t"))).endpoints
    before, after, other = (
        build_access(endpoint, {"s": Secret(version, {"t": token})}, {}, now=NOW).fingerprint
        for version, token in (("u@1", b"a"), ("u@2", b"b"), ("u@1", b"a"))
    )

    assert before == other != after


async def test_a_fingerprint_is_the_same_in_each_process() -> None:
    """The order of sets is not; what was refused would be sent again after each restart."""
    kinds = sorted(default_kinds())
    wanted = {"kinds": kinds, "events": ["report.updated", "report.deleted", "finding.added"]}
    text = one(filter=wanted, headers={"X-Token": "t0ken"})
    code = (
        "import sys; from datetime import UTC, datetime\n"
        "from trivyop.notify.endpoints import parse_endpoints\n"
        "from trivyop.notify.secrets import build_access\n"
        "(endpoint,) = parse_endpoints(sys.argv[1]).endpoints\n"
        "print(build_access(endpoint, {}, {}, now=datetime.now(UTC)).fingerprint)\n"
    )
    found: set[bytes] = set()
    for seed in ("1", "2", "3"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", code, text),
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
            stdout=asyncio.subprocess.PIPE,
        )
        found.add((await process.communicate())[0])

    (fingerprint,) = found
    assert len(fingerprint.strip()) == 64


def test_proxies_come_from_the_environment() -> None:
    (endpoint,) = parse_endpoints(one()).endpoints
    environ = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".svc"}

    assert build_access(endpoint, {}, environ, now=NOW).proxy == "http://proxy:3128"
    assert build_access(endpoint, {}, {**environ, "NO_PROXY": "example.com"}, now=NOW).proxy is None
    with pytest.raises(EndpointError, match="endpoint 'siem': proxy p: socks5 is not supported"):
        build_access(endpoint, {}, {"HTTPS_PROXY": "socks5://p:1"}, now=NOW)
