"""How Trivy is called to audit: its arguments, its environment, and the template that it prints results with.

The template prints what reports need, a line per result, and says what a check is only once: for 500
resources that is some hundred kilobytes. Trivy's own JSON has 80 MB, most of it the same over and over.

Promises: secrets travel in the environment, never in arguments.
Not here: reading what is printed (``results.py``).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from trivyop.audit.policies import Policies
from trivyop.settings import Settings
from trivyop.trivy.environment import base_environment, registry_hosts

INPUTS = "inputs"
CHECKS = "checks"
RESULT = "result"
TEMPLATE_FILE = "result.tpl"

# A check is told once, with the number that results call it by from then on.
TEMPLATE = """\
{{- $seen := dict -}}
{{- range . -}}
{{- list "t" .Target | toJson }}
{{ range .Misconfigurations -}}
{{- $key := printf "%s\\n%s\\n%s\\n%s" .Namespace .ID .Title .Severity -}}
{{- if not (hasKey $seen $key) -}}
{{- $_ := set $seen $key (len $seen) -}}
{{- list "c" .Namespace .ID .Title .Description .Resolution .Severity | toJson }}
{{ end -}}
{{- $number := get $seen $key -}}
{{- if eq (printf "%s" .Status) "PASS" }}{{ $number }}
{{ else }}{{ list "f" $number (printf "%s" .Status) .Message | toJson }}
{{ end -}}
{{- end -}}
{{- end -}}
"""


def build_audit_command(
    program: str, policies: Policies, *, cache_dir: str, cluster_version: str, debug: bool = False
) -> list[str]:
    """Audit the files in ``INPUTS``, below the working directory, into ``RESULT`` there.

    Trivy reads checks from ``cache_dir`` if there are some, else it uses its own. The deadline is up to who
    runs it.
    """
    command = [program, "config", "--misconfig-scanners", "kubernetes", "--include-non-failures"]
    command += ["--skip-check-update"]
    command += [
        "--config",
        "",
        "--ignorefile",
        "",
        "--cache-dir",
        cache_dir,
        "--timeout",
        "24h",
    ]  # the deadline is ours
    command += ["--format", "template", "--template", f"@{TEMPLATE_FILE}", "--output", RESULT]
    if policies.custom:
        command += ["--config-check", CHECKS, "--check-namespaces", ",".join(policies.namespaces)]
    if cluster_version:
        command += ["--k8s-version", cluster_version]
    if debug:
        command += ["--debug"]
    return [*command, INPUTS]


def build_fetch_command(program: str, reference: str, *, cache_dir: str) -> list[str]:
    """Fetch the bundle of checks into ``cache_dir``; ``reference`` "" is where Trivy's makers publish it."""
    command = [program, "config", "--misconfig-scanners", "kubernetes"]
    command += ["--config", "", "--ignorefile", "", "--cache-dir", cache_dir]
    if reference:
        command += ["--checks-bundle-repository", reference]
    return [*command, INPUTS]


def build_background_command(command: list[str]) -> list[str]:
    """The command with less claim to CPUs than the operator itself, where there is a program for that."""
    nice = shutil.which("nice")
    return command if nice is None else [nice, "-n", "5", *command]


def audit_environment(settings: Settings, *, home: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Environment to audit in.

    Go collects garbage half as often as by default. That saves a tenth of the CPU or more, and takes the
    memory that the template saves.
    """
    return {**base_environment(settings, home, inherited), "GOGC": "200"}


def fetch_environment(settings: Settings, *, home: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """Environment to fetch the bundle in."""
    audit, trivy = settings.audit, settings.trivy
    environment = base_environment(settings, home, inherited)
    if audit.bundle_user and audit.bundle_password:
        environment["TRIVY_USERNAME"] = audit.bundle_user.reveal()
        environment["TRIVY_PASSWORD"] = audit.bundle_password.reveal()
    hosts = registry_hosts([audit.bundle_reference]) if audit.bundle_reference else set[str]()
    if audit.bundle_insecure or hosts & set(trivy.insecure_registries.values()):
        environment["TRIVY_INSECURE"] = "true"
    if hosts & set(trivy.non_ssl_registries.values()):
        environment["TRIVY_NON_SSL"] = "true"
    return environment
