"""From environment, ConfigMaps and Secrets to settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.docs.settings_page import build_page
from trivyop.settings import (
    SETTINGS,
    Affects,
    Settings,
    SettingsError,
    Source,
    TargetKind,
    TrivyMode,
    load_settings,
    redacted,
    settings_hash,
)
from trivyop.settings.values import GROUPS

NAMESPACE = {"OPERATOR_NAMESPACE": "trivy-system"}
DOCS = Path(__file__).parents[3] / "docs" / "settings.md"

# As the chart of the Go operator renders them, with default values, but for the secrets.
CHART_ENV = {
    "OPERATOR_NAMESPACE": "trivy-system",
    "OPERATOR_TARGET_NAMESPACES": "",
    "OPERATOR_EXCLUDE_NAMESPACES": "",
    "OPERATOR_TARGET_WORKLOADS": "pod,replicaset,replicationcontroller,statefulset,daemonset,cronjob,job",
    "OPERATOR_SERVICE_ACCOUNT": "trivy-operator",
    "OPERATOR_LOG_DEV_MODE": "false",
    "OPERATOR_SCAN_JOB_TTL": "",
    "OPERATOR_SCAN_JOB_TIMEOUT": "5m",
    "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "10",
    "OPERATOR_CONCURRENT_NODE_COLLECTOR_LIMIT": "1",
    "OPERATOR_SCAN_JOB_RETRY_AFTER": "30s",
    "OPERATOR_BATCH_DELETE_LIMIT": "10",
    "OPERATOR_BATCH_DELETE_DELAY": "10s",
    "OPERATOR_METRICS_BIND_ADDRESS": ":8080",
    "OPERATOR_METRICS_FINDINGS_ENABLED": "true",
    "OPERATOR_HEALTH_PROBE_BIND_ADDRESS": ":9090",
    "OPERATOR_SCANNER_REPORT_TTL": "24h",
    "OPERATOR_CACHE_REPORT_TTL": "120h",
    "CONTROLLER_CACHE_SYNC_TIMEOUT": "5m",
    "OPERATOR_CLUSTER_SBOM_CACHE_ENABLED": "false",
    "OPERATOR_WEBHOOK_BROADCAST_URL": "",
    "OPERATOR_WEBHOOK_BROADCAST_TIMEOUT": "30s",
    "OPERATOR_WEBHOOK_BROADCAST_CUSTOM_HEADERS": "",
    "OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES": "{}",
    "OPERATOR_BUILT_IN_TRIVY_SERVER": "false",
    "TRIVY_SERVER_HEALTH_CHECK_CACHE_EXPIRATION": "10h",
    "OPERATOR_PPROF_BIND_ADDRESS": "",
    "PATH": "/usr/bin",
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
}
CHART_CONFIG = {
    "vulnerabilityReports.scanner": "Trivy",
    "vulnerabilityReports.scanJobsInSameNamespace": "false",
    "configAuditReports.scanner": "Trivy",
    "scanJob.podTemplateContainerSecurityContext": '{"allowPrivilegeEscalation":false,'
    '"capabilities":{"drop":["ALL"]},"privileged":false,"readOnlyRootFilesystem":true}',
    "scanJob.compressLogs": "true",
    "scanJob.useGCRServiceAccount": "true",
    "report.recordFailedChecksOnly": "true",
    "compliance.failEntriesLimit": "10",
    "node.collector.imageRef": "ghcr.io/aquasecurity/node-collector:0.3.1",
    "node.collector.nodeSelector": "true",
    "nodeCollector.volumes": '[{"hostPath":{"path":"/var/lib/etcd"},"name":"var-lib-etcd"}]',
    "nodeCollector.volumeMounts": '[{"mountPath":"/var/lib/etcd","name":"var-lib-etcd","readOnly":true}]',
    "policies.bundle.oci.ref": "mirror.gcr.io/aquasec/trivy-checks:1",
    "policies.bundle.insecure": "false",
}
CHART_TRIVY = {
    "trivy.repository": "mirror.gcr.io/aquasec/trivy",
    "trivy.tag": "0.72.0",
    "trivy.imagePullPolicy": "IfNotPresent",
    "trivy.mode": "Standalone",
    "trivy.command": "image",
    "trivy.additionalVulnerabilityReportFields": "",
    "trivy.sbomSources": "",
    "trivy.severity": "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL",
    "trivy.slow": "true",
    "trivy.timeout": "5m0s",
    "trivy.includeDevDeps": "false",
    "trivy.dbRepository": "mirror.gcr.io/aquasec/trivy-db",
    "trivy.javaDbRepository": "mirror.gcr.io/aquasec/trivy-java-db",
    "trivy.dbRepositoryInsecure": "false",
    "trivy.skipJavaDBUpdate": "false",
    "trivy.imageScanCacheDir": "/tmp/trivy/.cache",
    "trivy.filesystemScanCacheDir": "/var/trivyoperator/trivy-db",
    "trivy.useBuiltinRegoPolicies": "false",
    "trivy.useEmbeddedRegoPolicies": "true",
    "trivy.supportedConfigAuditKinds": "Workload,Service,Role",
    "trivy.resources.requests.cpu": "100m",
    "trivy.resources.requests.memory": "100M",
    "trivy.resources.limits.cpu": "500m",
    "trivy.resources.limits.memory": "500M",
    "TRIVY_LISTEN": "0.0.0.0:4954",
    "trivy.insecureRegistry.one": "registry.example.com",
    "trivy.registry.mirror.docker.io": "mirror.example.com/hub",
    "trivy.ignorePolicy": "package trivy",
    "trivy.ignorePolicy.shop": "package trivy",
}


def test_nothing_but_the_namespace_has_to_be_set() -> None:
    assert load_settings(NAMESPACE) == Settings()


def test_configuration_of_the_go_operator_is_taken_over() -> None:
    """Not one value is refused, and not one key is unknown."""
    settings = load_settings(CHART_ENV, CHART_CONFIG, {}, CHART_TRIVY, {"GITHUB_TOKEN": "x"})

    assert not [warning for warning in settings.warnings if "not known" in warning]
    assert settings.operator.target_workloads == tuple(
        kind for kind in TargetKind if kind is not TargetKind.INGRESS
    )
    assert settings.reports.ttl_seconds == 86_400
    assert settings.operator.cluster_sbom_cache_enabled is False
    assert settings.trivy.ignore_policies == {"": "package trivy", ".shop": "package trivy"}
    assert settings.trivy.registry_mirrors == {"docker.io": "mirror.example.com/hub"}
    assert settings.trivy.insecure_registries == {"one": "registry.example.com"}
    assert settings.audit.use_embedded_policies is True


def test_settings_without_effect_are_told() -> None:
    settings = load_settings(NAMESPACE, {"scanJob.compressLogs": "false"})

    assert settings.warnings == (
        "scanJob.compressLogs has no effect: results always travel compressed and with a check sum",
    )


def test_variable_set_to_nothing_means_nothing() -> None:
    """That is how optional durations are switched off."""
    empty = dict.fromkeys(
        [
            "OPERATOR_SCANNER_REPORT_TTL",
            "OPERATOR_SBOM_GENERATION_ENABLED",
            "OPERATOR_SERVICE_ACCOUNT",
            "OPERATOR_SCAN_JOB_RETRY_AFTER",
            "OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES",
        ],
        "",
    )
    settings = load_settings(NAMESPACE | empty)

    assert settings.reports.ttl_seconds is None
    assert settings.operator.sbom_generation_enabled is False
    assert settings.operator.service_account == ""
    assert settings.scan_job.retry_after_seconds == 0
    assert settings.operator.private_registry_scan_secrets == {}


def test_no_kinds_of_workload_means_all_of_them() -> None:
    settings = load_settings(NAMESPACE | {"OPERATOR_TARGET_WORKLOADS": ""})

    assert settings.operator.target_workloads == Settings().operator.target_workloads


def test_empty_key_of_a_configmap_means_the_default() -> None:
    settings = load_settings(NAMESPACE, {}, {}, {"trivy.imageScanCacheDir": "", "trivy.slow": " "})

    assert settings.trivy == Settings().trivy


def test_secret_wins_over_configmap() -> None:
    settings = load_settings(
        NAMESPACE, {"scanJob.skipInitContainers": "true"}, {"scanJob.skipInitContainers": "false"}
    )

    assert settings.scan_job.skip_init_containers is False


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(
            {"OPERATOR_SCAN_JOB_TIMEOUT": "5x", "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT": "many"},
            {
                "scanJob.tolerations": '[{"key": 1}]',
                "scanJob.customVolumes": '[{"name": "a", "emptyDir": []}]',
                "scanJob.podTemplatePodSecurityContext": '{"runAsNonroot": true}',
            },
            {},
            {"trivy.mode": "Server", "trivy.tag": "no tag"},
        )

    problems = {problem.key: str(problem) for problem in caught.value.problems}
    assert set(problems) == {
        "OPERATOR_NAMESPACE",
        "OPERATOR_SCAN_JOB_TIMEOUT",
        "OPERATOR_CONCURRENT_SCAN_JOBS_LIMIT",
        "scanJob.tolerations",
        "scanJob.customVolumes",
        "scanJob.podTemplatePodSecurityContext",
        "trivy.mode",
        "trivy.tag",
    }
    assert "is not set" in problems["OPERATOR_NAMESPACE"]
    assert "'5x'" in problems["OPERATOR_SCAN_JOB_TIMEOUT"]
    assert "allowed: a duration such as" in problems["OPERATOR_SCAN_JOB_TIMEOUT"]
    assert "`$[0].key`" in problems["scanJob.tolerations"]
    assert "runAsNonroot" in problems["scanJob.podTemplatePodSecurityContext"]
    assert "Standalone, ClientServer" in problems["trivy.mode"]


@pytest.mark.parametrize(
    ("trivy", "key"),
    [
        ({"trivy.mode": "ClientServer"}, "trivy.serverURL"),
        ({"trivy.command": "filesystem"}, "trivy.command"),
        ({"trivy.tag": "0.69.5"}, "trivy.tag"),
    ],
)
def test_values_that_do_not_work_are_told_at_start(trivy: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(NAMESPACE, {}, {}, trivy)

    assert [problem.key for problem in caught.value.problems] == [key]


def test_filesystem_command_says_that_it_is_not_supported_yet() -> None:
    with pytest.raises(SettingsError, match="not supported yet"):
        load_settings(NAMESPACE, {}, {}, {"trivy.command": "rootfs"})


def test_half_a_login_is_told() -> None:
    with pytest.raises(SettingsError, match=r"needs trivy\.dbRepositoryPassword"):
        load_settings(NAMESPACE, {}, {}, {}, {"trivy.dbRepositoryUsername": "x"})


@given(st.text(st.characters(categories=["L", "N"])))
def test_secret_values_never_show(text: str) -> None:
    """Not in errors, not in warnings, not in the view for the log, not in a repr."""
    secret = f"hunter2{text}"  # what no code says by itself
    with pytest.raises(SettingsError) as caught:
        load_settings(
            {
                "OPERATOR_WEBHOOK_BROADCAST_CUSTOM_HEADERS": secret,
                "OPERATOR_WEBHOOK_BROADCAST_URL": f"ftp://{secret}",
            },
        )
    assert secret not in str(caught.value)

    settings = load_settings(
        NAMESPACE
        | {
            "OPERATOR_WEBHOOK_BROADCAST_CUSTOM_HEADERS": f"Authorization:{secret}",
            "OPERATOR_WEBHOOK_BROADCAST_URL": f"https://hooks.example.com/{secret}",
        },
        {},
        {"policies.bundle.oci.user": secret, "policies.bundle.oci.password": secret},
        {"trivy.httpProxy": f"http://u:{secret}@proxy:3128"},
        {"trivy.serverToken": secret, "trivy.githubToken": secret},
    )
    shown = f"{settings!r} {redacted(settings)} {settings.warnings}"
    assert secret not in shown
    assert settings.trivy.server_token.reveal() == secret


@pytest.mark.parametrize(
    ("environ", "config", "warning"),
    [
        (
            {"OPERATOR_SCAN_JOB_TIMEUOT": "5m"},
            {},
            "in the environment of the operator is not known; did you mean OPERATOR_SCAN_JOB_TIMEOUT?",
        ),
        ({}, {"scanjob.tolerations": "[]"}, "did you mean scanJob.tolerations?"),
        ({}, {"trivy.timeout": "5m"}, "it belongs into the ConfigMap `trivy-operator-trivy-config`"),
        ({}, {"something.else": "x"}, "something.else in the ConfigMap `trivy-operator` is not known"),
    ],
)
def test_unknown_keys_are_warnings(environ: dict[str, str], config: dict[str, str], warning: str) -> None:
    settings = load_settings(NAMESPACE | environ, config)

    assert len(settings.warnings) == 1
    assert warning in settings.warnings[0]


def test_other_variables_are_none_of_our_business() -> None:
    assert load_settings(NAMESPACE | {"PATH": "/bin", "TRIVY_TAG": "x"}).warnings == ()


def test_private_registry_secrets_are_read_by_namespace() -> None:
    settings = load_settings(
        NAMESPACE
        | {"OPERATOR_PRIVATE_REGISTRY_SCAN_SECRETS_NAMES": json.dumps({" shop ": " one, two ,", "data": ""})}
    )

    assert settings.operator.private_registry_scan_secrets == {"shop": ("one", "two"), "data": ()}


def test_hash_follows_what_changes_results() -> None:
    base = load_settings(NAMESPACE)
    seen = {settings_hash(base)}
    for trivy in ({"trivy.severity": "HIGH"}, {"trivy.ignoreFile": "CVE-1"}, {"trivy.ignorePolicy.a": "x"}):
        seen.add(settings_hash(load_settings(NAMESPACE, {}, {}, trivy)))
    seen.add(settings_hash(load_settings(NAMESPACE, {"report.additionalLabels": "a=b"})))

    assert len(seen) == 5
    labelled = load_settings(NAMESPACE, {"report.additionalLabels": "a=b"})
    assert settings_hash(labelled, affecting=(Affects.SCAN,)) == settings_hash(
        base, affecting=(Affects.SCAN,)
    )


def test_hash_does_not_follow_what_does_not_matter() -> None:
    base = settings_hash(load_settings(NAMESPACE))

    assert base == settings_hash(load_settings({"OPERATOR_NAMESPACE": "other"}))
    assert base == settings_hash(load_settings(NAMESPACE | {"OPERATOR_WORKERS": "9"}))
    assert base == settings_hash(load_settings(NAMESPACE, {"scanJob.tolerations": '[{"key":"a"}]'}))


def test_every_setting_is_declared_once() -> None:
    assert len({declared.path for declared in SETTINGS}) == len(SETTINGS)
    for source in Source:
        keys = [declared.key for declared in SETTINGS if source in declared.sources]
        assert len(set(keys)) == len(keys)


def test_every_field_has_a_setting() -> None:
    declared = {setting.path for setting in SETTINGS}

    for name, group in GROUPS.items():
        assert {f"{name}.{field}" for field in group.__slots__} <= declared


def test_reference_page_is_up_to_date() -> None:
    """Write it anew with ``make docs``."""
    assert DOCS.read_text() == build_page()


def test_client_server_mode_is_read_in_any_case() -> None:
    settings = load_settings(
        NAMESPACE, {}, {}, {"trivy.mode": "clientserver", "trivy.serverURL": "http://trivy:4954"}
    )

    assert settings.trivy.mode is TrivyMode.CLIENT_SERVER
