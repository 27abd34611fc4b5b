"""Field cases of pull secrets and registries' names: what a kubelet pulls is scanned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.field_cases import create_case, field_images, private_registry, read_case
from tests.e2e.harness import Cluster, running_cluster, running_operator
from tests.e2e.looking import image_of_its_own, until_event, until_phase
from trivyop.kube.resources import SECRETS, VULNERABILITYREPORTS
from trivyop.sandbox.registry.auth import Account, Auth
from trivyop.sandbox.registry.samples import sample_images


async def reported_after(cluster: Cluster, image: str) -> dict[str, Any]:
    """Status of the ImageScan once it has succeeded and its report is there."""
    async with running_operator(cluster):
        status = await until_phase(cluster, image, "Succeeded")
        await cluster.until(len, VULNERABILITYREPORTS)
    return status


@pytest.mark.parametrize(
    ("case", "auth"),
    [
        ("auth-without-padding", private_registry()),
        ("host-glob-inside", private_registry()),
        ("comma-in-password-of-two", private_registry(password="simple,pass123")),
    ],
)
async def test_login_that_a_kubelet_takes_opens_the_image(case: str, auth: Auth, tmp_path: Path) -> None:
    async with running_cluster(tmp_path, images=field_images(), auth=auth) as cluster:
        await create_case(case, cluster)

        status = await reported_after(cluster, cluster.image("private/one:1"))

    assert status["attempts"] == 1


async def test_host_in_capitals_is_the_same_host(tmp_path: Path) -> None:
    images = field_images()
    async with running_cluster(tmp_path, images=images) as cluster:
        words = {"DIGEST": images["app/one:1"].digest}
        await create_case("upper-case-host", cluster, **words)
        image = read_case("upper-case-host", cluster, **words)[-1]["spec"]["containers"][0]["image"]

        status = await reported_after(cluster, image)

    assert status["attempts"] == 1


PASSWORDS = ["a:b", "p,w,", " both ends ", "pass word", "quo\"te's", "100%41$(x)`y`", "пароль ü", "\\back\\"]


async def test_password_of_any_letters_opens_the_image_after_two_wrong_ones(tmp_path: Path) -> None:
    auth = Auth({f"p{number}/": Account("puller", word) for number, word in enumerate(PASSWORDS)})
    names = [f"p{number}/app:1" for number in range(len(PASSWORDS))]
    images = sample_images() | {name: image_of_its_own(name.partition("/")[0]) for name in names}
    async with running_cluster(tmp_path, images=images, auth=auth) as cluster:
        for number, word in enumerate(PASSWORDS):
            name = f"p{number}"
            await give_pod(cluster, name, cluster.image(f"{name}/app:1"), ["wrong", "nobody", name])
            await give(cluster, name, {cluster.registry: {"username": "puller", "password": word}})
        await give(cluster, "wrong", {f"{cluster.registry}/p": {"username": "puller", "password": "wrong,"}})
        await give(cluster, "nobody", {f"{cluster.registry}/": {"username": "no body", "password": "x"}})

        async with running_operator(cluster):
            seen = [await until_phase(cluster, cluster.image(name), "Succeeded") for name in names]

    assert [status["attempts"] for status in seen] == [1] * len(names)


async def test_event_names_the_secret_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    auth = private_registry()
    auth.nodes_may_pull = True
    async with running_cluster(tmp_path, images=field_images(), auth=auth) as cluster:
        host = cluster.registry
        await give_pod(cluster, "app", cluster.image("private/one:1"), ["wrong", "bad", "other", "missing"])
        await give(cluster, "wrong", {host: {"username": "puller", "password": "hunter2\n"}})
        await give(cluster, "bad", {host: {"auth": "hunter2!"}})
        await give(cluster, "other", {"quay.io": {"username": "u", "password": "hunter2"}})
        async with running_operator(cluster):
            status = await until_phase(cluster, cluster.image("private/one:1"), "Failed")
            event = await until_event(cluster, "shop", "app", "ImageScanFailed")

    assert status["reason"] == "auth"
    said = event["message"]
    assert f"refused pull secret shop/wrong (entry '{host}': its password ends in a line break)" in said
    assert f"pull secret shop/bad: entry '{host}': auth is not base64" in said
    assert f"pull secret shop/other: no entry fits {host}/private/one, it has 'quay.io'" in said
    assert "pull secret shop/missing: it does not exist" in said
    assert "hunter2" not in json.dumps([status, event])


async def give(cluster: Cluster, name: str, auths: dict[str, Any]) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "shop"},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": auths})},
    }
    await cluster.api.create(SECRETS, secret)


async def give_pod(cluster: Cluster, name: str, image: str, pull_secrets: list[str]) -> None:
    await cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "imagePullSecrets": [{"name": one} for one in pull_secrets],
                "containers": [{"name": "app", "image": image}],
            },
        }
    )
