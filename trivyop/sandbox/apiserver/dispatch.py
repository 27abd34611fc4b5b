"""Dispatch: all of the server but its sockets; from an authenticated request to the handler that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trivyop.sandbox.apiserver import deletes, reads, status
from trivyop.sandbox.apiserver.authn import ANONYMOUS, Authenticator, User
from trivyop.sandbox.apiserver.crds import Definitions
from trivyop.sandbox.apiserver.discovery import Discovery
from trivyop.sandbox.apiserver.kinds import Kinds, Served
from trivyop.sandbox.apiserver.namespaces import Namespaces
from trivyop.sandbox.apiserver.storage import Storage
from trivyop.sandbox.apiserver.watches import Watch
from trivyop.sandbox.apiserver.writes import Writes

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.request import Reply, Request
    from trivyop.sandbox.apiserver.routing import RequestInfo
    from trivyop.sandbox.pki import Pki


class Dispatch:
    """Storage, kinds and handlers, wired together."""

    def __init__(self, pki: Pki) -> None:
        self.storage = Storage()
        self.kinds = Kinds(self.storage)
        self.authenticator = Authenticator(pki.signing_key, self.kinds)
        self.namespaces = Namespaces(self.kinds, pki.ca_pem.decode())
        self._writes = Writes(self.namespaces)
        self._definitions = Definitions(self.kinds)
        self._discovery = Discovery(self.kinds)

    def start(self) -> None:
        """Fill in what a fresh cluster has."""
        self.namespaces.start()
        self._definitions.start()

    def who(self, headers: Mapping[str, str], certificate: Mapping[str, Any] | None) -> User:
        """Return the user behind a request."""
        return self.authenticator.authenticate(headers.get("Authorization"), certificate)

    def authorize(self, user: User, info: RequestInfo) -> None:
        """Refuse what the user may not do."""
        if user == ANONYMOUS and info.resource:
            raise status.forbidden(
                info.group, info.resource, info.name, f'User "{user.name}" cannot {info.verb}'
            )

    async def handle(self, request: Request) -> Reply | Watch:
        """Answer a request that is allowed."""
        info = request.info
        if not info.resource:
            return self._discovery.handle(request)
        served = self.kinds.find(info.group, info.version, info.resource)
        if served is None:
            raise status.no_such_path()
        return await self._handle(request, served)

    async def _handle(self, request: Request, served: Served) -> Reply | Watch:
        info = request.info
        if info.subresource and info.subresource not in served.kind.subresources:
            raise status.no_such_path()
        match info.verb:
            case "get":
                return await reads.get(request, served, self.storage.rv)
            case "list":
                return await reads.list_(request, served, self.storage.rv)
            case "watch":
                return Watch(request, served, self.storage)
            case "create":
                return self._writes.create(request, served)
            case "update" if info.name:
                return self._writes.update(request, served)
            case "patch" if info.name:
                return self._writes.patch(request, served)
            case "delete":
                return deletes.delete(request, served)
            case "deletecollection":
                return deletes.delete_collection(request, served, self.storage.rv)
            case _:
                raise status.method_not_allowed()
