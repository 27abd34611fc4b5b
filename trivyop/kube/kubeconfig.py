"""Kubeconfig: access by way of kubeconfig files, with all the kinds of users they know.

kubernetes_asyncio reads them: tokens and token files, client certificates, passwords, exec plugins, OIDC.
Each call of a source reads the files anew, so a file that was rewritten, or a plugin that has a new token,
counts.

Promises: what cannot be read, parsed or run raises ``ConfigError``, naming the file or plugin.
Not here: when to read again, except as a hint in ``Access.fresh_seconds``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import copy
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import yaml
from kubernetes_asyncio.client.configuration import Configuration
from kubernetes_asyncio.config.config_exception import ConfigException
from kubernetes_asyncio.config.kube_config import ConfigNode, KubeConfigLoader, KubeConfigMerger

from trivyop.kube.access import Access, ConfigError, Source
from trivyop.kube.proxies import checked_proxy, proxy_for

_TOKEN_FILE_SECONDS = 60.0  # a token file belongs to somebody who rewrites it
_EARLY_SECONDS = 300.0  # the library lets a plugin's credential go five minutes before its end
_MIN_FRESH_SECONDS = 10.0  # a plugin that hands out shorter-lived ones is not run for each request
_PLUGIN_SECONDS = 60.0  # an exec plugin or an identity provider that takes longer is taken to hang


def file_source(paths: str, context: str | None, environ: Mapping[str, str]) -> Source:
    """A source that reads kubeconfig files, joined by ":" and merged as kubectl does."""

    async def source() -> Access:
        merger = _read(paths)
        return await _access(merger.config, context, paths, environ, save=lambda _: merger.save_changes())

    return source


def dict_source(kubeconfig: dict[str, Any], context: str | None, environ: Mapping[str, str]) -> Source:
    """A source that uses a kubeconfig document."""
    document = copy.deepcopy(kubeconfig)  # the library writes refreshed tokens into it

    async def source() -> Access:
        return await _access(document, context, "document", environ)

    return source


def _read(paths: str) -> KubeConfigMerger:
    found = [path for path in paths.split(":") if path and Path(path).expanduser().is_file()]
    if not found:
        raise ConfigError(f"no kubeconfig at {paths}, and not in a cluster")
    try:
        return KubeConfigMerger(":".join(found))
    except (OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        raise ConfigError(f"read kubeconfig {paths}: {error}") from error


class _Loader(KubeConfigLoader):
    def set_active_context(self, context_name: str | None = None) -> None:
        cast("Any", super()).set_active_context(context_name)  # the library's signatures are half typed
        if self._user is None:  # a context may name no user, and the library stumbles over that
            self._user = ConfigNode("user", {})

    @property
    def user(self) -> Mapping[str, Any]:
        return cast("ConfigNode", self._user).value


async def _access(
    document: Any,
    context: str | None,
    where: str,
    environ: Mapping[str, str],
    save: Callable[[Any], None] | None = None,
) -> Access:
    try:
        loader = _Loader(
            config_dict=document,
            active_context=context,
            config_base_path=None,
            config_persister=save,
        )
        found = cast("Any", Configuration())
        async with asyncio.timeout(_PLUGIN_SECONDS):
            await cast("Any", loader).load_and_set(found)
        named = cast("Mapping[str, Any]", loader.current_context or {}).get("context", {})
        authorization = found.api_key.get("BearerToken")
        server: str = found.host
        return Access.of(
            server,
            authorization=authorization.strip() if authorization else None,
            ca_file=found.ssl_ca_cert,
            cert_file=found.cert_file,
            key_file=found.key_file,
            verify=found.verify_ssl,
            tls_server_name=found.tls_server_name,
            proxy=checked_proxy(found.proxy) if found.proxy else proxy_for(server, environ),
            namespace=named.get("namespace") or "default",
            fresh_seconds=_fresh_seconds(loader, authorization),
        )
    except TimeoutError as error:
        raise ConfigError(f"kubeconfig {where}: its credential plugin did not answer") from error
    except (ConfigException, OSError, ValueError, KeyError, AssertionError) as error:
        raise ConfigError(f"kubeconfig {where}: {error}") from error


def _fresh_seconds(loader: _Loader, authorization: str | None) -> float | None:
    now = datetime.now(UTC)
    expiry: datetime | None = getattr(loader, "exec_plugin_expiry", None)
    if expiry is None and ("exec" in loader.user or "auth-provider" in loader.user):
        expiry = _jwt_expiry(authorization or "")
    if expiry is not None:
        return max(_MIN_FRESH_SECONDS, (expiry - now).total_seconds() - _EARLY_SECONDS)
    return _TOKEN_FILE_SECONDS if "tokenFile" in loader.user else None


def _jwt_expiry(authorization: str) -> datetime | None:
    """When a JSON web token ends, by its own word; None for any other token."""
    parts = authorization.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        return datetime.fromtimestamp(claims["exp"], UTC)
    except (binascii.Error, ValueError, KeyError, TypeError):
        return None
