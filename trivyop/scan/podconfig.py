"""What a scan pod takes from the configuration: environment variables and files.

What was read from settings when the operator started is written into the pod; secrets and files go into the
scan's own Secret, which goes with the Job. A pod never refers to the ConfigMap and Secret of Trivy's
configuration: their text may mean something else to Trivy than to the operator, may have changed since, and
is in one namespace only.

Also here: ``ScanVariant``, what a workload wants done differently for its images.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from trivyop.scan.command import CONFIG_DIRECTORY
from trivyop.settings import Settings
from trivyop.settings.kinds import split_list
from trivyop.trivy.environment import (
    Variables,
    common_variables,
    database_variables,
    finding_variables,
    image_variables,
    server_variables,
)
from trivyop.trivy.givenfiles import FileUse, given_files

SKIP_DIRS: Final = "trivy-operator.aquasecurity.github.io/skip-dirs"
SKIP_FILES: Final = "trivy-operator.aquasecurity.github.io/skip-files"
_VOLUMES: Final = {
    FileUse.IGNORE_FILE: ("ignorefile", "TRIVY_IGNOREFILE"),
    FileUse.IGNORE_POLICY: ("ignorepolicy", "TRIVY_IGNORE_POLICY"),
    FileUse.CONFIG: ("configfile", ""),  # named by a flag
}

EnvValue = dict[str, Any]  # {"value": ...} or {"valueFrom": ...}


@dataclass(frozen=True, slots=True)
class ScanVariant:
    """What a workload's annotations, or a policy for it alone, change about a scan; by default nothing."""

    skip_dirs: tuple[str, ...] | None = None  # None: as settings say
    skip_files: tuple[str, ...] | None = None
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
        skip_dirs=_annotated(given, SKIP_DIRS),
        skip_files=_annotated(given, SKIP_FILES),
        ignore_policy=_ignore_policy(settings.trivy.ignore_policies, namespace, name),
    )


def _annotated(annotations: Mapping[str, str], key: str) -> tuple[str, ...] | None:
    """The list in an annotation, None if it is not there. An item that cannot be one is passed over."""
    return split_list(annotations[key], strict=False) if key in annotations else None


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

    def __init__(self, settings: Settings, *, secret_name: str) -> None:
        self._settings = settings
        self.secret_name = secret_name
        self.secret_data: dict[str, str] = {}

    def own_secret(self, key: str) -> dict[str, Any]:
        return {"secretKeyRef": {"name": self.secret_name, "key": key}}

    def scan_environment(self, variant: ScanVariant) -> dict[str, EnvValue]:
        settings = self._settings
        env = self._references(
            common_variables(settings)
            | finding_variables(settings)
            | image_variables(settings, skip_files=variant.skip_files, skip_dirs=variant.skip_dirs)
            | server_variables(settings)
        )
        if settings.trivy.db_repository_insecure:
            env["TRIVY_INSECURE"] = {"value": "true"}
        return env

    def database_environment(self) -> dict[str, EnvValue]:
        return self._references(common_variables(self._settings) | database_variables(self._settings))

    def files(self, variant: ScanVariant) -> Iterator[ConfigFile]:
        for file in given_files(self._settings.trivy, variant.ignore_policy):
            volume, variable = _VOLUMES[file.use]
            self.secret_data[volume] = file.content
            items = [{"key": volume, "path": file.name}]
            yield ConfigFile(
                volume,
                f"{CONFIG_DIRECTORY}/{file.name}",
                file.name,
                {"secret": {"secretName": self.secret_name, "items": items}},
                variable,
                is_config=file.use is FileUse.CONFIG,
            )

    def _references(self, variables: Variables) -> dict[str, EnvValue]:
        """Variables as a pod has them: secrets by reference, all else as the kubelet leaves it alone."""
        env: dict[str, EnvValue] = {
            name: {"value": text.replace("$", "$$")} for name, text in variables.plain.items()
        }
        for name, text in variables.secret.items():
            self.secret_data[name] = text.reveal()
            env[name] = {"valueFrom": self.own_secret(name)}
        return env
