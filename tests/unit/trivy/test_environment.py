"""What Trivy is given of settings: whatever the text, the same to each Trivy, and nothing else than was read.

``as_trivy_reads`` is how Trivy reads a variable; ``test_real_variables.py`` compares it with the real one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trivy.reading import as_trivy_reads
from trivyop.audit.command import audit_environment, fetch_environment
from trivyop.sandbox.kubelet.paths import expand
from trivyop.scan.job import ScanRequest, build_scan_job
from trivyop.scan.localtrivy import download_environment, match_environment
from trivyop.scan.podconfig import SKIP_DIRS, SKIP_FILES, scan_variant
from trivyop.settings import Settings, SettingsError, load_settings
from trivyop.trivy.environment import list_text
from trivyop.workload.images import ImageName

NAMESPACE = {"OPERATOR_NAMESPACE": "trivy-system"}
SERVER = {"trivy.mode": "ClientServer", "trivy.serverURL": "http://trivy:4954"}
# What separates, quotes, or means something to a shell, a kubelet, Go's CSV reader or YAML.
TEXTS = st.text(
    st.sampled_from(list(", \t\n\r:\"'$(){}[]\\/#*=-.;|&%@aAz09")) | st.characters(exclude_categories=["Cs"]),
    max_size=40,
)
LISTS = st.lists(TEXTS, max_size=4).map(",".join)


def settings_of(
    trivy: Mapping[str, str] | None = None, secret: Mapping[str, str] | None = None, **config: str
) -> Settings:
    return load_settings(NAMESPACE, config, {}, trivy, secret)


def pod_environment(
    settings: Settings, *, annotations: Mapping[str, str] | None = None, container: str = "scan"
) -> dict[str, str]:
    """The variables that a kubelet gives to a container of the scan pod."""
    variant = scan_variant(settings, namespace="shop", name="web", annotations=annotations)
    request = ScanRequest(
        scan_name="one",
        scan_uid="1",
        attempt=1,
        image=ImageName.parse("quay.io/shop/web:1"),
        namespace="shop",
        variant=variant,
    )
    job, secrets = build_scan_job(request, settings)
    data: dict[str, str] = secrets[0]["data"] if secrets else {}
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    (found,) = (
        one for one in (*spec["containers"], *spec.get("initContainers", ())) if one["name"] == container
    )
    variables: dict[str, str] = {}
    for variable in found["env"]:
        if "value" in variable:
            variables[variable["name"]] = expand(variable["value"], variables)
        else:
            key = variable["valueFrom"]["secretKeyRef"]["key"]
            variables[variable["name"]] = base64.b64decode(data[key]).decode()
    return variables


def trivys(settings: Settings) -> dict[str, dict[str, str]]:
    """The environment of each kind of Trivy that looks for findings."""
    elsewhere = load_settings(NAMESPACE, {"vulnerabilityReports.scanJobsInSameNamespace": "true"})
    there = Settings(trivy=settings.trivy, scan_job=elsewhere.scan_job, given=settings.given)
    return {
        "scan": pod_environment(settings),
        "scan in the workload's namespace": pod_environment(there),
        "match": match_environment(settings, home="/h"),
    }


def loaded(trivy: Mapping[str, str], secret: Mapping[str, str] | None = None) -> Settings | None:
    """Settings, or None if they are refused: then no Trivy is given anything."""
    try:
        return settings_of(trivy, secret)
    except SettingsError:
        return None


SEVERITIES = st.lists(
    st.sampled_from(["CRITICAL", "high", "Low", "medium", "UNKNOWN", "", " "]), max_size=6
).flatmap(lambda items: st.sampled_from([",", ", ", " ,", " ", "\n", ",\n"]).map(lambda gap: gap.join(items)))


@given(SEVERITIES | TEXTS, st.booleans())
def test_severities_are_the_same_to_each_trivy(text: str, in_secret: bool) -> None:
    key = {"trivy.severity": text}
    settings = loaded({} if in_secret else key, key if in_secret else None)
    if settings is None:
        return
    for environment in trivys(settings).values():
        if text.strip():
            read = as_trivy_reads(environment["TRIVY_SEVERITY"])
            assert read == [str(one) for one in settings.trivy.severities]
            assert set(read) <= {"CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"}
            assert {one.upper() for one in text.replace(",", " ").split()} == set(read)
        else:
            assert "TRIVY_SEVERITY" not in environment


@given(LISTS, st.sampled_from(["trivy.skipDirs", "trivy.skipFiles"]))
def test_lists_of_paths_are_read_as_written(text: str, key: str) -> None:
    settings = loaded({key: text})
    if settings is None:
        return
    meant = [item.strip() for item in text.replace("\n", ",").replace("\r", ",").split(",") if item.strip()]
    name = {"trivy.skipDirs": "TRIVY_SKIP_DIRS", "trivy.skipFiles": "TRIVY_SKIP_FILES"}[key]
    for place in ("scan", "scan in the workload's namespace"):
        assert unique(as_trivy_reads(trivys(settings)[place].get(name, ""))) == unique(meant)


@given(LISTS)
def test_annotations_are_read_as_settings_are(text: str) -> None:
    settings = loaded({"trivy.skipDirs": text, "trivy.skipFiles": text})
    if settings is None or not settings.trivy.skip_dirs:
        return
    annotated = pod_environment(settings_of(), annotations={SKIP_DIRS: text, SKIP_FILES: text})
    for name in ("TRIVY_SKIP_DIRS", "TRIVY_SKIP_FILES"):
        assert annotated[name] == pod_environment(settings)[name]


HEADERS = st.dictionaries(
    st.text(st.sampled_from("ABCxyz-09"), min_size=1, max_size=8), TEXTS, min_size=1, max_size=3
).map(lambda pairs: ",".join(f"{name}:{value}" for name, value in pairs.items()))


@given(HEADERS | TEXTS)
def test_headers_reach_the_server_whole(text: str) -> None:
    settings = loaded(SERVER, {"trivy.serverCustomHeaders": text})
    if settings is None:
        return
    meant = [f"{name}:{value.reveal()}" for name, value in settings.trivy.server_custom_headers.items()]
    for environment in trivys(settings).values():
        assert unique(as_trivy_reads(environment.get("TRIVY_CUSTOM_HEADERS", ""))) == unique(meant)


@given(TEXTS)
def test_secrets_are_handed_on_without_the_line_end_behind_them(text: str) -> None:
    settings = loaded(SERVER | {"trivy.httpProxy": text}, {"trivy.serverToken": text})
    assert settings is not None
    for environment in trivys(settings).values():
        for name in ("TRIVY_TOKEN", "HTTP_PROXY"):
            assert environment.get(name, "") == (text.strip())


IMAGES = st.lists(
    st.sampled_from(["r.example.com/db", "r.example.com:5000/a/db:2", "ghcr.io/x/db:1", ""]), max_size=4
).flatmap(lambda items: st.sampled_from([",", ", ", " , ", "\n"]).map(lambda gap: gap.join(items)))


@given(IMAGES | TEXTS)
def test_repositories_are_the_same_to_each_trivy(text: str) -> None:
    settings = loaded({"trivy.javaDbRepository": text, "trivy.dbRepository": text})
    if settings is None or not text.strip():
        return
    read = as_trivy_reads(pod_environment(settings)["TRIVY_JAVA_DB_REPOSITORY"])

    assert unique(read) == unique(text.replace(",", " ").split())
    assert unique(list(settings.trivy.db_repository)) == unique(read)


@pytest.mark.parametrize(
    ("key", "text", "variable", "value"),
    [
        ("trivy.vulnType", "os,library", "TRIVY_PKG_TYPES", "os,library"),
        ("trivy.vulnType", " Library , OS,", "TRIVY_PKG_TYPES", "library,os"),
        ("trivy.vulnType", "os", "TRIVY_PKG_TYPES", "os"),
        ("trivy.ignoreUnfixed", "T", "TRIVY_IGNORE_UNFIXED", "true"),
        ("trivy.ignoreUnfixed", "0", "TRIVY_IGNORE_UNFIXED", "false"),
        ("trivy.offlineScan", "1", "TRIVY_OFFLINE_SCAN", "true"),
        (
            "trivy.severity",
            "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL",
            "TRIVY_SEVERITY",
            "UNKNOWN,LOW,MEDIUM,HIGH,CRITICAL",
        ),
        ("trivy.noProxy", " .svc, 10.0.0.0/8 ", "NO_PROXY", ".svc, 10.0.0.0/8"),
    ],
)
def test_what_chooses_findings_is_the_same_everywhere(key: str, text: str, variable: str, value: str) -> None:
    for settings in (settings_of({key: text}), settings_of({}, {key: text})):
        for environment in trivys(settings).values():
            assert environment[variable] == value


def test_what_nobody_set_is_left_to_trivy_and_its_configuration_file() -> None:
    for environment in trivys(settings_of({"trivy.configFile": "severity: [HIGH]"})).values():
        assert not [
            name
            for name in environment
            if name.startswith("TRIVY_")
            and name not in ("TRIVY_SKIP_VERSION_CHECK", "TRIVY_DISABLE_TELEMETRY")
        ]


def test_no_trivy_asks_for_news() -> None:
    secret = {"trivy.dbRepositoryUsername": "u", "trivy.dbRepositoryPassword": "p"}
    settings = settings_of({}, secret)
    environments = [
        *trivys(settings).values(),
        *(pod_environment(settings, container=name) for name in ("login", "database")),
        download_environment(settings, home="/h"),
        audit_environment(settings, home="/h", inherited={}),
        fetch_environment(settings, home="/h", inherited={}),
    ]
    for environment in environments:
        assert environment["TRIVY_SKIP_VERSION_CHECK"] == environment["TRIVY_DISABLE_TELEMETRY"] == "true"


@given(st.lists(st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"]), min_size=1)))
def test_any_list_is_read_as_it_is(items: list[str]) -> None:
    stripped = [item.strip() for item in items if item.strip()]

    assert unique(as_trivy_reads(list_text(stripped))) == unique(stripped)


def unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))
