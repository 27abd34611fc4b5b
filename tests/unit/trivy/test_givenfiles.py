"""Files that Trivy is given: an ignore file is named so that Trivy reads what it is."""

from __future__ import annotations

import pytest

from trivyop.settings import load_settings
from trivyop.trivy.givenfiles import FileUse, given_files, ignore_file_name

YAML = "vulnerabilities:\n  - id: CVE-2020-8203\n    paths: [usr/lib]\n"
IDS = "# accepted\nCVE-2020-8203\nCVE-2021-1 exp:2030-01-01\n"


@pytest.mark.parametrize(
    "name", [".trivyignore", "ignore", "ignore.txt", ".trivyignore.yaml", "x.yml", ".yaml"]
)
@pytest.mark.parametrize(
    ("content", "is_yaml"),
    [
        (YAML, True),
        (f"---\n# accepted\n{YAML}", True),
        ('{"vulnerabilities": [{"id": "CVE-1"}]}', True),
        ("secrets:\n  - id: aws\n", True),
        ("vulnerabilities:\n  - id: [", True),  # malformed, and meant as YAML
        ("misconfigurations: []\n", True),
        (IDS, False),
        ("CVE-2020-8203", False),
        ("# nothing\n", False),
        ("AVD-DS-0002\nCVE-1 # see: ticket\n", False),
        ("CVE-1 exp:2030-01-01", False),
        ("* : odd\n", False),
    ],
)
def test_ignore_file_ends_as_its_content_calls_for(name: str, content: str, is_yaml: bool) -> None:
    found = ignore_file_name(name, content)

    assert found.endswith((".yaml", ".yml")) is is_yaml
    if name.endswith((".yaml", ".yml")) is is_yaml:
        assert found == name


@pytest.mark.parametrize("name", ["policy.rego", "trivy-config.yaml"])
@pytest.mark.parametrize("content", [YAML, IDS])
def test_files_have_names_of_their_own(name: str, content: str) -> None:
    settings = load_settings(
        {"OPERATOR_NAMESPACE": "x"},
        trivy_configmap={
            "trivy.ignoreFile": content,
            "trivy.ignoreFileName": name,
            "trivy.ignorePolicy": "package trivy",
            "trivy.configFile": "a: b",
        },
    )
    files = list(given_files(settings.trivy, ""))

    assert [file.use for file in files] == [FileUse.IGNORE_FILE, FileUse.IGNORE_POLICY, FileUse.CONFIG]
    assert len({file.name for file in files}) == 3
