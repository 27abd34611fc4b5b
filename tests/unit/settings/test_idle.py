"""Settings of parts that are off or missing are named."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.unit.settings.test_load import CHART_CONFIG, CHART_ENV, CHART_TRIVY
from trivyop.settings import load_settings

NAMESPACE = {"OPERATOR_NAMESPACE": "trivy-system"}
OFF = "OPERATOR_CONFIG_AUDIT_SCANNER_ENABLED"


def warnings(
    environ: Mapping[str, str] | None = None,
    config: Mapping[str, str] | None = None,
    trivy: Mapping[str, str] | None = None,
    secret: Mapping[str, str] | None = None,
    own_secret: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    return load_settings({**NAMESPACE, **(environ or {})}, config, own_secret, trivy, secret).warnings


@pytest.mark.parametrize(
    ("environ", "config", "trivy", "key", "why"),
    [
        (
            {"OPERATOR_CLUSTER_COMPLIANCE_ENABLED": "false"},
            {"compliance.failEntriesLimit": "3"},
            {},
            "compliance.failEntriesLimit",
            "OPERATOR_CLUSTER_COMPLIANCE_ENABLED is false",
        ),
        ({}, {}, {"trivy.serverURL": "http://trivy:4954"}, "trivy.serverURL", "trivy.mode is Standalone"),
        ({}, {}, {"trivy.serverInsecure": "1"}, "trivy.serverInsecure", "trivy.mode is Standalone"),
        (
            {},
            {},
            {"trivy.filesystemScanCacheDir": "/x"},
            "trivy.filesystemScanCacheDir",
            "trivy.command is image",
        ),
        ({}, {}, {"trivy.ignoreFileName": "x"}, "trivy.ignoreFileName", "trivy.ignoreFile is not set"),
        ({OFF: "F"}, {"node.collector.imageRef": "a/b"}, {}, "node.collector.imageRef", OFF),
        (
            {"OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT": "0"},
            {"nodeCollector.excludeNodes": "a=b"},
            {},
            "nodeCollector.excludeNodes",
            "OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT is 0",
        ),
        (
            {"OPERATOR_METRICS_VULN_ID_ENABLED": "true", "OPERATOR_METRICS_FINDINGS_ENABLED": "false"},
            {},
            {},
            "OPERATOR_METRICS_VULN_ID_ENABLED",
            "OPERATOR_METRICS_FINDINGS_ENABLED is false",
        ),
        (
            {"OPERATOR_WEBHOOK_BROADCAST_TIMEOUT": "3s"},
            {},
            {},
            "OPERATOR_WEBHOOK_BROADCAST_TIMEOUT",
            "OPERATOR_WEBHOOK_BROADCAST_URL is not set",
        ),
        (
            {"OPERATOR_VULNERABILITY_SCANNER_ENABLED": "false"},
            {},
            {"trivy.vulnType": "os"},
            "trivy.vulnType",
            "OPERATOR_VULNERABILITY_SCANNER_ENABLED is false",
        ),
        (
            {"OPERATOR_LEADER_ELECTION_ID": "mine"},
            {},
            {},
            "OPERATOR_LEADER_ELECTION_ID",
            "OPERATOR_LEADER_ELECTION_ENABLED is false",
        ),
    ],
)
def test_setting_of_a_part_that_is_off_is_named(
    environ: dict[str, str], config: dict[str, str], trivy: dict[str, str], key: str, why: str
) -> None:
    (warning,) = warnings(environ, config, trivy)

    assert warning.startswith(f"{key} has no effect: ")
    assert why in warning


def test_nothing_is_said_of_defaults_and_of_the_chart() -> None:
    """A configuration that spells out what applies anyway asks for nothing."""
    chart = load_settings(CHART_ENV, CHART_CONFIG, {}, CHART_TRIVY).warnings

    assert warnings() == ()
    assert warnings({}, {"compliance.failEntriesLimit": "10"}, {"trivy.serverInsecure": "false"}) == ()
    assert not [one for one in chart if "trivy.mode" in one or "compliance" in one]


@pytest.mark.parametrize(
    ("key", "text"),
    [("trivy.serverToken", "x"), ("trivy.githubToken", "x"), ("trivy.serverCustomHeaders", "A:x")],
)
def test_secret_in_a_configmap_counts_and_is_named(key: str, text: str) -> None:
    server = {"trivy.mode": "ClientServer", "trivy.serverURL": "http://trivy:4954"}
    settings = load_settings(NAMESPACE, {}, {}, {**server, key: text}, {})

    (warning,) = settings.warnings
    assert warning.startswith(f"{key} is in the ConfigMap")
    assert settings == load_settings(NAMESPACE, {}, {}, server, {key: text})
    assert not load_settings(NAMESPACE, {}, {}, server, {key: text}).warnings


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("trivy.severity", "high"),
        ("trivy.skipDirs", "/a b"),
        ("trivy.ignoreFile", "CVE-1"),
        ("trivy.ignorePolicy.shop", "package trivy"),
        ("trivy.registry.mirror.quay.io", "m.example.com"),
        ("trivy.httpProxy", "http://proxy:3128"),
        ("trivy.noProxy", ".svc"),
        ("trivy.insecureRegistry.a", "r.example.com"),
    ],
)
def test_key_counts_the_same_in_the_secret(key: str, text: str) -> None:
    there = load_settings(NAMESPACE, {}, {}, {}, {key: text})

    assert there.warnings == ()
    assert there == load_settings(NAMESPACE, {}, {}, {key: text})
    assert there == load_settings(NAMESPACE, {}, {}, {key: text + "x"}, {key: text})
    assert there == load_settings(NAMESPACE, {}, {}, {key: text}, {key: " "}), "empty is not there"


@pytest.mark.parametrize("text", ["a,b", "a b", "a\tb", ","])
def test_login_that_trivy_would_split_is_refused(text: str) -> None:
    for key, other in (("Username", "Password"), ("Password", "Username")):
        with pytest.raises(Exception, match=f"trivy.dbRepository{key}") as caught:
            warnings(secret={f"trivy.dbRepository{key}": text, f"trivy.dbRepository{other}": "x"})
        assert "***" in str(caught.value)


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "TRUE", "True"])
def test_truth_as_go_reads_it(value: str) -> None:
    settings = load_settings({**NAMESPACE, "OPERATOR_LOG_DEV_MODE": value})

    assert settings.operator.log_dev_mode is True
