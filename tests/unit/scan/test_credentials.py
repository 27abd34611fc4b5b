"""Which login an image gets."""

from __future__ import annotations

import base64
import json
from typing import Any

from trivyop.kube.resources import ObjectKey
from trivyop.scan.credentials import (
    Credential,
    docker_config,
    pick_credentials,
    pull_secret_keys,
    read_pull_secrets,
)
from trivyop.scan.dockerauths import Login
from trivyop.scan.servers import Server
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
    place = Server.parse(server)
    assert place is not None
    return Credential(place, user, SecretText(word))


def test_both_types_of_pull_secret_are_read() -> None:
    found = read_pull_secrets(
        [
            secret("one", {"https://quay.io": {"auth": encode("user:pass:word")}}),
            secret("two", {"registry:5000": {"username": "a", "password": "b"}}, old=True),
        ]
    )

    assert [
        (str(one.server), one.username, one.password.reveal(), one.origin) for one in found.credentials
    ] == [
        ("quay.io", "user", "pass:word", "shop/one"),
        ("registry:5000", "a", "b", "shop/two"),
    ]
    assert found.problems == ()


def test_password_shows_nowhere() -> None:
    found = read_pull_secrets([secret("one", {"quay.io": {"auth": encode("u:hunter2")}})])

    assert "hunter2" not in repr(found)


def test_same_login_counts_once_and_order_decides_among_equals() -> None:
    image = ImageName.parse("quay.io/a/b")
    picked = pick_credentials(
        image, [login("quay.io", "one"), login("quay.io", "two"), login("quay.io", "one")]
    )

    assert [one.username for one in picked] == ["one", "two"]


def test_docker_config_of_docker_hub() -> None:
    logins = {"index.docker.io": Login("u", SecretText("p,x")), "r.io/db": Login("", SecretText("x"))}
    config = json.loads(docker_config(logins))

    assert list(config["auths"]) == ["https://index.docker.io/v1/"], "a login without a user is none"
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
