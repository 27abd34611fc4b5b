"""Kinds of settings that hold a file in YAML, or one that may be YAML.

Promises: text that Trivy could not read as YAML is refused at the start, where it would fail each scan.
Not here: what the text means to Trivy.
"""

from __future__ import annotations

from typing import Final

import yaml

from trivyop.settings.kinds import Kind, show_text

IGNORE_SECTIONS: Final = ("vulnerabilities", "misconfigurations", "secrets", "licenses")


def is_mapping(text: str) -> bool:
    """Whether the text is a mapping in YAML (or JSON); ``ValueError`` if it is no YAML at all."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None
    return isinstance(node, yaml.MappingNode)


def is_yaml_ignore_file(text: str) -> bool:
    """Whether an ignore file is YAML, which lines of ids never are; ``ValueError`` if it is broken YAML."""
    try:
        return is_mapping(text)
    except ValueError:
        # No YAML: lines of ids then, unless one opens what an ignore file in YAML has.
        if any(line.startswith(tuple(f"{one}:" for one in IGNORE_SECTIONS)) for line in text.splitlines()):
            raise
        return False


def _parse_config_file(text: str) -> str:
    if text.strip() and not is_mapping(text) and yaml.compose(text, Loader=yaml.SafeLoader) is not None:
        raise ValueError("is not a mapping of options to values")
    return text


def _parse_ignore_file(text: str) -> str:
    is_yaml_ignore_file(text)
    return text


CONFIG_FILE: Kind[str] = Kind(
    "YAML", "a configuration file of Trivy, in YAML", _parse_config_file, show_text, str
)
IGNORE_FILE: Kind[str] = Kind(
    "text, several lines", "ids, one a line, or YAML", _parse_ignore_file, show_text, str
)
