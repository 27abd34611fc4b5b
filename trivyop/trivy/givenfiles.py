"""The files that settings become for Trivy: ignore file, ignore policy, configuration file.

The same ones go to a scan pod and to a match in the operator. Trivy goes by the name of an ignore file: it is
YAML if the name ends in ``.yaml`` or ``.yml``, and lines of ids else. Read as the other, YAML hides nothing
without a word, and ids are an error in each scan. So the name is made to fit the content.

Promises: pure. Not here: where files are put, and how they are named to Trivy.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from trivyop.settings.trivy import TrivySettings
from trivyop.settings.yamltexts import is_yaml_ignore_file

_POLICY = "policy.rego"
_CONFIG = "trivy-config.yaml"
_YAML_ENDINGS = (".yaml", ".yml")


class FileUse(enum.Enum):
    """What a file is for; the value is the flag that names it to Trivy."""

    IGNORE_FILE = "--ignorefile"
    IGNORE_POLICY = "--ignore-policy"
    CONFIG = "--config"


@dataclass(frozen=True, slots=True)
class GivenFile:
    use: FileUse
    name: str  # without directories
    content: str


def given_files(trivy: TrivySettings, ignore_policy: str) -> Iterator[GivenFile]:
    """The files that there are; ``ignore_policy`` is the rest of the key of the policy that applies."""
    if trivy.ignore_file.strip():
        name = ignore_file_name(trivy.ignore_file_name, trivy.ignore_file)
        yield GivenFile(FileUse.IGNORE_FILE, name, trivy.ignore_file)
    if policy := trivy.ignore_policies.get(ignore_policy):
        yield GivenFile(FileUse.IGNORE_POLICY, _POLICY, policy)
    if trivy.config_file:
        yield GivenFile(FileUse.CONFIG, _CONFIG, trivy.config_file)


def ignore_file_name(name: str, content: str) -> str:
    """``name``, with the ending that the content calls for, and not that of another file."""
    if name in (_POLICY, _CONFIG):
        name = f"ignore-{name}"
    ending = next((ending for ending in _YAML_ENDINGS if name.endswith(ending)), "")
    if is_yaml_ignore_file(content):
        return name if ending else f"{name}.yaml"
    return name.removesuffix(ending) or ".trivyignore" if ending else name
