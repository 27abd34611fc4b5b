"""Scan Jobs, compared with what the Go operator makes for the same settings (``tests/data/golden-jobs``)."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivyop.sandbox.kubelet.paths import expand
from trivyop.scan.command import image_reference, mirrored
from trivyop.scan.credentials import Credential
from trivyop.scan.imagescan import image_scan_name
from trivyop.scan.job import (
    IMAGE_SCAN_LABEL,
    ScanRequest,
    build_scan_job,
    scan_id,
    scan_job_name,
)
from trivyop.scan.podconfig import SKIP_DIRS, SKIP_FILES, ScanVariant, scan_variant
from trivyop.scan.servers import Server
from trivyop.settings import SecretText, Settings, load_settings
from trivyop.workload.images import ImageName

GOLDEN = Path(__file__).parents[2] / "data" / "golden-jobs"
DIGEST = f"sha256:{'ab' * 32}"
IMAGE = ImageName.parse("127.0.0.1:5000/shop/orders:2.3.1")
NAME = image_scan_name(DIGEST, "linux/amd64")
LOGIN = Credential(Server("127.0.0.1", "5000", ""), "puller", SecretText("hunter2"))

# What each golden Job was made with.
DEFAULT = {"trivy.dbRepository": "127.0.0.1:5000/trivy-db", "trivy.dbRepositoryInsecure": "true"}
CLIENT_SERVER = DEFAULT | {
    "trivy.mode": "ClientServer",
    "trivy.serverURL": "http://127.0.0.1:4954",
    "trivy.serverInsecure": "true",
}
MANY_CONFIG = {
    "scanJob.tolerations": '[{"key":"k","operator":"Exists"}]',
    "scanJob.nodeSelector": '{"kubernetes.io/os":"linux"}',
    "scanJob.annotations": "a=b,team=platform",
    "scanJob.podTemplateLabels": "scan=true",
    "scanJob.podTemplatePodSecurityContext": '{"runAsUser":10000,"fsGroup":10000}',
    "scanJob.customVolumes": '[{"name":"certs","emptyDir":{}}]',
    "scanJob.customVolumesMount": '[{"name":"certs","mountPath":"/certs"}]',
}
MANY_TRIVY = DEFAULT | {
    "trivy.ignoreFile": "CVE-2020-8203",
    "trivy.ignorePolicy": "package trivy",
    "trivy.insecureRegistry.local": "127.0.0.1:5000",
    "trivy.nonSslRegistry.local": "127.0.0.1:5000",
    "trivy.vulnType": "os",
    "trivy.slow": "false",
    "trivy.resources.requests.cpu": "100m",
    "trivy.resources.requests.memory": "100M",
    "trivy.resources.limits.cpu": "500m",
    "trivy.resources.limits.memory": "500M",
    "trivy.resources.limits.ephemeral-storage": "1Gi",
}


def settings_with(
    trivy: dict[str, str] | None = None,
    config: dict[str, str] | None = None,
    secret: dict[str, str] | None = None,
    **environ: str,
) -> Settings:
    return load_settings({"OPERATOR_NAMESPACE": "trivy-system", **environ}, config, {}, trivy, secret)


def request(**changes: Any) -> ScanRequest:
    values: dict[str, Any] = {
        "scan_name": NAME,
        "scan_uid": "4f3c",
        "attempt": 1,
        "image": IMAGE,
        "digest": DIGEST,
        "platform": "linux/amd64",
        "namespace": "shop",
    }
    return ScanRequest(**values | changes)


def golden(variant: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{variant}.json").read_text())["spec"]["template"]["spec"]


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["template"]["spec"]


def scan_of(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod_of(job)["containers"]
    return container


def environment(container: dict[str, Any]) -> dict[str, Any]:
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names)), "server-side apply refuses variables that come twice"
    return {
        variable["name"]: variable.get("value", variable.get("valueFrom")) for variable in container["env"]
    }


def go_environment(container: dict[str, Any], config: dict[str, str]) -> dict[str, Any]:
    """What a kubelet makes of the Go operator's variables, with ``config`` in the ConfigMap; secrets left
    out."""
    found: dict[str, Any] = {}
    for variable in container["env"]:
        source = variable.get("valueFrom", {})
        text = config.get(source.get("configMapKeyRef", {}).get("key", ""), variable.get("value"))
        if text is not None:
            found[variable["name"]] = text
    return found


NO_NEWS = {"TRIVY_SKIP_VERSION_CHECK": "true", "TRIVY_DISABLE_TELEMETRY": "true"}


def command_line(container: dict[str, Any]) -> list[str]:
    """The words of the ``trivy image`` line in a scan script."""
    line = next(line for line in container["args"][-1].splitlines() if line.startswith("trivy image"))
    return shlex.split(line.split(">")[0])


@pytest.mark.parametrize(
    ("variant", "trivy", "config"),
    [
        ("default", DEFAULT, {}),
        ("client-server", CLIENT_SERVER, {}),
        ("many-settings", MANY_TRIVY, MANY_CONFIG),
    ],
)
def test_environment_is_that_of_the_go_operator(
    variant: str, trivy: dict[str, str], config: dict[str, str]
) -> None:
    """Same names, same values. Ours stand in the pod; the login is tested below."""
    job, _ = build_scan_job(request(), settings_with(trivy, config))
    theirs = go_environment(golden(variant)["containers"][0], trivy)
    theirs.pop("TRIVY_USERNAME", None)
    theirs.pop("TRIVY_PASSWORD", None)
    kinds = {"TRIVY_PKG_TYPES": trivy["trivy.vulnType"]} if "trivy.vulnType" in trivy else {}

    assert environment(scan_of(job)) == theirs | NO_NEWS | kinds


@pytest.mark.parametrize(
    ("variant", "trivy", "config"),
    [("default", DEFAULT, {}), ("many-settings", MANY_TRIVY, MANY_CONFIG)],
)
def test_database_comes_the_same_way(variant: str, trivy: dict[str, str], config: dict[str, str]) -> None:
    job, _ = build_scan_job(request(), settings_with(trivy, config))
    (ours,), (theirs,) = pod_of(job)["initContainers"], golden(variant)["initContainers"]

    assert environment(ours) == go_environment(theirs, trivy) | NO_NEWS
    assert ours["command"] == theirs["command"]
    assert [word for word in ours["args"] if word != "--no-progress"] == theirs["args"]
    assert ours["volumeMounts"][0] == theirs["volumeMounts"][0]


def test_server_has_the_database() -> None:
    job, _ = build_scan_job(request(), settings_with(CLIENT_SERVER))

    assert "initContainers" not in pod_of(job)
    assert "initContainers" not in golden("client-server")


DIFFERENT_FLAGS = {
    "--slow": "deprecated by Trivy; --parallel 1 is what it does",
    "--vuln-type": "deprecated by Trivy; TRIVY_PKG_TYPES is its new name",
    "--list-all-pkgs": "theirs were recorded without bills of materials",
    "--output": "another path",
    "--parallel": "see --slow",
    "--platform": "what the node runs, not what the registry offers first",
    "--exit-code": "a configuration file must not make findings look like failures",
    "--no-progress": "no progress bars in errors",
    "--image-src": "no errors about container runtimes that are not there",
    "--": "an image's name is not a flag",
}


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("default", settings_with(DEFAULT)),
        ("client-server", settings_with(CLIENT_SERVER)),
        ("many-settings", settings_with(MANY_TRIVY, MANY_CONFIG)),
    ],
)
def test_flags_are_those_of_the_go_operator(variant: str, settings: Settings) -> None:
    job, _ = build_scan_job(request(), settings)
    ours = flags(command_line(scan_of(job)))
    theirs = flags(shlex.split(golden(variant)["containers"][0]["args"][-1].split(" 2>")[0]))

    for name in DIFFERENT_FLAGS:
        ours.pop(name, None)
        theirs.pop(name, None)
    assert ours == theirs


def flags(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("--"):
            found[word] = "" if following.startswith("--") else following
    # what follows a flag that takes no value is the flag itself
    for bare in ("--skip-db-update", "--slow", "--list-all-pkgs", "--"):
        if bare in found:
            found[bare] = ""
    return found


def test_pod_is_placed_as_the_settings_say() -> None:
    job, _ = build_scan_job(request(), settings_with(MANY_TRIVY, MANY_CONFIG))
    ours, theirs = pod_of(job), golden("many-settings")

    for field in (
        "tolerations",
        "nodeSelector",
        "affinity",
        "securityContext",
        "restartPolicy",
        "serviceAccountName",
    ):
        assert ours[field] == theirs[field], field
    assert ours["automountServiceAccountToken"] is False
    assert scan_of(job)["resources"] == theirs["containers"][0]["resources"]
    assert scan_of(job)["securityContext"] == theirs["containers"][0]["securityContext"]
    assert {volume["name"] for volume in theirs["volumes"]} - {"scanresult"} == {
        volume["name"] for volume in ours["volumes"]
    }
    metadata = job["spec"]["template"]["metadata"]
    assert metadata["annotations"] == {"a": "b", "team": "platform"}
    assert metadata["labels"]["scan"] == "true"
    assert job["metadata"]["annotations"]["team"] == "platform"


def test_job_says_whose_it_is_and_ends() -> None:
    job, secrets = build_scan_job(request(), settings_with(OPERATOR_SCAN_JOB_TTL="1m"))

    assert job["metadata"]["namespace"] == "trivy-system"
    assert job["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "trivy-operator",
        "vulnerabilityReport.scanner": "Trivy",
        IMAGE_SCAN_LABEL: NAME,
    }
    assert job["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "trivyop.dev/v1alpha1",
            "kind": "ImageScan",
            "name": NAME,
            "uid": "4f3c",
            "controller": True,
        }
    ]
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] == 300
    assert job["spec"]["ttlSecondsAfterFinished"] == 60
    assert secrets == []


def test_pod_passes_the_restricted_standard() -> None:
    job, _ = build_scan_job(request(), settings_with(DEFAULT))
    pod = pod_of(job)

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod["containers"], *pod["initContainers"]]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"] is True
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert all("hostPath" not in volume for volume in pod["volumes"])


def test_image_is_pinned_to_what_runs() -> None:
    """A tag may have moved since the node pulled it."""
    job, _ = build_scan_job(request(), settings_with())
    words = command_line(scan_of(job))

    assert words[-2:] == ["--", f"127.0.0.1:5000/shop/orders@{DIGEST}"]
    assert words[words.index("--platform") + 1] == "linux/amd64"


def test_image_goes_by_its_tag_as_long_as_nothing_else_is_known() -> None:
    job, _ = build_scan_job(request(digest=None, platform=None), settings_with())
    words = command_line(scan_of(job))

    assert words[-1] == "127.0.0.1:5000/shop/orders:2.3.1"
    assert "--platform" not in words


def test_names_depend_on_scan_and_attempt_alone() -> None:
    names = {scan_job_name(NAME, attempt, uid) for attempt in (1, 2) for uid in ("a", "b")}

    assert len(names) == 4
    assert all(
        len(name) <= 45 and re.fullmatch(r"scan-vulnerabilityreport-[0-9a-f]{10}-[12]", name)
        for name in names
    )
    job, _ = build_scan_job(request(), settings_with())
    assert job["metadata"]["name"] == scan_job_name(NAME, 1, "4f3c")
    assert f"scan={scan_id(NAME, 1, '4f3c')}\n" in scan_of(job)["args"][-1]


@given(st.text(min_size=1, max_size=60).filter(lambda text: "\0" not in text))
def test_settings_stay_words_of_the_command(text: str) -> None:
    """A setting may come from somebody who must not run commands in scan pods."""
    settings = settings_with()

    evil = dataclasses.replace(settings, trivy=dataclasses.replace(settings.trivy, image_scan_cache_dir=text))
    container = scan_of(build_scan_job(request(), evil)[0])
    script = expand(container["args"][-1], {variable["name"]: "wrong" for variable in container["env"]})
    start = script.index("trivy image")
    line = script[start : script.index(' >"$errors" 2>&1', start)]

    assert text in shlex.split(line)


def test_one_login_is_for_its_registry_only() -> None:
    """In variables it would go to every registry Trivy talks to, that of the Java database for one."""
    job, (secret,) = build_scan_job(request(credentials=(LOGIN,)), settings_with())

    login = json.loads(base64.b64decode(secret["data"]["login-0.json"]))
    assert base64.b64decode(login["auths"]["127.0.0.1:5000"]["auth"]) == b"puller:hunter2"
    assert environment(scan_of(job))["DOCKER_CONFIG"] == "/registry-login/0"
    assert "TRIVY_USERNAME" not in environment(scan_of(job))
    assert secret["metadata"]["name"] == job["metadata"]["name"]
    assert secret["metadata"]["ownerReferences"] == job["metadata"]["ownerReferences"]
    assert "hunter2" not in json.dumps(job)


def test_several_logins_are_all_tried() -> None:
    other = Credential(Server("127.0.0.1", "5000", ""), "second", SecretText("pass,2"))
    job, (secret,) = build_scan_job(request(credentials=(LOGIN, other)), settings_with())

    logins = [json.loads(base64.b64decode(secret["data"][f"login-{number}.json"])) for number in (0, 1)]
    pairs = [base64.b64decode(login["auths"]["127.0.0.1:5000"]["auth"]) for login in logins]
    assert pairs == [b"puller:hunter2", b"second:pass,2"]
    assert "for login in /registry-login/0 /registry-login/1; do" in scan_of(job)["args"][-1]
    assert "TRIVY_PASSWORD" not in environment(scan_of(job))


@pytest.mark.parametrize(
    "image", ["gcr.io/p/app:1", "eu.gcr.io/p/app:1", "europe-west3-docker.pkg.dev/p/r/app:1"]
)
def test_google_key_file_is_a_file(image: str) -> None:
    key = Credential(Server("gcr.io", "", ""), "_json_key", SecretText('{"type": "service_account"}'))
    job, (secret,) = build_scan_job(
        request(image=ImageName.parse(image), credentials=(key,)), settings_with()
    )

    env = environment(scan_of(job))
    assert env["TRIVY_USERNAME"] == ""
    assert env["GOOGLE_APPLICATION_CREDENTIALS"] == "/cred/credential.json"
    assert base64.b64decode(secret["data"]["credential.json"]) == b'{"type": "service_account"}'
    assert {"name": "gcrvol", "mountPath": "/cred", "readOnly": True} in scan_of(job)["volumeMounts"]


def test_google_token_is_no_key_file() -> None:
    token = Credential(Server("gcr.io", "", ""), "oauth2accesstoken", SecretText("ya29.x"))
    job, _ = build_scan_job(
        request(image=ImageName.parse("gcr.io/p/app:1"), credentials=(token,)), settings_with()
    )

    assert "GOOGLE_APPLICATION_CREDENTIALS" not in environment(scan_of(job))


@pytest.mark.parametrize(
    ("image", "region"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com/app:1", "eu-central-1"),
        ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/app:1", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/app:1", "cn-north-1"),
        ("example.com/app:1", None),
    ],
)
def test_amazon_registries_get_their_region(image: str, region: str | None) -> None:
    job, _ = build_scan_job(request(image=ImageName.parse(image)), settings_with())

    assert environment(scan_of(job)).get("AWS_REGION") == region


def test_login_for_databases() -> None:
    secret = {"trivy.dbRepositoryUsername": "u", "trivy.dbRepositoryPassword": "p"}
    job, made = build_scan_job(request(), settings_with(DEFAULT, secret=secret))
    login, database = pod_of(job)["initContainers"]

    assert login["command"] + login["args"] == ["trivy", "registry", "login", "127.0.0.1:5000"]
    for container in (login, database, scan_of(job)):
        assert environment(container)["DOCKER_CONFIG"] == "/docker-config/"
    (own,) = made
    for container in (login, database):
        assert environment(container)["TRIVY_PASSWORD"] == {
            "secretKeyRef": {"name": own["metadata"]["name"], "key": "TRIVY_PASSWORD"}
        }
    assert base64.b64decode(own["data"]["TRIVY_PASSWORD"]) == b"p"


def test_two_logins_for_databases_and_images_do_not_fight() -> None:
    secret = {"trivy.dbRepositoryUsername": "u", "trivy.dbRepositoryPassword": "p"}
    job, (made,) = build_scan_job(request(credentials=(LOGIN,)), settings_with(DEFAULT, secret=secret))

    login = json.loads(base64.b64decode(made["data"]["login-0.json"]))
    pairs = {place: base64.b64decode(one["auth"]) for place, one in login["auths"].items()}
    assert pairs == {"127.0.0.1:5000": b"puller:hunter2", "127.0.0.1:5000/trivy-db": b"u:p"}
    assert environment(scan_of(job))["DOCKER_CONFIG"] == "/registry-login/0"


def test_custom_mounts_come_once() -> None:
    """However many containers the workload has: the Job has one that scans."""
    job, _ = build_scan_job(request(), settings_with(DEFAULT, MANY_CONFIG))

    for container in [*pod_of(job)["containers"], *pod_of(job)["initContainers"]]:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert paths.count("/certs") == 1
        assert len(paths) == len(set(paths))


@pytest.mark.parametrize(
    "path", ["/cache", "/cache/", "/tmp", "/tmp/", "/tmp/scan", "/var/ssl-cert", "/etc/trivy/policy.rego"]
)
@pytest.mark.parametrize("name", ["shared", "tmp", "cache"])
def test_mount_of_settings_takes_the_place_of_ours(path: str, name: str) -> None:
    """A server refuses two mounts of one path, and two volumes of one name; results are never shared."""
    claim = {"name": name, "persistentVolumeClaim": {"claimName": "x"}}
    settings = settings_with(
        MANY_TRIVY | {"trivy.imageScanCacheDir": "/cache", "trivy.sslCertDir": "/certs"},
        {
            "scanJob.customVolumes": json.dumps([claim]),
            "scanJob.customVolumesMount": json.dumps([{"name": name, "mountPath": path}]),
        },
    )
    pod = pod_of(build_scan_job(request(credentials=(LOGIN,)), settings)[0])

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert len(volumes) == len(pod["volumes"])
    assert volumes[name] == claim
    for container in (*pod["initContainers"], *pod["containers"]):
        places = {mount["mountPath"].rstrip("/"): mount["name"] for mount in container["volumeMounts"]}
        assert len(places) == len(container["volumeMounts"])
        assert places[path.rstrip("/")] == name
        assert set(places.values()) <= volumes.keys()
        if container["name"] == "scan":
            script: str = container["args"][-1]
            results = script.split("dir=")[1].splitlines()[0]
            place = max((one for one in places if f"{results}/".startswith(f"{one}/")), key=len)
            assert volumes[places[place]] != claim


def test_cache_below_a_mount_of_settings_is_in_it() -> None:
    settings = settings_with(
        {"trivy.imageScanCacheDir": "/shared/trivy"},
        {
            "scanJob.customVolumes": '[{"name": "shared", "emptyDir": {}}]',
            "scanJob.customVolumesMount": '[{"name": "shared", "mountPath": "/shared"}]',
        },
    )
    mounts = scan_of(build_scan_job(request(), settings)[0])["volumeMounts"]

    assert [mount["mountPath"] for mount in mounts] == ["/tmp", "/shared"]


@pytest.mark.parametrize(
    "path", ["/a$$b", "/a$(TRIVY_TIMEOUT)", "/$", "/$$", "/a$(X)", "/$$(TRIVY_TIMEOUT)$"]
)
def test_kubelet_leaves_texts_of_settings_alone(path: str) -> None:
    """It puts variables into arguments and values, and makes one dollar of two."""
    settings = settings_with({"trivy.imageScanCacheDir": path, "trivy.skipDirs": path, "trivy.timeout": "1m"})
    container = scan_of(build_scan_job(request(), settings)[0])
    variables = environment(container)
    script = expand(container["args"][-1], variables)
    words = shlex.split(next(line for line in script.splitlines() if line.startswith("trivy image")))

    assert words[words.index("--cache-dir") + 1] == path
    assert expand(variables["TRIVY_SKIP_DIRS"], variables) == path


def test_every_mount_has_its_volume() -> None:
    settings = settings_with(
        MANY_TRIVY
        | {
            "trivy.sslCertDir": "/etc/ssl/certs",
            "trivy.configFile": "a: b",
            "trivy.imageScanCacheDir": "/cache",
        },
        MANY_CONFIG,
    )
    pod = pod_of(build_scan_job(request(credentials=(LOGIN,)), settings)[0])

    volumes = [volume["name"] for volume in pod["volumes"]]
    mounts = {
        mount["name"]
        for container in (*pod["containers"], *pod["initContainers"])
        for mount in container["volumeMounts"]
    }
    assert len(volumes) == len(set(volumes))
    assert mounts == set(volumes)


def test_configuration_file_is_for_the_database_too() -> None:
    pod = pod_of(build_scan_job(request(), settings_with({"trivy.configFile": "insecure: true"}))[0])

    (database,), (scan,) = pod["initContainers"], pod["containers"]
    assert "/etc/trivy/trivy-config.yaml" in database["args"]
    for container in (database, scan):
        assert "/etc/trivy/trivy-config.yaml" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_job_in_the_namespace_of_the_workload_brings_its_configuration() -> None:
    """References to objects of another namespace would be ignored, and the scan would run without them."""
    settings = settings_with(
        CLIENT_SERVER
        | {
            "trivy.severity": "HIGH",
            "trivy.ignoreFile": "CVE-1",
            "trivy.httpProxy": "http://u:hunter2@proxy",
            "trivy.timeout": "300s",
            "trivy.imagePullSecret": "mirror",
        },
        {"vulnerabilityReports.scanJobsInSameNamespace": "true"},
        {"trivy.serverToken": "t0ken"},
    )
    job, (secret,) = build_scan_job(
        request(service_account="shop-sa", pull_secrets=("shop-regcred",)), settings
    )

    env = environment(scan_of(job))
    text = json.dumps(job)
    assert job["metadata"]["namespace"] == secret["metadata"]["namespace"] == "shop"
    assert "ownerReferences" not in job["metadata"]
    assert "trivy-operator-trivy-config" not in text
    assert "hunter2" not in text
    assert "t0ken" not in text
    assert env["TRIVY_SEVERITY"] == "HIGH"
    assert env["TRIVY_TIMEOUT"] == "5m0s"
    assert env["TRIVY_TOKEN"] == {"secretKeyRef": {"name": secret["metadata"]["name"], "key": "TRIVY_TOKEN"}}
    assert base64.b64decode(secret["data"]["ignorefile"]) == b"CVE-1"
    assert pod_of(job)["serviceAccountName"] == "shop-sa"
    assert pod_of(job)["imagePullSecrets"] == [{"name": "mirror"}, {"name": "shop-regcred"}]


def test_workload_may_skip_parts_of_its_images() -> None:
    variant = scan_variant(
        settings_with(), namespace="shop", name="web", annotations={SKIP_DIRS: "/data", SKIP_FILES: "/a,/b"}
    )
    job, _ = build_scan_job(request(variant=variant), settings_with())

    env = environment(scan_of(job))
    assert env["TRIVY_SKIP_DIRS"] == "/data"
    assert env["TRIVY_SKIP_FILES"] == "/a,/b"
    assert variant.key
    assert image_scan_name(DIGEST, None, variant=variant.key) != image_scan_name(DIGEST, None)


@pytest.mark.parametrize(
    ("namespace", "name", "chosen"),
    [
        ("application", "my-app-7b8cd85855", ".application.my-app-."),
        ("application", "other", ".application"),
        ("kube-system", "dns", ".kube-."),
        ("my-application", "my-app-1", ""),
        ("shop", "web", ""),
    ],
)
def test_most_exact_ignore_policy_counts(namespace: str, name: str, chosen: str) -> None:
    settings = settings_with(
        {
            "trivy.ignorePolicy": "a",
            "trivy.ignorePolicy.application": "b",
            "trivy.ignorePolicy.application.my-app-.": "c",
            "trivy.ignorePolicy.kube-.": "d",
        }
    )

    assert scan_variant(settings, namespace=namespace, name=name).ignore_policy == chosen


def test_workload_without_wishes_shares_its_scan() -> None:
    variant = scan_variant(settings_with({"trivy.ignorePolicy": "a"}), namespace="shop", name="web")

    assert variant == ScanVariant()
    assert variant.key == ""


@pytest.mark.parametrize(
    ("annotation", "same"),
    [("/a,/b", " /a , /b ,,"), ("/a,/b", "/a\n/b\n"), ("/Program Files", " /Program Files,")],
)
def test_annotations_that_mean_the_same_are_one_scan(annotation: str, same: str) -> None:
    one, other = (
        scan_variant(settings_with(), namespace="shop", name="web", annotations={SKIP_DIRS: text})
        for text in (annotation, same)
    )

    assert one.key == other.key


@pytest.mark.parametrize(
    ("prefix", "mirror", "image", "expected"),
    [
        ("index.docker.io", "mirror.example.com", "nginx:1.25", "mirror.example.com/library/nginx:1.25"),
        ("docker.io", "mirror.example.com/hub", "nginx", "mirror.example.com/hub/library/nginx:latest"),
        ("docker.io/library", "m.example.com/official", "nginx:1", "m.example.com/official/nginx:1"),
        ("quay.io/", "m.example.com/quay/", "quay.io/a/b:1", "m.example.com/quay/a/b:1"),
        ("quay.io", "m.example.com", "quay.io.example.com/a/b:1", "quay.io.example.com/a/b:1"),
        ("quay.io", "m.example.com", "gcr.io/a/b:1", "gcr.io/a/b:1"),
        ("quay.io/team-", "m.example.com/", "quay.io/team-a/b:1", "m.example.com/a/b:1"),
        ("r.corp:5000", "m.corp:5001", "r.corp:5000/a/b:1", "m.corp:5001/a/b:1"),
        ("r.corp:5000/team", "m.corp/x", "r.corp:5000/team/b:1", "m.corp/x/b:1"),
        ("r.corp", "m.corp", "r.corp:5000/a/b:1", "r.corp:5000/a/b:1"),
        ("corp", "r.corp:5000/team=m.corp/x", "r.corp:5000/team/b:1", "m.corp/x/b:1"),
        ("corp", "quay.io=m.corp/q, r.corp:5000=m.corp/r", "r.corp:5000/a/b:1", "m.corp/r/a/b:1"),
        ("corp", "quay.io=m.corp/q, r.corp:5000=m.corp/r", "quay.io/a/b:1", "m.corp/q/a/b:1"),
        ("Quay.io", "m.corp", "quay.IO/a/b:1", "m.corp/a/b:1"),
        ("corp", "docker.io/library=m.corp/official", "nginx:1", "m.corp/official/nginx:1"),
    ],
)
def test_mirrors_take_the_place_of_registries(prefix: str, mirror: str, image: str, expected: str) -> None:
    settings = settings_with({f"trivy.registry.mirror.{prefix}": mirror})

    assert str(mirrored(ImageName.parse(image), settings.trivy)) == expected


def test_longest_mirror_counts_and_keeps_the_digest() -> None:
    settings = settings_with(
        {
            "trivy.registry.mirror.quay.io": "one.example.com",
            "trivy.registry.mirror.quay.io/team": "two.example.com/t",
        }
    )

    reference = image_reference(ImageName.parse("quay.io/team/app:1"), DIGEST, settings.trivy)
    assert reference == f"two.example.com/t/app@{DIGEST}"


@pytest.mark.parametrize(
    ("tag", "reference"),
    [
        ("0.76.0", ":0.76.0"),
        (DIGEST, f"@{DIGEST}"),
        (f"0.76.0@{DIGEST}", f":0.76.0@{DIGEST}"),
        ("latest", ":latest"),
    ],
)
def test_scanner_image(tag: str, reference: str) -> None:
    job, _ = build_scan_job(request(), settings_with({"trivy.tag": tag}))

    assert scan_of(job)["image"] == f"mirror.gcr.io/aquasec/trivy{reference}"


def test_only_a_bill_of_materials() -> None:
    settings = settings_with(
        OPERATOR_VULNERABILITY_SCANNER_ENABLED="false", OPERATOR_EXPOSED_SECRET_SCANNER_ENABLED="false"
    )
    words = command_line(scan_of(build_scan_job(request(), settings)[0]))

    assert words[words.index("--scanners") + 1] == ""
    assert "--image-config-scanners" not in words
