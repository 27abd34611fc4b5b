"""What a scan pod takes from the configuration: environment variables and files.

In the operator's namespace a pod refers to the ConfigMap and Secret of Trivy's configuration, so secrets are
never copied. In a workload's namespace (``copy``) those objects do not exist; values then stand in the pod
itself, and secrets and files in the scan's own Secret.

Also here: ``ScanVariant``, what a workload wants done differently for its images.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trivyop.scan.command import CONFIG_FILE_PATH
from trivyop.settings import SecretText, Settings, TrivyMode
from trivyop.settings.durations import format_duration

CONFIG_NAME: Final = "trivy-operator-trivy-config"  # the ConfigMap and the Secret
SKIP_DIRS: Final = "trivy-operator.aquasecurity.github.io/skip-dirs"
SKIP_FILES: Final = "trivy-operator.aquasecurity.github.io/skip-files"
_IGNORE_POLICY: Final = "trivy.ignorePolicy"

EnvValue = dict[str, Any]  # {"value": ...} or {"valueFrom": ...}


@dataclass(frozen=True, slots=True)
class ScanVariant:
    """What a workload's annotations, or a policy for it alone, change about a scan; by default nothing."""

    skip_dirs: str | None = None
    skip_files: str | None = None
    ignore_policy: str = ""  # what follows "trivy.ignorePolicy" in its key

    @property
    def key(self) -> str:
        """A short text that tells variants apart, for an ImageScan's name; "" for the default."""
        if self == ScanVariant():
            return ""
        parts = repr((self.skip_dirs, self.skip_files, self.ignore_policy))
        return hashlib.sha256(parts.encode()).hexdigest()[:8]


def scan_variant(
    settings: Settings, *, namespace: str, name: str, annotations: Mapping[str, str] | None = None
) -> ScanVariant:
    """How the images of a workload are to be scanned."""
    given = annotations or {}
    return ScanVariant(
        skip_dirs=given.get(SKIP_DIRS),
        skip_files=given.get(SKIP_FILES),
        ignore_policy=_ignore_policy(settings.trivy.ignore_policies, namespace, name),
    )


def _ignore_policy(policies: Mapping[str, str], namespace: str, name: str) -> str:
    """Rest of the key of the policy for a workload: its own, its namespace's, the general one.

    A dot in the workload's part, or after the namespace's, stands for any text. Of several keys that fit, the
    longest one counts.
    """
    for candidate in (f".{namespace}.{name}", f".{namespace}"):
        for rest in sorted(policies, key=lambda rest: (-len(rest), rest)):
            if rest and _policy_pattern(rest).fullmatch(candidate):
                return rest
    return ""


def _policy_pattern(rest: str) -> re.Pattern[str]:
    namespace, dot, workload = rest.removeprefix(".").partition(".")
    pattern = rf"\.{re.escape(namespace)}"
    if dot and not workload:
        return re.compile(pattern + r"[^.]*")
    return re.compile(pattern + (r"\." + ".*".join(map(re.escape, workload.split("."))) if dot else ""))


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file in a scan pod; ``variable`` is the environment variable that names it to Trivy."""

    volume: str
    path: str
    sub_path: str
    source: dict[str, Any]
    variable: str = ""
    is_config: bool = False


class PodConfig:
    """Environment and files of a scan pod; collects what has to be in the scan's own Secret."""

    def __init__(self, settings: Settings, *, secret_name: str, copy: bool) -> None:
        self._settings = settings
        self._copy = copy
        self.secret_name = secret_name
        self.secret_data: dict[str, str] = {}

    def own_secret(self, key: str) -> dict[str, Any]:
        return {"secretKeyRef": {"name": self.secret_name, "key": key}}

    def scan_environment(self, variant: ScanVariant) -> dict[str, EnvValue]:
        trivy = self._settings.trivy
        env: dict[str, EnvValue] = {}
        self._from_config(env, "TRIVY_SEVERITY", "trivy.severity", ",".join(trivy.severities))
        self._from_config(env, "TRIVY_IGNORE_UNFIXED", "trivy.ignoreUnfixed", _flag(trivy.ignore_unfixed))
        self._from_config(env, "TRIVY_OFFLINE_SCAN", "trivy.offlineScan", _flag(trivy.offline_scan))
        self._from_config(
            env, "TRIVY_JAVA_DB_REPOSITORY", "trivy.javaDbRepository", ",".join(trivy.java_db_repository)
        )
        self._from_config(env, "TRIVY_TIMEOUT", "trivy.timeout", format_duration(trivy.timeout_seconds))
        if variant.skip_files is None:
            self._from_config(env, "TRIVY_SKIP_FILES", "trivy.skipFiles", ",".join(trivy.skip_files))
        else:
            env["TRIVY_SKIP_FILES"] = {"value": variant.skip_files}
        if variant.skip_dirs is None:
            self._from_config(env, "TRIVY_SKIP_DIRS", "trivy.skipDirs", ",".join(trivy.skip_dirs))
        else:
            env["TRIVY_SKIP_DIRS"] = {"value": variant.skip_dirs}
        self._proxies(env)
        if trivy.mode is TrivyMode.CLIENT_SERVER:
            self._from_config(env, "TRIVY_TOKEN_HEADER", "trivy.serverTokenHeader", trivy.server_token_header)
            self._from_secret(env, "TRIVY_TOKEN", "trivy.serverToken", trivy.server_token)
            self._from_secret(
                env, "TRIVY_CUSTOM_HEADERS", "trivy.serverCustomHeaders", trivy.server_custom_headers
            )
            if trivy.server_insecure:
                env["TRIVY_INSECURE"] = {"value": "true"}
        if trivy.db_repository_insecure:
            env["TRIVY_INSECURE"] = {"value": "true"}
        return env

    def database_environment(self) -> dict[str, EnvValue]:
        trivy = self._settings.trivy
        env: dict[str, EnvValue] = {}
        self._proxies(env)
        self._from_secret(env, "GITHUB_TOKEN", "trivy.githubToken", trivy.github_token)
        if trivy.db_repository_username and trivy.db_repository_password:
            user, password = trivy.db_repository_username, trivy.db_repository_password
            self._from_secret(env, "TRIVY_USERNAME", "trivy.dbRepositoryUsername", user)
            self._from_secret(env, "TRIVY_PASSWORD", "trivy.dbRepositoryPassword", password)
        if trivy.db_repository_insecure:
            env["TRIVY_INSECURE"] = {"value": "true"}
        return env

    def files(self, variant: ScanVariant) -> Iterator[ConfigFile]:
        trivy = self._settings.trivy
        if trivy.ignore_file:
            name = trivy.ignore_file_name
            source = self._file_source("trivy.ignoreFile", name, trivy.ignore_file)
            yield ConfigFile("ignorefile", f"/etc/trivy/{name}", name, source, "TRIVY_IGNOREFILE")
        policy = trivy.ignore_policies.get(variant.ignore_policy)
        if policy:
            source = self._file_source(f"{_IGNORE_POLICY}{variant.ignore_policy}", "policy.rego", policy)
            yield ConfigFile(
                "ignorepolicy", "/etc/trivy/policy.rego", "policy.rego", source, "TRIVY_IGNORE_POLICY"
            )
        if trivy.config_file:
            name = CONFIG_FILE_PATH.rpartition("/")[2]
            source = self._file_source("trivy.configFile", name, trivy.config_file)
            yield ConfigFile("configfile", CONFIG_FILE_PATH, name, source, is_config=True)

    def _proxies(self, env: dict[str, EnvValue]) -> None:
        trivy = self._settings.trivy
        for variable, key, value in (
            ("HTTP_PROXY", "trivy.httpProxy", trivy.http_proxy),
            ("HTTPS_PROXY", "trivy.httpsProxy", trivy.https_proxy),
        ):
            if not self._copy:
                env[variable] = {"valueFrom": _ref("configMapKeyRef", key)}
            elif value:
                self._copy_secret(env, variable, key, value)
        self._from_config(env, "NO_PROXY", "trivy.noProxy", trivy.no_proxy)

    def _from_config(self, env: dict[str, EnvValue], variable: str, key: str, value: str) -> None:
        if not self._copy:
            env[variable] = {"valueFrom": _ref("configMapKeyRef", key)}
        elif value:
            env[variable] = {"value": value}

    def _from_secret(self, env: dict[str, EnvValue], variable: str, key: str, value: SecretText) -> None:
        if not self._copy:
            env[variable] = {"valueFrom": _ref("secretKeyRef", key)}
        elif value:
            self._copy_secret(env, variable, key, value)

    def _copy_secret(self, env: dict[str, EnvValue], variable: str, key: str, value: SecretText) -> None:
        self.secret_data[key] = value.reveal()
        env[variable] = {"valueFrom": self.own_secret(key)}

    def _file_source(self, key: str, path: str, content: str) -> dict[str, Any]:
        items = [{"key": key, "path": path}]
        if not self._copy:
            return {"configMap": {"name": CONFIG_NAME, "items": items}}
        self.secret_data[key] = content
        return {"secret": {"secretName": self.secret_name, "items": items}}


def _ref(kind: str, key: str) -> dict[str, Any]:
    return {kind: {"name": CONFIG_NAME, "key": key, "optional": True}}


def _flag(value: bool) -> str:
    return "true" if value else ""
