"""Artifacts that are no images end as nothing to scan, in volumes and in containers alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.harness import pod, running_cluster, running_operator
from tests.e2e.looking import is_about, sample, until_phase
from trivyop.kube.client import PatchKind
from trivyop.kube.resources import EVENTS, PODS, VULNERABILITYREPORTS, ObjectKey
from trivyop.sandbox.registry.oci import (
    AMD64,
    CONFIG,
    INDEX,
    MANIFEST,
    Blob,
    Image,
    gzip_stored,
    tar,
    to_json,
)
from trivyop.sandbox.registry.samples import sample_images

_CHART = Blob(
    "application/vnd.cncf.helm.chart.content.v1.tar+gzip", gzip_stored(tar({"Chart.yaml": b"name: x"}))
)
_GGUF = b"GGUF" * 10


def artifact(config_type: str, config: dict[str, Any], layer: Blob, **more: Any) -> Image:
    """What ``helm push`` and others leave in a registry; a node mounts it for any platform."""
    blob = Blob(config_type, to_json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": blob.descriptor(),
        "layers": [layer.descriptor()],
        **more,
    }
    return Image(Blob(MANIFEST, to_json(manifest)), (blob, layer), platform=AMD64)


def in_index(image: Image) -> Image:
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [image.manifest.descriptor()]}
    return Image(Blob(INDEX, to_json(index)), platforms=((AMD64, image),))


HELM = artifact("application/vnd.cncf.helm.config.v1+json", {"name": "x"}, _CHART)
ARTIFACTS = {
    "helm": HELM,
    "docker-model": artifact(
        "application/vnd.docker.ai.model.config.v0.1+json",
        {},
        Blob("application/vnd.docker.ai.gguf.v3", _GGUF),
    ),
    "model-pack": artifact(
        "application/vnd.cncf.model.config.v1+json",
        {},
        Blob("application/vnd.cncf.model.weight.v1.tar", tar({"weights": _GGUF})),
        artifactType="application/vnd.cncf.model.manifest.v1+json",
    ),
    "ollama": artifact(
        "application/vnd.docker.container.image.v1+json",
        {"model_format": "gguf"},
        Blob("application/vnd.ollama.image.model", _GGUF),
    ),
    "image-without-layers": artifact(CONFIG, {}, Blob("application/octet-stream", _GGUF)),
    "in-index": in_index(HELM),
}


async def test_artifact_that_is_no_image_has_nothing_to_scan(tmp_path: Path) -> None:
    """No report says that it is clean, no failure is counted or said, and it is not tried again."""
    wasm = artifact(
        "application/vnd.wasm.config.v0+json", {"os": "wasip1"}, Blob("application/wasm", b"\0asm")
    )
    images = {f"art/{name}:1": image for name, image in {**ARTIFACTS, "wasm": wasm}.items()}
    async with running_cluster(tmp_path, images={**sample_images(), **images}) as cluster:
        server = pod("server", "models", app=cluster.image("library/single:1"))
        server["spec"]["volumes"] = [
            {"name": name, "image": {"reference": cluster.image(f"art/{name}:1")}} for name in ARTIFACTS
        ]
        await cluster.create(server, pod("wasm", "models", app=cluster.image("art/wasm:1")))
        async with running_operator(cluster) as operator:
            await cluster.until_reported("models/Pod/server/app")
            statuses = {name: await until_phase(cluster, cluster.image(name), "Succeeded") for name in images}
            await cluster.until_settled()
            made = cluster.scan_jobs_created()
            failures = sample(operator, "trivyop_scan_failures_total", **{"class": "scanner"})
            events = await cluster.list(EVENTS, "models")

        async with running_operator(cluster):
            await cluster.create(pod("next", "models", app=cluster.image("library/static:1")))
            await cluster.until_reported("models/Pod/server/app", "models/Pod/next/app")
            await cluster.until_settled()

        reasons = {name: status["reason"] for name, status in statuses.items()}
        assert reasons == dict.fromkeys(images, "nothing-to-scan")
        assert "application/vnd.cncf.helm.config.v1+json" in statuses["art/helm:1"]["message"]
        assert failures == 0
        assert not [one for one in events if is_about(one, "models", "server")]
        assert cluster.scan_jobs_created() == made + 1


async def test_reports_go_where_an_artifact_takes_the_place_of_an_image(tmp_path: Path) -> None:
    async with running_cluster(tmp_path, images={**sample_images(), "art/helm:1": HELM}) as cluster:
        await cluster.create(pod("web", "shop", web=cluster.image("library/single:1")))
        async with running_operator(cluster):
            await cluster.until_reported("shop/Pod/web/web")

            spec = {"containers": [{"name": "web", "image": cluster.image("art/helm:1")}]}
            await cluster.api.patch(PODS, ObjectKey("shop", "web"), {"spec": spec}, kind=PatchKind.STRATEGIC)

            await until_phase(cluster, cluster.image("art/helm:1"), "Succeeded")
            await cluster.until(lambda found: not found, VULNERABILITYREPORTS, what="gone")
