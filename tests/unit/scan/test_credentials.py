"""Which login an image gets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from trivyop.kube.resources import ObjectKey
from trivyop.scan.credentials import (
    Credential,
    docker_config,
    join_credentials,
    normalise_server,
    pick_credentials,
    pull_secret_keys,
    read_pull_secrets,
)
from trivyop.settings import SecretText, load_settings
from trivyop.workload.images import ImageName


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(name: str, auths: dict[str, Any], *, old: bool = False) -> dict[str, Any]:
    document = auths if old else {"auths": auths}
    key, kind = (".dockercfg", "dockercfg") if old else (".dockerconfigjson", "dockerconfigjson")
    return {
        "metadata": {"namespace": "shop", "name": name},
        "type": f"kubernetes.io/{kind}",
        "data": {key: encode(json.dumps(document))},
    }


def login(server: str, user: str = "u", word: str = "p") -> Credential:
    return Credential(server, user, SecretText(word))


@pytest.mark.parametrize(
    ("written", "server"),
    [
        ("https://index.docker.io/v1/", "index.docker.io"),
        ("docker.io", "index.docker.io"),
        ("https://registry-1.docker.io/v2/", "index.docker.io"),
        ("docker.io/team", "index.docker.io/team"),
        ("quay.io", "quay.io"),
        ("https://Quay.IO/", "quay.io"),
        ("http://registry:5000", "registry:5000"),
        ("registry.example.com/team/app/", "registry.example.com/team/app"),
        ("*.azurecr.io", "*.azurecr.io"),
        ("https://registry.example.com/v2/", "registry.example.com"),
    ],
)
def test_servers_are_written_in_many_ways(written: str, server: str) -> None:
    assert normalise_server(written) == server


def test_both_types_of_pull_secret_are_read() -> None:
    found = read_pull_secrets(
        [
            secret("one", {"https://quay.io": {"auth": encode("user:pass:word")}}),
            secret("two", {"registry:5000": {"username": "a", "password": "b"}}, old=True),
        ]
    )

    assert [(one.server, one.username, one.password.reveal(), one.origin) for one in found.credentials] == [
        ("quay.io", "user", "pass:word", "shop/one"),
        ("registry:5000", "a", "b", "shop/two"),
    ]
    assert found.problems == ()


def test_what_is_no_pull_secret_is_passed_over() -> None:
    opaque = {"metadata": {"name": "x"}, "type": "Opaque", "data": {".dockerconfigjson": encode("{}")}}
    without = {"metadata": {"name": "y"}, "type": "kubernetes.io/dockerconfigjson"}
    empty = secret("z", {"quay.io": {"auth": "", "username": "", "password": ""}})

    assert read_pull_secrets([opaque, without, empty]).credentials == ()


def test_one_broken_entry_costs_the_others_nothing() -> None:
    """And the problem names the Secret, not what is in it."""
    broken = secret("broken", {})
    broken["data"][".dockerconfigjson"] = encode('{"auths": hunter2')
    half = secret(
        "half",
        {
            "a.io": {"auth": encode("hunter2")},
            "b.io": {"auth": "%%hunter2%%"},
            "c.io": {"auth": encode("u:p")},
        },
    )

    found = read_pull_secrets([broken, half])

    assert [one.server for one in found.credentials] == ["c.io"]
    assert len(found.problems) == 3
    assert "shop/broken" in found.problems[0]
    assert "hunter2" not in " ".join(found.problems)


def test_password_shows_nowhere() -> None:
    found = read_pull_secrets([secret("one", {"quay.io": {"auth": encode("u:hunter2")}})])

    assert "hunter2" not in repr(found)


def test_longest_path_first_then_exact_hosts_then_wildcards() -> None:
    image = ImageName.parse("registry.example.com/team/app:1")
    credentials = [
        login("*.example.com", "wild"),
        login("registry.example.com", "host"),
        login("registry.example.com/team", "team"),
        login("registry.example.com/team/app", "app"),
        login("registry.example.com/team/ap", "other"),
        login("registry.example.com/te", "neighbour"),
        login("example.com", "parent"),
        login("registry.example.com:5000", "port"),
    ]

    picked = pick_credentials(image, credentials)

    assert [one.username for one in picked] == ["app", "team", "host", "wild"]


def test_same_login_counts_once_and_order_decides_among_equals() -> None:
    image = ImageName.parse("quay.io/a/b")
    picked = pick_credentials(
        image, [login("quay.io", "one"), login("quay.io", "two"), login("quay.io", "one")]
    )

    assert [one.username for one in picked] == ["one", "two"]


def test_docker_hub_has_many_names() -> None:
    found = read_pull_secrets([secret("hub", {"https://index.docker.io/v1/": {"auth": encode("u:p")}})])

    assert pick_credentials(ImageName.parse("nginx"), found.credentials)
    assert pick_credentials(ImageName.parse("docker.io/team/app:1"), found.credentials)
    assert not pick_credentials(ImageName.parse("quay.io/team/app:1"), found.credentials)


def test_several_logins_are_joined() -> None:
    assert join_credentials([login("a", "u1", "p1"), login("a", "u2", "p2")]) == ("u1,u2", "p1,p2")


def test_comma_in_a_password_does_not_shift_the_others() -> None:
    assert join_credentials([login("a", "u1", "p,1"), login("a", "u2", "p2")]) == ("u2", "p2")


def test_docker_config_of_docker_hub() -> None:
    config = json.loads(docker_config("index.docker.io", login("index.docker.io", "u", "p,x")))

    assert base64.b64decode(config["auths"]["https://index.docker.io/v1/"]["auth"]) == b"u:p,x"


SETTINGS = {
    "OPERATOR_NAMESPACE": "trivy-system",
    "OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES": '{"trivy-system":"global","data":"extra"}',
}


def test_secrets_of_pod_then_account_then_settings() -> None:
    keys = pull_secret_keys(
        load_settings(SETTINGS),
        namespace="shop",
        pull_secrets=["regcred", "both"],
        service_account_pull_secrets=["both", "account"],
    )

    assert keys == (
        ObjectKey("shop", "regcred"),
        ObjectKey("shop", "both"),
        ObjectKey("shop", "account"),
        ObjectKey("data", "extra"),
        ObjectKey("trivy-system", "global"),
    )


def test_without_access_only_the_operators_own_secrets() -> None:
    keys = pull_secret_keys(
        load_settings(SETTINGS | {"OPERATOR_ACCESS_GLOBAL_SECRETS_SERVICE_ACCOUNTS": "false"}),
        namespace="shop",
        pull_secrets=["regcred"],
        service_account_pull_secrets=["account"],
    )

    assert keys == (ObjectKey("trivy-system", "global"),)
