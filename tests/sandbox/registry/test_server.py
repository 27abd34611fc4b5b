from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator

import pytest
from aiohttp import ClientPayloadError, ClientSession

from trivyop.sandbox.registry.auth import Account, Auth, Scheme
from trivyop.sandbox.registry.faults import Fault
from trivyop.sandbox.registry.oci import (
    INDEX,
    LAYER,
    MANIFEST,
    Image,
    ImageNotFoundError,
    ImageUnauthorizedError,
)
from trivyop.sandbox.registry.samples import clean_image, gateway_image, single_image, web_image
from trivyop.sandbox.registry.server import Registry

ALICE = Account("alice", "correct horse")


@pytest.fixture
async def http(registry: Registry) -> AsyncGenerator[ClientSession, None]:
    async with ClientSession(f"http://{registry.address}") as session:
        yield session


async def error_code(session: ClientSession, path: str, status: int, **headers: str) -> str:
    async with session.get(path, headers=headers) as response:
        assert response.status == status
        assert response.headers["Docker-Distribution-API-Version"] == "registry/2.0"
        return (await response.json())["errors"][0]["code"]


class TestManifests:
    async def test_are_served_by_tag_and_by_digest(self, registry: Registry, http: ClientSession) -> None:
        digest = registry.digest("shop/web:1.0")
        for reference in ("1.0", digest):
            async with http.get(f"/v2/shop/web/manifests/{reference}") as response:
                assert response.headers["Docker-Content-Digest"] == digest
                assert response.content_type == MANIFEST
                assert await response.read() == web_image().manifest.data

    async def test_head_tells_the_digest_and_is_no_pull(
        self, registry: Registry, http: ClientSession
    ) -> None:
        async with http.head("/v2/shop/web/manifests/1.0") as response:
            assert response.headers["Docker-Content-Digest"] == web_image().digest
            assert int(response.headers["Content-Length"]) == len(web_image().manifest.data)

        assert registry.manifest_pulls["shop/web"] == 0

    async def test_an_index_leads_to_one_image_per_platform(self, http: ClientSession) -> None:
        async with http.get(
            "/v2/shop/gateway/manifests/3", headers={"Accept": f"{MANIFEST}, {INDEX}"}
        ) as got:
            index = await got.json(content_type=INDEX)

        platforms = {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}
        assert set(platforms) == {"amd64", "arm64"}
        async with http.get(f"/v2/shop/gateway/manifests/{platforms['arm64']}") as got:
            assert got.content_type == MANIFEST

    async def test_of_a_kind_that_the_client_does_not_take_are_not_there(self, http: ClientSession) -> None:
        code = await error_code(http, "/v2/shop/gateway/manifests/3", 404, Accept=MANIFEST)
        assert code == "MANIFEST_UNKNOWN"

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("/v2/shop/nothing/manifests/1", 404, "NAME_UNKNOWN"),
            ("/v2/shop/web/manifests/9", 404, "MANIFEST_UNKNOWN"),
            (f"/v2/shop/web/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
            (f"/v2/shop/web/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
            ("/v2/shop/web/blobs/nonsense", 400, "DIGEST_INVALID"),
            ("/v2/shop/nothing/tags/list", 404, "NAME_UNKNOWN"),
        ],
    )
    async def test_what_is_not_there_has_a_code(
        self, http: ClientSession, path: str, status: int, code: str
    ) -> None:
        assert await error_code(http, path, status) == code


class TestBlobs:
    async def test_come_whole_or_in_part(self, http: ClientSession) -> None:
        layer = single_image().blobs[1]
        path = f"/v2/library/single/blobs/{layer.digest}"
        async with http.get(path) as response:
            assert await response.read() == layer.data
        async with http.get(path, headers={"Range": "bytes=10-19"}) as response:
            assert response.status == 206
            assert response.headers["Content-Range"] == f"bytes 10-19/{len(layer.data)}"
            assert await response.read() == layer.data[10:20]
        async with http.get(path, headers={"Range": "bytes=10-"}) as response:
            assert await response.read() == layer.data[10:]

    async def test_have_an_end(self, http: ClientSession) -> None:
        layer = single_image().blobs[1]
        path = f"/v2/library/single/blobs/{layer.digest}"
        async with http.get(path, headers={"Range": f"bytes={len(layer.data)}-"}) as response:
            assert response.status == 416
            assert response.headers["Content-Range"] == f"bytes */{len(layer.data)}"

    async def test_are_those_of_their_repository_only(self, http: ClientSession) -> None:
        """Otherwise a private repository would leak through any public one."""
        (layer,) = [blob for blob in single_image().blobs if blob.media_type == LAYER]
        assert await error_code(http, f"/v2/shop/web/blobs/{layer.digest}", 404) == "BLOB_UNKNOWN"


class TestTags:
    async def test_are_listed_in_pages(self, registry: Registry, http: ClientSession) -> None:
        for tag in ("3", "1", "2"):
            registry.put(f"tagged:{tag}", clean_image())

        async with http.get("/v2/tagged/tags/list", params={"n": "2"}) as response:
            assert await response.json() == {"name": "tagged", "tags": ["1", "2"]}
            following = response.links["next"]["url"]
        async with http.get(following) as response:
            assert (await response.json())["tags"] == ["3"]
            assert "Link" not in response.headers

    async def test_move_and_leave_the_old_digest_reachable(
        self, registry: Registry, http: ClientSession
    ) -> None:
        old = registry.digest("shop/web:1.0")

        new = registry.move_tag("shop/web", "1.0", clean_image())

        assert registry.digest("shop/web:1.0") == new == clean_image().digest
        async with http.get(f"/v2/shop/web/manifests/{old}") as response:
            assert response.status == 200

    async def test_that_do_not_exist_cannot_move(self, registry: Registry) -> None:
        with pytest.raises(ImageNotFoundError, match="shop/web:9"):
            registry.move_tag("shop/web", "9", clean_image())


class TestNodes:
    async def test_resolve_a_reference_with_or_without_address_to_its_digest(
        self, registry: Registry
    ) -> None:
        digest = web_image().digest
        port = registry.address.partition(":")[2]
        for reference in (
            "shop/web:1.0",
            f"{registry.address}/shop/web:1.0",
            f"localhost:{port}/shop/web:1.0",
            f"shop/web@{digest}",
            f"shop/web:1.0@{digest}",
        ):
            assert await registry.resolve(reference, "linux/amd64") == digest

    async def test_report_the_digest_of_the_index_as_container_runtimes_do(self, registry: Registry) -> None:
        assert await registry.resolve("shop/gateway:3", "linux/arm64") == gateway_image().digest
        assert registry.digest("shop/gateway:3", "linux/arm64") != gateway_image().digest

    @pytest.mark.parametrize(
        ("reference", "platform"),
        [
            ("shop/nothing:1", "linux/amd64"),
            ("shop/web:9", "linux/amd64"),
            ("shop/gateway:3", "linux/s390x"),
            ("shop/web:1.0", "linux/arm64"),
        ],
    )
    async def test_cannot_pull_what_is_not_there(
        self, registry: Registry, reference: str, platform: str
    ) -> None:
        with pytest.raises(ImageNotFoundError):
            await registry.resolve(reference, platform)

    @pytest.mark.parametrize("may_pull", [True, False])
    async def test_pull_private_images_only_if_they_may(self, may_pull: bool) -> None:
        registry = Registry(
            {"private/app:1": clean_image()}, Auth({"private/": ALICE}, nodes_may_pull=may_pull)
        )
        if may_pull:
            assert await registry.resolve("private/app:1", "linux/amd64") == clean_image().digest
        else:
            with pytest.raises(ImageUnauthorizedError, match="private/app:1"):
                await registry.resolve("private/app:1", "linux/amd64")


class TestLogins:
    @pytest.mark.parametrize("scheme", list(Scheme))
    async def test_are_asked_for_at_the_front_door(self, scheme: Scheme) -> None:
        """Clients decide there how to log in, also for repositories that turn out to be public."""
        async with private_registry(scheme) as registry, ClientSession(f"http://{registry.address}") as http:
            async with http.get("/v2/") as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith(scheme)
            async with http.get("/v2/public/app/manifests/1") as response:
                assert response.status == 200

    async def test_by_password_open_what_is_the_accounts(self) -> None:
        async with (
            private_registry(Scheme.BASIC) as registry,
            ClientSession(f"http://{registry.address}") as http,
        ):
            path = "/v2/private/app/manifests/1"
            assert await error_code(http, path, 401) == "UNAUTHORIZED"
            async with http.get(path, headers=basic("alice", "wrong")) as response:
                assert response.status == 401
            async with http.get(path, headers=basic(ALICE.user, ALICE.password)) as response:
                assert response.status == 200

    async def test_by_token_open_what_is_the_accounts(self) -> None:
        async with (
            private_registry(Scheme.BEARER) as registry,
            ClientSession(f"http://{registry.address}") as http,
        ):
            path = "/v2/private/app/manifests/1"
            async with http.get(path) as response:
                challenge = response.headers["WWW-Authenticate"]
            assert f'realm="http://{registry.address}/token"' in challenge
            assert 'scope="repository:private/app:pull"' in challenge

            async with http.get("/token", headers=basic("alice", "wrong")) as response:
                assert response.status == 401
            statuses: dict[str, int] = {}
            for who, login in (("nobody", {}), ("alice", basic(ALICE.user, ALICE.password))):
                async with http.get("/token", headers=login) as response:
                    token = (await response.json())["token"]
                async with http.get(path, headers={"Authorization": f"Bearer {token}"}) as response:
                    statuses[who] = response.status
            assert statuses == {"nobody": 401, "alice": 200}


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "status", "text"),
        [
            (Fault.TOO_MANY_REQUESTS, 429, "TOOMANYREQUESTS"),
            (Fault.SERVER_ERROR, 500, "UNKNOWN"),
            (Fault.BAD_GATEWAY, 502, "<html>"),
            (Fault.DENIED, 403, "DENIED"),
            (Fault.RUBBISH, 200, "<not json>"),
        ],
    )
    async def test_hit_their_repository_and_no_other(
        self, registry: Registry, http: ClientSession, fault: Fault, status: int, text: str
    ) -> None:
        registry.faults.set("shop/", fault)

        async with http.get("/v2/shop/web/manifests/1.0") as response:
            assert response.status == status
            assert text in await response.text()
        async with http.get("/v2/library/clean/manifests/1") as response:
            assert response.status == 200

    async def test_can_pass(self, registry: Registry, http: ClientSession) -> None:
        registry.faults.set("shop/web", Fault.TOO_MANY_REQUESTS, times=2, retry_after=7)
        seen: list[tuple[int, str | None]] = []
        for _ in range(3):
            async with http.get("/v2/shop/web/manifests/1.0") as response:
                seen.append((response.status, response.headers.get("Retry-After")))
        assert seen == [(429, "7"), (429, "7"), (200, None)]

    async def test_can_be_taken_back(self, registry: Registry, http: ClientSession) -> None:
        registry.faults.set("", Fault.SERVER_ERROR)
        registry.faults.clear("")
        async with http.get("/v2/shop/web/manifests/1.0") as response:
            assert response.status == 200

    async def test_truncated_blobs_end_early(self, registry: Registry, http: ClientSession) -> None:
        registry.faults.set("library/single", Fault.TRUNCATED_BLOB)
        async with http.get("/v2/library/single/manifests/1") as response:
            assert response.status == 200
        async with http.get(f"/v2/library/single/blobs/{single_image().blobs[1].digest}") as response:
            with pytest.raises(ClientPayloadError):
                await response.read()

    async def test_a_request_that_hangs_ends_with_the_registry(self) -> None:
        async with Registry({"shop/web:1.0": clean_image()}) as registry:
            registry.faults.set("shop/web", Fault.HANG)
            session = ClientSession()
            asking = asyncio.create_task(
                status_of(session, f"http://{registry.address}/v2/shop/web/manifests/1.0")
            )
            await registry.hung.wait()
            assert not asking.done()

        assert await asking == 503
        await session.close()


async def test_pulls_are_counted_per_repository(registry: Registry, http: ClientSession) -> None:
    for name in (
        "shop/web/manifests/1.0",
        "shop/web/manifests/1.0",
        "library/clean/manifests/1",
        "shop/web/manifests/9",
    ):
        async with http.get(f"/v2/{name}"):
            pass
    assert registry.manifest_pulls == {"shop/web": 2, "library/clean": 1}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def private_registry(scheme: Scheme) -> Registry:
    images: dict[str, Image] = {"private/app:1": clean_image(), "public/app:1": clean_image()}
    return Registry(images, Auth({"private/": ALICE}, scheme))


async def status_of(session: ClientSession, url: str) -> int:
    async with session.get(url) as response:
        return response.status
