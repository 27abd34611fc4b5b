"""Kubelets: what the API server asks of node agents for its clients: logs of containers, and a Node's proxy.

Promises: they are asked as the real server asks: over HTTPS, with a client certificate of the cluster's CA,
at the port that the Node names.
Not here: exec, attach, port forwarding; through the proxy, anything but a GET.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from trivyop.sandbox.apiserver import status
from trivyop.sandbox.apiserver.request import Reply

if TYPE_CHECKING:
    from trivyop.sandbox.apiserver.kinds import Served
    from trivyop.sandbox.apiserver.request import Request
    from trivyop.sandbox.pki import Pki

Obj = dict[str, Any]

_ADDRESSES = ("InternalIP", "Hostname", "ExternalIP")


class Kubelets:
    """The way to them; ``close`` hangs up on them all."""

    def __init__(self, pki: Pki) -> None:
        self._pki = pki
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """End the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def log(self, node: Obj, path: str, query: Mapping[str, str]) -> LogStream:
        """A container's log, as it comes; raises the refusal of the kubelet."""
        try:
            response = await self._get(_kubelet_url(node).with_path(path).with_query(query))
        except aiohttp.ClientError as error:
            raise status.Refused(500, "InternalError", f"Internal error occurred: {error}") from None
        if response.status == 200:
            return LogStream(response)
        async with response:
            text = (await response.text()).strip()
        if response.status == 400:
            raise status.bad_request(text)
        raise status.Refused(response.status, "NotFound" if response.status == 404 else "", text)

    async def proxy(self, request: Request, nodes: Served) -> Reply:
        """What the kubelet answers to the rest of the path, whatever it is."""
        info = request.info
        node = nodes.obj(nodes.named("", info.name))
        url = _kubelet_url(node).with_path("/" + "/".join(info.rest)).with_query(request.query)
        try:
            async with await self._get(url) as response:
                return Reply(response.status, await response.read(), response.content_type)
        except aiohttp.ClientError as error:
            message = f"error trying to reach service: {error}"
            raise status.Refused(503, "ServiceUnavailable", message) from None

    async def _get(self, url: URL) -> aiohttp.ClientResponse:
        if self._session is None:
            tls = self._pki.client_context("kube-apiserver-kubelet-client", ["system:masters"])
            # as a real API server that was not told otherwise: kubelets may sign their own certificates
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls, limit=0), timeout=aiohttp.ClientTimeout(connect=10)
            )
        return await self._session.get(url)


class LogStream:
    """A log on its way from the kubelet to the client."""

    media_type = "text/plain"

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the log as it comes."""
        async for chunk in self._response.content.iter_any():
            yield chunk

    def close(self) -> None:
        """Hang up on the kubelet."""
        self._response.close()


def _kubelet_url(node: Obj) -> URL:
    state = node.get("status", {})
    addresses = {a["type"]: a["address"] for a in state.get("addresses") or ()}
    address = next((addresses[kind] for kind in _ADDRESSES if kind in addresses), node["metadata"]["name"])
    port = state.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port") or 10250
    return URL.build(scheme="https", host=address, port=port)
