"""Settings in the cluster: the ConfigMaps and Secrets that they are read from.

Promises: what is absent, or may not be read, counts as empty; the latter is logged.
Not here: what keys mean (`load.py`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import structlog

from trivyop.errors import DeniedError, ForbiddenError, outlasts_a_start
from trivyop.kube.client import Api
from trivyop.kube.resources import CONFIGMAPS, SECRETS, ObjectKey, Resource
from trivyop.settings import Settings, load_settings

log = structlog.get_logger(__name__)

OPERATOR_CONFIG = "trivy-operator"
TRIVY_CONFIG = "trivy-operator-trivy-config"
ENVIRONMENT_CONFIG = "trivy-operator-config"  # what the Deployment takes its environment from


async def read_settings(
    api: Api, environ: Mapping[str, str], namespace: str, *, only_looking: bool = False
) -> Settings:
    """Read the settings of the operator in `namespace`; ``SettingsError`` names all that is wrong.

    `only_looking`: whoever just wants to know what is scanned need not be allowed to read Secrets.
    """
    return load_settings(
        environ,
        await read_texts(api, CONFIGMAPS, ObjectKey(namespace, OPERATOR_CONFIG)),
        await read_texts(api, SECRETS, ObjectKey(namespace, OPERATOR_CONFIG), warn=not only_looking),
        await read_texts(api, CONFIGMAPS, ObjectKey(namespace, TRIVY_CONFIG)),
        await read_texts(api, SECRETS, ObjectKey(namespace, TRIVY_CONFIG), warn=not only_looking),
    )


async def read_texts(api: Api, resource: Resource, key: ObjectKey, *, warn: bool = True) -> dict[str, str]:
    """The data of a ConfigMap or, decoded, of a Secret; `warn` if it may not be read."""
    try:
        there = await api.get_dict(resource, key)
    except (DeniedError, ForbiddenError) as error:
        if not outlasts_a_start(error):
            raise
        if not warn:
            return {}
        log.warning("configuration_not_readable", kind=resource.kind, name=str(key), error=str(error))
        return {}
    data: dict[str, str] = (there or {}).get("data") or {}
    if resource is not SECRETS:
        return data
    return {name: text for name, value in data.items() if (text := _decoded(value)) is not None}


def _decoded(value: str) -> str | None:
    """A Secret's value as text; None for what is no text, which no setting is."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
