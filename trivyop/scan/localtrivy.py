"""Command lines and environments of the Trivy that the operator runs itself.

Promises: pure. Secrets travel in the environment, never in arguments.
Not here: what every environment has (``trivy/environment.py``), Trivy in scan pods (``command.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from trivyop.settings import Settings, TrivyMode
from trivyop.trivy.environment import base_environment, registry_hosts


def build_download_command(settings: Settings, *, cache_dir: str) -> list[str]:
    """Fetch the vulnerability database into ``cache_dir``."""
    return [
        *(settings.database.trivy_program, "image", "--download-db-only", "--no-progress"),
        *("--skip-version-check", "--cache-dir", cache_dir),
        *("--db-repository", ",".join(settings.trivy.db_repository)),
    ]


def build_match_command(
    settings: Settings, *, cache_dir: str | None, bom: str, files: Mapping[str, str]
) -> list[str]:
    """Match a bill of materials: against the database in ``cache_dir``, or by the Trivy server.

    ``files`` maps flags (``--ignorefile``, ``--ignore-policy``, ``--config``) to paths. The report in JSON is
    printed. Settings that choose findings are the same as in scan pods.
    """
    trivy = settings.trivy
    command = [settings.database.trivy_program, "sbom", "--format", "json", "--exit-code", "0"]
    command += ["--scanners", "vuln", "--no-progress", "--skip-version-check", "--skip-java-db-update"]
    command += ["--severity", ",".join(trivy.severities)]
    if trivy.mode is TrivyMode.CLIENT_SERVER:
        command += ["--server", trivy.server_url]
    else:
        command += ["--skip-db-update"]
    if cache_dir is not None:
        command += ["--cache-dir", cache_dir]
    if trivy.ignore_unfixed:
        command += ["--ignore-unfixed"]
    if trivy.offline_scan:
        command += ["--offline-scan"]
    if trivy.vuln_type is not None:
        command += ["--pkg-types", str(trivy.vuln_type)]
    for flag, path in sorted(files.items()):
        command += [flag, path]
    return [*command, "--", bom]


def download_environment(
    settings: Settings, *, home: str, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment to fetch the database with."""
    trivy = settings.trivy
    environment = base_environment(settings, home, inherited or {})
    if trivy.github_token:
        environment["GITHUB_TOKEN"] = trivy.github_token.reveal()
    if trivy.db_repository_username and trivy.db_repository_password:
        environment["TRIVY_USERNAME"] = trivy.db_repository_username.reveal()
        environment["TRIVY_PASSWORD"] = trivy.db_repository_password.reveal()
    hosts = registry_hosts(trivy.db_repository)
    if trivy.db_repository_insecure or hosts & set(trivy.insecure_registries.values()):
        environment["TRIVY_INSECURE"] = "true"
    if hosts & set(trivy.non_ssl_registries.values()):
        environment["TRIVY_NON_SSL"] = "true"
    return environment


def match_environment(
    settings: Settings, *, home: str, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment to match with; what a Trivy server asks for is in it."""
    trivy = settings.trivy
    environment = base_environment(settings, home, inherited or {})
    if trivy.mode is TrivyMode.CLIENT_SERVER:
        if trivy.server_token_header:
            environment["TRIVY_TOKEN_HEADER"] = trivy.server_token_header
        if trivy.server_token:
            environment["TRIVY_TOKEN"] = trivy.server_token.reveal()
        if trivy.server_custom_headers:
            environment["TRIVY_CUSTOM_HEADERS"] = trivy.server_custom_headers.reveal()
        if trivy.server_insecure:
            environment["TRIVY_INSECURE"] = "true"
    return environment
