"""Trivy's command lines for scanning images: words, never a shell's text.

Promises: pure. Flags are those of Trivy 0.57 and later; the image's name comes after ``--``, so it is never
taken for a flag.
Not here: environment variables and files that go with a command (``podconfig.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trivyop.scan.script import bom_path, findings_path, result_path
from trivyop.settings import Settings, SettingsError, TrivyCommand, TrivyMode
from trivyop.settings.images import split_mirrors
from trivyop.settings.load import Problem
from trivyop.settings.trivy import TrivySettings
from trivyop.workload.images import DOCKER_HUB, ImageName

CONFIG_DIRECTORY = "/etc/trivy"
CONFIG_FILE_PATH = f"{CONFIG_DIRECTORY}/trivy-config.yaml"
_FINDINGS_TEMPLATE = (
    "{{range .}}{{$class := .Class}}{{range .Vulnerabilities}}"
    "{{toJson (list .PkgIdentifier.BOMRef .VulnerabilityID .PkgName .InstalledVersion .FixedVersion .Severity"
    " .PkgPath $class)}}\n{{end}}{{end}}"
)


def mirrored(image: ImageName, settings: TrivySettings) -> ImageName:
    """The image as it is to be fetched: the mirror whose key fits the most of its name, if there is one."""
    best_length, best = -1, image
    name = f"{image.registry.lower()}/{image.repository}"
    for prefix, mirror in _mirrors(settings.registry_mirrors):
        host, slash, path = prefix.partition("/")
        host = host.lower()
        full_prefix = f"{DOCKER_HUB if host == 'docker.io' else host}{slash}{path}"
        rest = name.removeprefix(full_prefix)
        if rest == name or len(full_prefix) <= best_length:
            continue
        if not slash and not rest.startswith("/"):
            continue  # "quay.io" is not meant for "quay.io.example.com"
        if full_prefix.endswith("/"):
            rest = f"/{rest}"
        place = mirror.rstrip("/") if rest.startswith("/") else mirror
        moved = ImageName.parse(f"{place}{rest}:{image.tag or 'latest'}")
        best_length = len(full_prefix)
        best = ImageName(moved.registry, moved.repository, image.tag, image.digest)
    return best


def _mirrors(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Beginnings of image names and what takes their place, be the beginning in the key or in the value."""
    for key, text in given.items():
        for prefix, place in split_mirrors(text):
            yield prefix or key, place


def image_reference(image: ImageName, digest: str | None, settings: TrivySettings) -> str:
    """What Trivy has to scan: the digest that runs; as long as none is known, what the workload says."""
    place = mirrored(image, settings)
    return place.pinned(digest) if digest else str(place)


def scanners(settings: Settings) -> str:
    """Value of ``--scanners``; "" is right when only a bill of materials is wanted."""
    chosen: list[str] = []
    if settings.operator.vulnerability_scanner_enabled:
        chosen.append("vuln")
    if settings.operator.exposed_secret_scanner_enabled:
        chosen.append("secret")
    return ",".join(chosen)


def build_image_command(
    settings: Settings, reference: str, platform: str | None, *, directory: str
) -> list[str]:
    """``trivy image`` for one image; the result goes to ``result_path(directory)``."""
    trivy = settings.trivy
    if trivy.command is not TrivyCommand.IMAGE:
        where = "ConfigMap `trivy-operator-trivy-config`"
        raise SettingsError(
            [Problem("trivy.command", where, repr(str(trivy.command)), "not supported yet", "image")]
        )
    command = ["trivy", "image", "--cache-dir", trivy.image_scan_cache_dir, "--format", "json"]
    command += ["--scanners", scanners(settings), "--exit-code", "0", "--no-progress"]
    if not trivy.config_file and not settings.scan_job.custom_volumes:
        # Trivy also asks Docker, containerd and podman, which are not there unless somebody mounts a socket.
        command += ["--image-src", "remote"]
    if platform:
        command += ["--platform", platform]
    if settings.operator.exposed_secret_scanner_enabled:
        command += ["--image-config-scanners", "secret"]
    if settings.operator.sbom_generation_enabled:
        command += ["--list-all-pkgs"]
    if trivy.sbom_sources:
        command += ["--sbom-sources", ",".join(trivy.sbom_sources)]
    if trivy.mode is TrivyMode.CLIENT_SERVER:
        command += ["--server", trivy.server_url]
    if trivy.mode is TrivyMode.STANDALONE or trivy.client_server_skip_update:
        command += ["--skip-db-update"]
    if trivy.skip_java_db_update:
        command += ["--skip-java-db-update"]
    if trivy.slow:
        command += ["--parallel", "1"]
    if trivy.config_file:
        command += ["--config", CONFIG_FILE_PATH]
    return [*command, "--output", result_path(directory), "--", reference]


def build_convert_command(settings: Settings, *, directory: str) -> list[str]:
    """``trivy convert`` from a result to a bill of materials."""
    return [
        *("trivy", "convert", "--cache-dir", settings.trivy.image_scan_cache_dir, "--format", "cyclonedx"),
        *("--output", bom_path(directory), "--", result_path(directory)),
    ]


def build_proof_command(settings: Settings, reference: str, *, directory: str) -> list[str]:
    """``trivy sbom`` of the bill of materials, which is called as the image is, to `findings_path`.

    What chooses findings comes from the environment and files of the scan. A finding is a line of JSON: the
    reference of its component, then what ``matchable.py`` compares.
    """
    trivy = settings.trivy
    command = ["trivy", "sbom", "--cache-dir", trivy.image_scan_cache_dir, "--format", "template"]
    command += ["--template", _FINDINGS_TEMPLATE, "--scanners", "vuln", "--exit-code", "0", "--no-progress"]
    command += ["--skip-java-db-update"]
    command += (
        ["--server", trivy.server_url] if trivy.mode is TrivyMode.CLIENT_SERVER else ["--skip-db-update"]
    )
    if trivy.config_file:
        command += ["--config", CONFIG_FILE_PATH]
    return [*command, "--output", findings_path(directory), "--", reference]


def build_database_command(settings: TrivySettings) -> list[str]:
    """Fetch the vulnerability database into the scan pod's cache directory, and do nothing else."""
    command = ["trivy", "--cache-dir", settings.image_scan_cache_dir, "image", "--download-db-only"]
    if settings.config_file:
        command += ["--config", CONFIG_FILE_PATH]
    return [*command, "--no-progress", "--db-repository", ",".join(settings.db_repository)]


def build_login_command(settings: TrivySettings) -> list[str]:
    """Log in where the database comes from; user and password are in the environment."""
    return ["trivy", "registry", "login", ImageName.parse(settings.db_repository[0]).registry]
