"""Dispatch: from an authenticated request to its handler; all of the server but its sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import bootstrap, deletes, discovery, reads, reviews, status, tokens
from trivyop.sandbox.apiserver.admission import Admission
from trivyop.sandbox.apiserver.authn import Authenticator, User
from trivyop.sandbox.apiserver.authz import Access, Authorizer
from trivyop.sandbox.apiserver.crds import Definitions
from trivyop.sandbox.apiserver.impersonation import impersonated
from trivyop.sandbox.apiserver.kinds import Kinds, Served
from trivyop.sandbox.apiserver.kubelets import Kubelets
from trivyop.sandbox.apiserver.namespaces import Namespaces
from trivyop.sandbox.apiserver.objects import scale
from trivyop.sandbox.apiserver.pages import Pages
from trivyop.sandbox.apiserver.pods import Pods
from trivyop.sandbox.apiserver.request import Reply
from trivyop.sandbox.apiserver.reviews import Reviews
from trivyop.sandbox.apiserver.stamps import now
from trivyop.sandbox.apiserver.storage import Storage
from trivyop.sandbox.apiserver.watches import Watch
from trivyop.sandbox.apiserver.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multidict import CIMultiDictProxy

    from trivyop.sandbox.apiserver.faults import Faults
    from trivyop.sandbox.apiserver.request import Request, Streamed
    from trivyop.sandbox.apiserver.routing import RequestInfo
    from trivyop.sandbox.apiserver.starting import Starting
    from trivyop.sandbox.apiserver.storage import Snapshot
    from trivyop.sandbox.pki import Pki


class Dispatch:
    """Storage, kinds and handlers, wired together."""

    def __init__(self, pki: Pki, faults: Faults, starting: Starting | None = None) -> None:
        self.storage = Storage()
        self.kinds = Kinds(self.storage)
        self.authenticator = Authenticator(pki.signing_key, self.kinds)
        self.authorizer = Authorizer(self.kinds)
        self._namespaces = Namespaces(self.kinds, pki.ca_pem.decode())
        self._starting = starting
        self._definitions = Definitions(self.kinds, None if starting is None else starting.redefine)
        self._writes = Writes(Admission(self.kinds, self._namespaces, self._definitions))
        self._pages = Pages(self.kinds, faults)
        self._kubelets = Kubelets(pki)
        self._pods = Pods(self.kinds, self._kubelets)
        self._reviews = Reviews(self.authenticator, self.authorizer)

    def start(self) -> None:
        """Fill in what a fresh cluster has."""
        self.authorizer.start()
        bootstrap.make_roles(self.kinds, now())
        bootstrap.make_priority_classes(self.kinds, now())
        self._namespaces.start()
        self._definitions.start()

    def restore(self, snapshot: Snapshot, *, rewind: bool = False) -> None:
        """Go back to an earlier state; all watches end."""
        self.storage.restore(snapshot, rewind=rewind)
        self.authorizer.forget()
        self._definitions.settle_all()

    async def close(self) -> None:
        """Hang up on the kubelets."""
        await self._kubelets.close()

    def who(self, headers: CIMultiDictProxy[str], certificate: Mapping[str, Any] | None) -> User:
        """Return who sends a request; raises the 401 of a bad credential."""
        return self.authenticator.authenticate(headers.get("Authorization"), certificate)

    def authorize(self, user: User, headers: CIMultiDictProxy[str], info: RequestInfo) -> User:
        """Return whom a request is done as; raises the 403 if they may not."""
        if self._starting is not None:
            self._starting.meet(user, Access.of(info), self.authorizer)
        user = impersonated(user, headers, info, self.authorizer)
        self.authorizer.check(user, Access.of(info))
        return user

    async def handle(self, request: Request) -> Reply | Streamed:
        """Answer a request that is allowed."""
        info = request.info
        if not info.resource:
            return self._pages.handle(request)
        if (info.group, info.resource) in reviews.KINDS and info.version == "v1":
            if info.verb != "create":
                raise status.method_not_allowed()
            return self._reviews.create(request)
        served = self.kinds.find(info.group, info.version, info.resource)
        if served is None:
            raise self._no_such_resource(info)
        if served.kind.namespaced != bool(info.namespace) and info.resource != "namespaces":
            self._check_scope(info, served)
        if info.rest and info.subresource != "proxy":
            raise status.no_such_path()
        if info.subresource:
            return await self._subresource(request, served)
        return await self._object(request, served)

    def _no_such_resource(self, info: RequestInfo) -> status.Refused:
        known = self.kinds.groups().get(info.group)
        if known is None or any(s.kind.custom for s in self.kinds if s.kind.group == info.group):
            return status.page_not_found()
        return status.no_such_path()

    @staticmethod
    def _check_scope(info: RequestInfo, served: Served) -> None:
        """Refuse a path without the namespace it needs, or with one it can not have."""
        if not served.kind.namespaced or info.name:
            raise status.no_such_path()
        if info.verb not in ("list", "watch"):
            raise status.method_not_allowed()

    async def _object(self, request: Request, served: Served) -> Reply | Streamed:
        info = request.info
        needs_name = info.verb in ("get", "update", "patch", "delete")
        if info.verb not in served.kind.verbs or bool(info.name) != needs_name:
            raise status.method_not_allowed()
        match info.verb:
            case "get":
                return await reads.get(request, served, self.storage.rv)
            case "list":
                return await reads.list_(request, served, self.storage.rv)
            case "watch":
                await reads.wait_for_initial_events(request, self.storage.rv)
                return Watch(request, served, self.storage)
            case "create":
                return self._writes.create(request, served)
            case "update":
                return self._writes.update(request, served)
            case "patch":
                return self._writes.patch(request, served)
            case "delete":
                return deletes.delete(request, served)
            case _:
                return deletes.delete_collection(request, served, self.storage.rv)

    async def _subresource(self, request: Request, served: Served) -> Reply | Streamed:
        info = request.info
        if served.kind.custom and info.subresource not in served.kind.subresources:
            raise status.not_found(info.group, info.resource, info.name)
        if not discovery.serves(served.kind, info.subresource, info.verb):
            raise status.method_not_allowed()
        match info.subresource:
            case "log":
                return await self._pods.log(request, served)
            case "proxy":
                return await self._kubelets.proxy(request, served)
            case "binding":
                return self._pods.bind(request, served)
            case "eviction":
                return self._pods.evict(request, served)
            case "token":
                return tokens.create_token(request, served, self.kinds, self.authenticator)
            case "finalize":
                return self._namespaces.finalize(request, served)
            case "scale" if info.verb == "get":
                return self._scale(request, served)
            case _ if info.verb == "get":
                return await reads.get(request, served, self.storage.rv)
            case _ if info.verb == "update":
                return self._writes.update(request, served)
            case _:
                return self._writes.patch(request, served)

    @staticmethod
    def _scale(request: Request, served: Served) -> Reply:
        stored = served.named(request.info.namespace, request.info.name)
        return Reply.json(scale.scale_of(served.kind, served.obj(stored)))
