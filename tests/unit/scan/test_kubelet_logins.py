"""Pull secrets, read as a kubelet reads them.

``tests/data/kubelet-logins.json`` holds pull secrets, an image, and the logins that the code of Kubernetes
1.36.0 (``pkg/credentialprovider``, with the image named by ``distribution/reference`` 0.6.0) finds for it,
in its order; ``null`` where it refuses the Secret.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.scan.credentials import PullSecrets, pick_credentials, read_pull_secrets
from trivyop.scan.servers import Server
from trivyop.workload.images import ImageName

TABLE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "data" / "kubelet-logins.json").read_text()
)
WITH_HOST = [row for row in TABLE if row["logins"] is not None and "." in row["image"].partition("/")[0]]
# Where we differ, and a kubelet finds nothing or something else: see `trivyop/scan/servers.py`.
OURS = {"localhost without port": [["u", "p"]]}


def encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


def secret(text: str, name: str = "pull", kind: str = "dockerconfigjson") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name},
        "type": f"kubernetes.io/{kind}",
        "data": {f".{kind}": encode(text)},
    }


def logins(image: str, read: PullSecrets) -> list[list[str]]:
    picked = pick_credentials(ImageName.parse(image), read.credentials)
    return [[one.username, one.password.reveal()] for one in picked]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["why"])
def test_logins_are_those_of_a_kubelet_in_its_order(row: dict[str, Any]) -> None:
    read = read_pull_secrets(secret(text) for text in row["secrets"])

    assert logins(row["image"], read) == OURS.get(row["why"], row["logins"] or [])
    if row["logins"] is None:
        (problem,) = read.problems
        assert problem.startswith("pull secret shop/pull: ")


@pytest.mark.parametrize("row", WITH_HOST, ids=lambda row: row["why"])
def test_hosts_are_equal_in_any_case(row: dict[str, Any]) -> None:
    """A kubelet compares letters, and so finds no login for what the same machine serves."""
    registry, _, rest = row["image"].partition("/")
    read = read_pull_secrets(secret(text) for text in row["secrets"])

    assert logins(f"{registry.upper()}/{rest}", read) == logins(row["image"], read)


@pytest.mark.parametrize("row", [row for row in TABLE if row["logins"] is None], ids=lambda row: row["why"])
def test_one_bad_entry_costs_no_other(row: dict[str, Any]) -> None:
    """A kubelet refuses all pull secrets of the pod; a scan takes what can be read."""
    good = secret(json.dumps({"auths": {"r.io": {"auth": encode("good:p")}}}), "good")
    found = read_pull_secrets([secret(row["secrets"][0]), good])

    assert logins("r.io/app", found) == [["good", "p"]]
    assert [problem for problem in found.problems if "shop/pull" in problem] == list(found.problems) != []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["why"])
def test_old_secrets_are_read_alike(row: dict[str, Any]) -> None:
    documents = [text for text in row["secrets"] if text.startswith('{"auths": {')]
    old = [json.dumps(json.loads(text)["auths"]) for text in documents]

    assert logins(row["image"], read_pull_secrets(secret(text, kind="dockercfg") for text in old)) == logins(
        row["image"], read_pull_secrets(secret(text) for text in documents)
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"type": "Opaque"}, "its type is Opaque, not kubernetes.io/dockerconfigjson"),
        ({"type": "kubernetes.io/dockercfg"}, "it has no .dockercfg"),
        ({"data": None}, "it has no .dockerconfigjson"),
        ({"data": {".dockerconfigjson": ""}}, "it has no .dockerconfigjson"),
        ({"data": {"config.json": "e30="}}, "it has no .dockerconfigjson"),
        ({"data": {".dockerconfigjson": encode("{}")}}, "it has no entries"),
        ({"data": {".dockerconfigjson": encode("[1]")}}, ".dockerconfigjson is not a JSON object"),
        ({"data": {".dockerconfigjson": encode("{'auths'")}}, ".dockerconfigjson is not JSON"),
        ({"data": {".dockerconfigjson": encode("[" * 100_000)}}, ".dockerconfigjson is not JSON"),
        ({"data": {".dockerconfigjson": encode(f'{{"x": {"9" * 5000}}}')}}, ".dockerconfigjson is not JSON"),
    ],
)
def test_what_a_kubelet_passes_over_is_named(change: dict[str, Any], problem: str) -> None:
    found = read_pull_secrets([secret('{"auths": {"r.io": {"auth": "dTpw"}}}') | change])

    assert found.credentials == ()
    assert found.problems == (f"pull secret shop/pull: {problem}",)


def test_both_keys_are_read_by_the_type() -> None:
    both = secret('{"auths": {"r.io": {"auth": "dTpw"}}}')
    both["data"][".dockercfg"] = encode('{"r.io": {"auth": "b3RoZXI6cA=="}}')

    assert logins("r.io/app", read_pull_secrets([both])) == [["u", "p"]]
    assert logins("r.io/app", read_pull_secrets([both | {"type": "kubernetes.io/dockercfg"}])) == [
        ["other", "p"]
    ]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"auth": encode("hunter2")}, "auth has no ':' between user and password"),
        ({"auth": "%%hunter2%%"}, "auth is not base64"),
        ({"auth": base64.b64encode(b"u:hunter2\xff").decode()}, "auth holds something that is not UTF-8"),
        ({"username": ["hunter2"]}, "username is not a string"),
        ("hunter2", "it is not a JSON object"),
    ],
)
def test_a_bad_entry_is_named_with_its_reason_and_without_its_secret(entry: object, problem: str) -> None:
    found = read_pull_secrets([secret(json.dumps({"auths": {"hunter2@r.io:5000": entry}}))])

    assert found.problems == (f"pull secret shop/pull: entry 'r.io:5000': {problem}",)
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("entry", "oddity"),
    [
        ({"auth": encode("u:p")}, ""),
        ({"auth": encode("u:p\n")}, "its password ends in a line break"),
        ({"auth": encode("u:")}, "its password is empty"),
        ({"auth": encode(":p")}, "it names no user"),
        ({"identitytoken": "t"}, "it has only identitytoken, which a kubelet does not use"),
    ],
)
def test_what_a_registry_may_refuse_is_known(entry: object, oddity: str) -> None:
    found = read_pull_secrets([secret(json.dumps({"auths": {"r.io": entry}}))])

    assert [one.oddity for one in found.credentials] == [oddity]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)
entries = json_values | st.fixed_dictionaries(
    {}, optional={"auth": json_values, "username": json_values, "password": json_values}
)


@given(st.dictionaries(st.text(max_size=30), entries, max_size=4), st.text(max_size=20))
def test_any_secret_is_read_and_costs_no_neighbour(auths: dict[str, Any], word: str) -> None:
    auths = {server: entry for server, entry in auths.items() if server != "good.example.com/path"}
    auths["good.example.com/path"] = {"username": "good", "password": word}
    found = read_pull_secrets([secret(json.dumps({"auths": auths}))])

    assert logins("good.example.com/path/app", found)[0] == ["good", word]


@given(st.binary(max_size=200), st.sampled_from(["dockerconfigjson", "dockercfg", "", "x"]))
def test_any_bytes_are_read_or_a_problem(data: bytes, kind: str) -> None:
    made = secret("", kind=kind) | {"data": {f".{kind}": base64.b64encode(data).decode()}}
    found = read_pull_secrets([made])

    assert all("shop/pull" in problem for problem in found.problems)


@given(st.text(max_size=40))
def test_any_server_is_parsed(text: str) -> None:
    server = Server.parse(text)

    assert server is None or not server.fits(ImageName.parse("registry.example.com/team/app"))


@given(st.text("abc*.-:/[]^19", max_size=20), st.sampled_from(["a.b/cc", "a1.b.c:9/a/b", "localhost:1/a1"]))
def test_a_server_without_patterns_is_the_beginning_of_what_it_fits(text: str, image: str) -> None:
    server = Server.parse(text)
    if server is not None and server.fits(ImageName.parse(image)) and not set("*[") & set(server.host):
        assert ImageName.parse(image).name.startswith(str(server))


@given(st.text(min_size=4, max_size=20, alphabet="hunter2"), st.text(max_size=20))
def test_no_secret_is_shown(word: str, server: str) -> None:
    """Whatever is wrong, and wherever the password stands."""
    word = f"s3cr3t{word}"
    auths = {
        f"{word}:{word}@{server}": {"auth": word},
        server: {"username": word, "password": [word]},
        "r.io": {"username": word, "password": word},
    }
    found = read_pull_secrets([secret(json.dumps({"auths": auths})), secret(f"{{{word}")])

    shown = repr([one.password for one in found.credentials]) + repr(found.problems)
    assert word not in shown
