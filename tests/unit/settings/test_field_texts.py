"""Texts of settings as charts and people write them: what is meant counts, what cannot count is refused."""

from __future__ import annotations

from typing import Any

import pytest

from trivyop.settings import Settings, SettingsError, load_settings
from trivyop.settings.setting import IN_CONFIG, Source
from trivyop.settings.values import SETTINGS

NAMESPACE = {"OPERATOR_NAMESPACE": "trivy-system"}
HUB = "index.docker.io"


def load(key: str, text: str) -> Settings:
    declared = next(one for one in SETTINGS if key == one.key or (one.family and key.startswith(one.key)))
    texts: dict[str, Any] = {"environ": NAMESPACE, "configmap": {}, "trivy_configmap": {}}
    where = {Source.ENV: "environ", Source.CONFIG: "configmap", Source.TRIVY_CONFIG: "trivy_configmap"}
    name = where[declared.sources[0]]
    return load_settings(**{**texts, name: {**texts[name], key: text}})


JSON = [
    one for one in SETTINGS if "JSON" in one.kind.allowed or one.key.endswith("REGISTRY_SCAN_SECRETS_NAMES")
]


def test_the_settings_in_json_are_found() -> None:
    assert {"scanJob.affinity", "scanJob.tolerations", "nodeCollector.volumes"} <= {one.key for one in JSON}


@pytest.mark.parametrize("declared", JSON, ids=lambda one: one.key)
def test_a_json_null_is_as_if_the_key_were_empty(declared: Any) -> None:
    found = load(declared.key, " null\n").value_of(declared)

    assert found == load(declared.key, "").value_of(declared)
    if declared.sources == IN_CONFIG:
        assert found == declared.default


def test_volumes_are_read_as_the_api_server_reads_them() -> None:
    text = '[{"name":"a"},{"name":"b","emptyDir":null},{"name":"c","hostPath":{"path":"/x"},"nfs":null}]'

    assert load("scanJob.customVolumes", text).scan_job.custom_volumes == (
        {"name": "a", "emptyDir": {}},
        {"name": "b", "emptyDir": {}},
        {"name": "c", "hostPath": {"path": "/x"}},
    )


@pytest.mark.parametrize("family", ["insecureRegistry", "nonSslRegistry"])
@pytest.mark.parametrize(
    ("text", "registry"),
    [
        ("registry.local:5000", "registry.local:5000"),
        ("Registry.LOCAL:5000", "registry.local:5000"),
        ("http://registry.local:5000", "registry.local:5000"),
        ("https://registry.local/\n", "registry.local"),
        ("team_registry:5000", "team_registry:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("docker.io", HUB),
        ("https://index.docker.io", HUB),
    ],
)
def test_a_registry_is_known_by_its_host_however_it_is_written(family: str, text: str, registry: str) -> None:
    trivy = load(f"trivy.{family}.one", text).trivy

    given = trivy.insecure_registries if family == "insecureRegistry" else trivy.non_ssl_registries
    assert given == {"one": registry}


@pytest.mark.parametrize(
    ("key", "text", "why"),
    [
        ("trivy.nonSslRegistry.a", "a.local, b.local", "one registry"),
        ("trivy.nonSslRegistry.a", "a.local/team", "one registry"),
        ("trivy.insecureRegistry.a", "*.local", "one registry"),
        ("trivy.insecureRegistry.a", "10.0.0.0/8", "one registry"),
        ("trivy.skipDirs", '["/a","/b"]', "no quotes or brackets"),
        ("trivy.skipDirs", '"/my dir"', "no quotes or brackets"),
        ("trivy.skipFiles", "- /a\n- /b", "no quotes or brackets"),
        ("trivy.skipFiles", "[]", "no quotes or brackets"),
        ("OPERATOR_EXCLUDE_NAMESPACES", '"kube-system"', "no namespace"),
        ("OPERATOR_EXCLUDE_NAMESPACES", "kube-system default", "no namespace"),
        ("OPERATOR_EXCLUDE_NAMESPACES", "/kube-.*/", "no namespace"),
        ("trivy.repository", "https://ghcr.io/aquasecurity/trivy", "no https://"),
        ("trivy.repository", "my_registry:5000/trivy", "is not an image name"),
        ("scanJob.tolerations", '[{"key":"a","operator":"exists"}]', "exists"),
        ("scanJob.tolerations", '[{"key":"a","effect":"NoScheduling"}]', "NoScheduling"),
        ("scanJob.tolerations", "[null]", "null"),
    ],
)
def test_what_could_never_count_is_refused_and_not_passed_on(key: str, text: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(key, text)

    assert why in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("glob", ["kube-*", "team-[ab]", "team-[^0-9]?", "*", "a\\-b"])
def test_globs_of_namespaces(glob: str) -> None:
    assert load("OPERATOR_EXCLUDE_NAMESPACES", glob).operator.exclude_namespaces == (glob,)


@pytest.mark.parametrize("glob", ["/app/[a-z]*", "[ab]/x", "**/*.jar", "/a b"])
def test_globs_of_files_keep_their_brackets(glob: str) -> None:
    assert load("trivy.skipFiles", glob).trivy.skip_files == (glob,)
