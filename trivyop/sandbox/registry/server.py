"""Registry: a read-only OCI registry on loopback that serves what it was given.

It speaks plain HTTP on 127.0.0.1, which Trivy and container runtimes accept for that address without
being told to. Manifests by tag and by digest, indexes, blobs with ranges, tag lists, errors in the
specification's JSON form, logins per repository (`auth.py`), faults on demand (`faults.py`).

Promises: content never changes under its digest, tags may move; a moved tag leaves the old digest
reachable. Every manifest GET is counted. Leaving the ``async with`` block ends hanging requests too.
Not here: pushing, the referrers API, TLS.
Protocol: the OCI distribution specification, version 1.1 (github.com/opencontainers/distribution-spec).
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from trivyop.sandbox.registry.answers import API_VERSION, Refusal, accepts, partial, refusals, send_half
from trivyop.sandbox.registry.auth import Auth
from trivyop.sandbox.registry.faults import Fault, Faults
from trivyop.sandbox.registry.oci import Blob, Image, ImageNotFoundError, ImageUnauthorizedError

_HOST = "127.0.0.1"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(slots=True)
class _Repository:
    tags: dict[str, str] = field(default_factory=dict[str, str])
    images: dict[str, Image] = field(default_factory=dict[str, Image])  # by digest of the manifest
    blobs: dict[str, Blob] = field(default_factory=dict[str, Blob])

    def add(self, image: Image) -> None:
        self.images[image.digest] = image
        self.blobs.update((blob.digest, blob) for blob in image.blobs)
        for _, one in image.platforms:
            self.add(one)

    def find(self, reference: str) -> Image | None:
        return self.images.get(self.tags.get(reference, reference))


class Registry:
    """``async with Registry({"shop/web:1.0": image}) as registry: ...``; names are without the address."""

    def __init__(
        self, images: Mapping[str, Image] | None = None, auth: Auth | None = None, *, port: int = 0
    ) -> None:
        self.faults = Faults()
        self.manifest_pulls: Counter[str] = Counter()  # GETs that were answered with a manifest
        self.blob_pulls: Counter[str] = Counter()
        self.hung = asyncio.Event()  # set once a fault keeps a request waiting
        self._auth = auth
        self._port = port
        self._repositories: dict[str, _Repository] = {}
        self._closing = asyncio.Event()
        app = web.Application(middlewares=[refusals])
        app.router.add_get("/v2/", self._serve_root)
        app.router.add_get("/token", self._serve_token)
        app.router.add_get(r"/v2/{name:.+}/tags/list", self._serve_tags)
        app.router.add_get(r"/v2/{name:.+}/manifests/{reference}", self._serve_manifest)
        app.router.add_get(r"/v2/{name:.+}/blobs/{digest}", self._serve_blob)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
        for name, image in (images or {}).items():
            self.put(name, image)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    @property
    def address(self) -> str:
        """``127.0.0.1:PORT``, what stands before the repository in an image reference."""
        return f"{_HOST}:{self._port}"

    def put(self, name: str, image: Image) -> str:
        """Serve ``image`` as ``name`` (``shop/web:1.0``; no tag means ``latest``); returns its digest."""
        repository, tag, digest = self._split(name)
        if digest:
            raise ValueError(f"{name} has a digest; content decides on that")
        stored = self._repositories.setdefault(repository, _Repository())
        stored.add(image)
        stored.tags[tag] = image.digest
        return image.digest

    def move_tag(self, repository: str, tag: str, image: Image) -> str:
        """Let a tag that exists point at ``image``; returns the new digest."""
        if tag not in self._repository(repository).tags:
            raise ImageNotFoundError(f"{repository}:{tag} is not in the registry")
        return self.put(f"{repository}:{tag}", image)

    def digest(self, reference: str, platform: str | None = None) -> str:
        """The digest of a reference; with ``platform`` of the one image in an index that it stands for."""
        repository, tag, digest = self._split(reference)
        image = self._repository(repository).find(digest or tag)
        if image is not None and platform is not None:
            image = image.for_platform(platform)
        if image is None:
            raise ImageNotFoundError(f"{reference} is not in the registry for {platform or 'any platform'}")
        return image.digest

    async def resolve(self, reference: str, platform: str) -> str:
        """What a node finds when it pulls: the digest that the reference stands for.

        That of the index, if it is one, because that is what container runtimes report; and an error if
        the index has nothing for ``platform``. Faults are for scanners: nodes have the image already.
        """
        repository, _, _ = self._split(reference)
        if self._auth and self._auth.owner(repository) and not self._auth.nodes_may_pull:
            raise ImageUnauthorizedError(f"pull of {reference} needs a login")
        self.digest(reference, platform)
        return self.digest(reference)

    def _repository(self, name: str) -> _Repository:
        try:
            return self._repositories[name]
        except KeyError:
            raise ImageNotFoundError(f"there is no repository {name}") from None

    def _split(self, reference: str) -> tuple[str, str, str]:
        """``127.0.0.1:5000/shop/web:1.0@sha256:...`` -> ``shop/web``, ``1.0``, ``sha256:...``."""
        local = reference.removeprefix(f"{self.address}/").removeprefix(f"localhost:{self._port}/")
        name, _, digest = local.partition("@")
        repository, colon, tag = name.rpartition(":")
        return (repository, tag, digest) if colon else (name, "latest", digest)

    async def _serve_root(self, request: web.Request) -> web.Response:
        # Clients learn here how to log in, and never log in when not asked: so ask if anything is private.
        if self._auth and not self._auth.knows(request.headers.get("Authorization")):
            raise Refusal(401, "UNAUTHORIZED", "authentication required", self._challenge(None))
        return web.json_response({}, headers=API_VERSION)

    async def _serve_token(self, request: web.Request) -> web.Response:
        token = self._auth.token_for(request.headers.get("Authorization")) if self._auth else ""
        if token is None:
            raise Refusal(401, "UNAUTHORIZED", "incorrect username or password")
        return web.json_response({"token": token, "access_token": token, "expires_in": 300})

    async def _serve_tags(self, request: web.Request) -> web.Response:
        name, repository = self._allowed(request)
        tags = sorted(tag for tag in repository.tags if tag > request.query.get("last", ""))
        asked = request.query.get("n", "")
        count = int(asked) if asked.isdecimal() else len(tags)
        headers = dict(API_VERSION)
        if 0 < count < len(tags):
            headers["Link"] = f'</v2/{name}/tags/list?n={count}&last={tags[count - 1]}>; rel="next"'
        return web.json_response({"name": name, "tags": tags[:count]}, headers=headers)

    async def _serve_manifest(self, request: web.Request) -> web.Response:
        name, repository = self._allowed(request)
        reference = request.match_info["reference"]
        rubbish = await self._misbehave(name, blob=False)
        image = repository.find(reference)
        if image is None:
            raise Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown", detail={"Tag": reference})
        if not accepts(request.headers.getall("Accept", []), image.manifest.media_type):
            raise Refusal(
                404, "MANIFEST_UNKNOWN", f"the Accept header leaves out {image.manifest.media_type}"
            )
        if request.method == "GET":
            self.manifest_pulls[name] += 1
        return web.Response(
            body=b'{"schemaVersion": 2, "layers": <not json>' if rubbish else image.manifest.data,
            content_type=image.manifest.media_type,
            headers={**API_VERSION, "Docker-Content-Digest": image.digest, "ETag": f'"{image.digest}"'},
        )

    async def _serve_blob(self, request: web.Request) -> web.StreamResponse:
        name, repository = self._allowed(request)
        digest = request.match_info["digest"]
        rubbish = await self._misbehave(name, blob=True)
        blob = repository.blobs.get(digest)
        if blob is None:
            known = _DIGEST.fullmatch(digest) is not None
            code = "BLOB_UNKNOWN" if known else "DIGEST_INVALID"
            raise Refusal(
                404 if known else 400, code, "blob unknown to registry" if known else "invalid digest"
            )
        if request.method == "GET":
            self.blob_pulls[name] += 1
        headers = {**API_VERSION, "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        if rubbish is Fault.TRUNCATED_BLOB:
            return await send_half(request, blob.data, headers)
        data = blob.data[::-1] if rubbish else blob.data
        status, part, range_header = partial(data, request.headers.get("Range"))
        headers.update(range_header)
        return web.Response(
            body=part, status=status, content_type="application/octet-stream", headers=headers
        )

    def _allowed(self, request: web.Request) -> tuple[str, _Repository]:
        name = request.match_info["name"]
        if self._auth and not self._auth.may_pull(name, request.headers.get("Authorization")):
            detail = [{"Type": "repository", "Class": "", "Name": name, "Action": "pull"}]
            raise Refusal(401, "UNAUTHORIZED", "authentication required", self._challenge(name), detail)
        if name not in self._repositories:
            raise Refusal(404, "NAME_UNKNOWN", "repository name not known to registry", detail={"name": name})
        return name, self._repositories[name]

    def _challenge(self, repository: str | None) -> dict[str, str]:
        challenge = self._auth.challenge(f"http://{self.address}", repository) if self._auth else ""
        return {"WWW-Authenticate": challenge}

    async def _misbehave(self, repository: str, *, blob: bool) -> Fault | None:
        """Do what the fault in force says; returns it when it is the body that shall be wrong."""
        taken = self.faults.take(repository, blob=blob)
        if taken is None:
            return None
        fault, retry_after = taken
        match fault:
            case Fault.HANG | Fault.HANG_BLOB:
                self.hung.set()
                await self._closing.wait()
                raise Refusal(503, "UNAVAILABLE", "the registry is shutting down")
            case Fault.TOO_MANY_REQUESTS:
                headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
                raise Refusal(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.", headers)
            case Fault.DENIED:
                raise Refusal(403, "DENIED", "requested access to the resource is denied")
            case Fault.SERVER_ERROR:
                raise Refusal(500, "UNKNOWN", "unknown error")
            case Fault.BAD_GATEWAY:
                page = "<html><head><title>502 Bad Gateway</title></head></html>"
                raise web.HTTPBadGateway(text=page, content_type="text/html")
            case Fault.RUBBISH | Fault.TRUNCATED_BLOB:
                return fault
