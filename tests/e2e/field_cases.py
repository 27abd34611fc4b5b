"""Field cases: small inputs that failed in real clusters, to be given to a sandbox as they are.

They are the files in ``tests/data/field-cases``, whose README says what the right answer to each is. In the
files ``REGISTRY`` stands for the address of the sandbox's registry and ``PORT`` for its port; ``UID`` and
``DIGEST`` are what a test says.

Promises: a ConfigMap that is there already keeps its other keys.
Not here: what has to happen after a case is created, and the right answers (the tests of each case).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.harness import RESOURCES, Cluster
from tests.e2e.looking import image_of_its_own
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import CONFIGMAPS, SECRETS, ObjectKey, Resource
from trivyop.sandbox.registry.auth import Account, Auth
from trivyop.sandbox.registry.oci import Image
from trivyop.sandbox.registry.samples import sample_images

CASES = Path(__file__).parents[1] / "data" / "field-cases"
_RESOURCES: Mapping[str, Resource] = RESOURCES | {one.kind: one for one in (CONFIGMAPS, SECRETS)}
_IMAGES = ("app/one:1", "app/two:1", "app/three:1", "private/one:1")


def field_images() -> dict[str, Image]:
    """The images that the cases name, each of its own, besides the sandbox's samples."""
    return {**sample_images(), **{name: image_of_its_own(name.partition(":")[0]) for name in _IMAGES}}


def private_registry(user: str = "puller", password: str = "simplepass123") -> Auth:  # noqa: S107 - as in the files
    """Only this login reads ``private/``; the node can, as it has a login of its own."""
    return Auth({"private/": Account(user, password)})


def read_case(name: str, cluster: Cluster, **words: str) -> list[dict[str, Any]]:
    """The objects of a case; `words` are what ``UID`` and ``DIGEST`` stand for."""
    meant = {"REGISTRY": cluster.registry, "PORT": cluster.registry.rpartition(":")[2], **words}
    text = (CASES / f"{name}.yaml").read_text()
    text = re.sub(r"\b[A-Z]+\b", lambda word: meant.get(word[0], word[0]), text)
    return list(yaml.safe_load_all(text))


async def create_objects(cluster: Cluster, bodies: Iterable[dict[str, Any]]) -> None:
    """Create objects in their order; the data of a ConfigMap that is there is added to."""
    for body in bodies:
        resource, meta = _RESOURCES[body["kind"]], body["metadata"]
        key = ObjectKey(meta.get("namespace", ""), meta["name"])
        if resource == CONFIGMAPS and await cluster.api.get(resource, key) is not None:
            await cluster.api.patch(resource, key, {"data": body["data"]}, kind=PatchKind.MERGE)
        else:
            await cluster.api.create(resource, body)


async def create_case(name: str, cluster: Cluster, **words: str) -> None:
    """Create all objects of a case."""
    await create_objects(cluster, read_case(name, cluster, **words))
