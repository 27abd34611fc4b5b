"""Command lines and environments of the Trivy that the operator runs itself.

Promises: pure. Secrets travel in the environment, never in arguments.
Not here: the variables that settings become (``trivy/environment.py``), Trivy in scan pods (``command.py``).
"""

from __future__ import annotations

from collections.abc import Mapping

from trivyop.settings import Settings, TrivyMode
from trivyop.trivy.environment import (
    base_environment,
    database_variables,
    finding_variables,
    registry_hosts,
    server_variables,
)


def build_download_command(settings: Settings, *, cache_dir: str) -> list[str]:
    """Fetch the vulnerability database into ``cache_dir``."""
    return [
        *(settings.database.trivy_program, "image", "--download-db-only", "--no-progress"),
        *("--cache-dir", cache_dir),
        *("--db-repository", ",".join(settings.trivy.db_repository)),
    ]


def build_match_command(
    settings: Settings, *, cache_dir: str | None, bom: str, files: Mapping[str, str]
) -> list[str]:
    """Match a bill of materials: against the database in ``cache_dir``, or by the Trivy server.

    ``files`` maps flags (``--ignorefile``, ``--ignore-policy``, ``--config``) to paths. The report in JSON is
    printed. Settings that choose findings are in ``match_environment``, as they are in scan pods.
    """
    trivy = settings.trivy
    command = [settings.database.trivy_program, "sbom", "--format", "json", "--exit-code", "0"]
    command += ["--scanners", "vuln", "--no-progress", "--skip-java-db-update"]
    if trivy.mode is TrivyMode.CLIENT_SERVER:
        command += ["--server", trivy.server_url]
    else:
        command += ["--skip-db-update"]
    if cache_dir is not None:
        command += ["--cache-dir", cache_dir]
    for flag, path in sorted(files.items()):
        command += [flag, path]
    return [*command, "--", bom]


def download_environment(
    settings: Settings, *, home: str, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment to fetch the database with."""
    trivy = settings.trivy
    environment = base_environment(settings, home, inherited or {}) | database_variables(settings).revealed()
    hosts = registry_hosts(trivy.db_repository)
    if hosts & set(trivy.insecure_registries.values()):
        environment["TRIVY_INSECURE"] = "true"
    if hosts & set(trivy.non_ssl_registries.values()):
        environment["TRIVY_NON_SSL"] = "true"
    return environment


def match_environment(
    settings: Settings, *, home: str, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment to match with: what chooses findings, and what a Trivy server asks for."""
    chosen = finding_variables(settings) | server_variables(settings)
    return base_environment(settings, home, inherited or {}) | chosen.revealed()
