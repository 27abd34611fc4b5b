"""Environment: the variables and the command line a container starts with.

Nothing of the node agent's own environment is handed on. Values of the Pod are rewritten to this machine's
paths (``paths``); those from Secrets only if they are a path as a whole, since a password may look like
anything.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from trivyop.sandbox.changes import Json, parts
from trivyop.sandbox.kubelet.fields import field_value, resource_value
from trivyop.sandbox.kubelet.images import FamiliarName
from trivyop.sandbox.kubelet.paths import PathMap, expand
from trivyop.sandbox.kubelet.sources import CONFIGMAPS, SECRETS, ConfigMissingError, Sources

# What images start if their Pod gives no command: no image is ever opened here.
ENTRYPOINTS: Mapping[str, Sequence[str]] = {"trivy": ("trivy",), "trivyop": ("trivyop",)}
# What is not installed here has a stand-in, unless the Pod finds a program of that name.
STAND_INS: Mapping[str, Sequence[str]] = {
    "node-collector": (sys.executable, "-m", "trivyop.sandbox.nodecollector")
}


async def build_environment(
    pod: Json, container: Json, sources: Sources, paths: PathMap, base: Mapping[str, str]
) -> dict[str, str]:
    """The container's variables: ``base``, then ``envFrom``, then ``env``, each over the one before.

    Raises ``ConfigMissingError`` if something is missing that is not optional.
    """
    own: dict[str, str] = {}
    for source in parts(container, "envFrom"):
        prefix = source.get("prefix") or ""
        for resource, name in ((CONFIGMAPS, "configMapRef"), (SECRETS, "secretRef")):
            if name in source:
                values = await sources.all_of(resource, source[name])
                rewrite = paths.rewrite_path if resource is SECRETS else paths.rewrite
                own |= {prefix + key: rewrite(value.decode()) for key, value in values.items()}
    for variable in parts(container, "env"):
        name = str(variable["name"])
        if "valueFrom" not in variable:
            own[name] = expand(paths.rewrite(variable.get("value") or ""), own)
            continue
        value = await _value_from(pod, container, variable["valueFrom"], sources, paths)
        if value is not None:
            own[name] = value
    return {**base, **own}


async def _value_from(
    pod: Json, container: Json, source: Mapping[str, Any], sources: Sources, paths: PathMap
) -> str | None:
    if "configMapKeyRef" in source:
        value = await sources.one_of(CONFIGMAPS, source["configMapKeyRef"])
        return None if value is None else paths.rewrite(value.decode())
    if "secretKeyRef" in source:
        value = await sources.one_of(SECRETS, source["secretKeyRef"])
        return None if value is None else paths.rewrite_path(value.decode())
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_value(container, source["resourceFieldRef"])
    return None


def build_command(container: Json, environment: Mapping[str, str], paths: PathMap) -> list[str]:
    """The program and its arguments; raises ``ConfigMissingError`` if nobody says what to run."""
    command: list[str] = container.get("command") or []
    args: list[str] = container.get("args") or []
    if not command:
        image = FamiliarName.parse(container.get("image", ""))
        command = list(ENTRYPOINTS.get(image.repository.rpartition("/")[2], ()))
    words = [expand(paths.rewrite(word), environment) for word in (*command, *args)]
    if not words:
        raise ConfigMissingError(f"no command specified, and none is known of image {container.get('image')}")
    program = words[0]
    if program in STAND_INS and shutil.which(program, path=environment.get("PATH")) is None:
        return [*STAND_INS[program], *words[1:]]
    if program.startswith("/") and not os.access(program, os.X_OK):
        # The image has it there; here it may be anywhere.
        words[0] = shutil.which(os.path.basename(program), path=environment.get("PATH")) or program
    return words
