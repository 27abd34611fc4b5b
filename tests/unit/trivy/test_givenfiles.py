"""Files that Trivy is given: an ignore file is named so that Trivy reads what it is."""

from __future__ import annotations

import pytest

from trivyop.settings import SettingsError, load_settings
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


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("trivy.ignoreFile", "vulnerabilities:\n  - id: ["),
        ("trivy.configFile", "severity: [HIGH"),
        ("trivy.configFile", "- severity"),
        ("trivy.configFile", "severity"),
    ],
)
def test_file_that_would_fail_each_scan_is_refused_by_its_key(key: str, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"OPERATOR_NAMESPACE": "x"}, trivy_configmap={key: text})

    assert [problem.key for problem in caught.value.problems] == [key]


@pytest.mark.parametrize(
    "text", ["severity: [HIGH]", "# nothing", "{}", "db:\n  repository: =\n", "---\na: b\n"]
)
def test_configuration_files_are_taken_as_they_are(text: str) -> None:
    assert (
        load_settings(
            {"OPERATOR_NAMESPACE": "x"}, trivy_configmap={"trivy.configFile": text}
        ).trivy.config_file
        == text
    )
