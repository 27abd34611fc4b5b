"""Configuration: all the ways to a cluster, and how credentials stay fresh."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clock import FakeClock
from trivyop.errors import TransientError
from trivyop.kube.access import Access, ConfigError
from trivyop.kube.config import ClusterConfig
from trivyop.sandbox.pki import Pki

PKI = Pki.create()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """What a kubelet mounts into a pod."""
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_bytes(PKI.ca_pem)
    (tmp_path / "namespace").write_text("trivyop\n")
    return tmp_path


IN_CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


def kubeconfig(user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    context = {"cluster": "c", "namespace": "shop"} | ({"user": "u"} if user is not None else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example.com:6443/"} | cluster}],
        "users": [] if user is None else [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }


async def load(document: dict[str, Any], **options: Any) -> Access:
    return await (await ClusterConfig.from_kubeconfig_dict(document, environ={}, **options)).access()


def plugin(directory: Path, status: dict[str, Any]) -> dict[str, Any]:
    """An exec plugin that answers with ``status``, and with how often it ran in the token's %d."""
    script, count = directory / "plugin", directory / "count"
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    script.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib\n"
        f"count = pathlib.Path({str(count)!r})\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(n))\n"
        f"print(json.dumps({answer!r}).replace('%d', str(n)))\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "args": []}}


async def test_service_account_of_the_pod(account: Path) -> None:
    config = await ClusterConfig.in_cluster(account, environ=IN_CLUSTER)

    access = await config.access()
    assert access.server == config.server == "https://10.96.0.1:443"
    assert access.authorization == "Bearer first"
    assert config.namespace == "trivyop"
    assert access.ssl_context() is not None


async def test_service_account_over_ipv6(account: Path) -> None:
    config = await ClusterConfig.in_cluster(
        account, environ=IN_CLUSTER | {"KUBERNETES_SERVICE_HOST": "fd00::1"}
    )

    assert config.server == "https://[fd00::1]:443"


async def test_token_that_the_kubelet_rotates_is_read_again_within_a_minute(
    account: Path, clock: FakeClock
) -> None:
    config = await ClusterConfig.in_cluster(account, environ=IN_CLUSTER, clock=clock)
    (account / "token").write_text("second")

    clock.advance(59)
    assert (await config.access()).authorization == "Bearer first"
    clock.advance(1)
    assert (await config.access()).authorization == "Bearer second"


async def test_token_that_cannot_be_read_leaves_the_old_one_in_use(account: Path, clock: FakeClock) -> None:
    """Kubelets swap directories; the moment in between is not the end."""
    config = await ClusterConfig.in_cluster(account, environ=IN_CLUSTER, clock=clock)
    (account / "token").write_text("")
    clock.advance(60)
    assert (await config.access()).authorization == "Bearer first"

    (account / "token").write_text("second")
    clock.advance(10)
    assert (await config.access()).authorization == "Bearer second"


async def test_renewal_on_request_says_whether_anything_is_new(account: Path) -> None:
    config = await ClusterConfig.in_cluster(account, environ=IN_CLUSTER)
    old = await config.access()

    assert not await config.renew(old)
    (account / "token").write_text("second")
    assert await config.renew(await config.access())
    assert await config.renew(old), "somebody else renewed it meanwhile"
    (account / "token").unlink()
    with pytest.raises(TransientError):
        await config.renew(await config.access())


@pytest.mark.parametrize("environ", [{}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}])
async def test_outside_a_cluster_the_reason_is_told(account: Path, environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="KUBERNETES_SERVICE_HOST"):
        await ClusterConfig.in_cluster(account, environ=environ)


async def test_token_in_a_kubeconfig() -> None:
    access = await load(kubeconfig({"token": "secret"}))

    assert access.server == "https://api.example.com:6443"
    assert access.authorization == "Bearer secret"
    assert access.namespace == "shop"
    assert access.fresh_seconds is None


async def test_token_file_of_a_kubeconfig_is_read_again(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "token").write_text("first\n")
    user = {"tokenFile": str(tmp_path / "token")}
    config = await ClusterConfig.from_kubeconfig_dict(kubeconfig(user), environ={}, clock=clock)
    assert (await config.access()).authorization == "Bearer first"

    (tmp_path / "token").write_text("second\n")
    clock.advance(60)
    assert (await config.access()).authorization == "Bearer second"


async def test_password_in_a_kubeconfig() -> None:
    access = await load(kubeconfig({"username": "ann", "password": "pw"}))

    assert access.authorization == "Basic " + base64.b64encode(b"ann:pw").decode()


async def test_context_without_a_user_is_anonymous() -> None:
    assert (await load(kubeconfig())).authorization is None


async def test_client_certificate_beside_the_kubeconfig(tmp_path: Path) -> None:
    """Paths in a kubeconfig are relative to it, not to where we happen to run."""
    certificate, key = PKI.issue("ann")
    (tmp_path / "ann.crt").write_bytes(certificate)
    (tmp_path / "ann.key").write_bytes(key)
    document = kubeconfig(
        {"client-certificate": "ann.crt", "client-key": "ann.key"},
        **{"certificate-authority-data": base64.b64encode(PKI.ca_pem).decode()},
    )
    (tmp_path / "config").write_text(yaml.safe_dump(document))

    config = await ClusterConfig.load(str(tmp_path / "config"), environ={})
    first = await config.access()
    assert first.cert_file == str(tmp_path / "ann.crt")
    assert first.ssl_context() is not None

    certificate, key = PKI.issue("ann")
    (tmp_path / "ann.crt").write_bytes(certificate)
    (tmp_path / "ann.key").write_bytes(key)
    assert await config.renew(first), "same path, other content"


async def test_tls_and_proxy_settings_of_the_cluster() -> None:
    document = kubeconfig(
        {"token": "t"},
        **{
            "tls-server-name": "inner.example.com",
            "proxy-url": "http://proxy:3128",
            "insecure-skip-tls-verify": True,
        },
    )
    access = await load(document)

    assert (access.tls_server_name, access.proxy, access.verify) == (
        "inner.example.com",
        "http://proxy:3128",
        False,
    )
    context = access.ssl_context()
    assert context is not None
    assert not context.check_hostname


async def test_proxy_of_the_environment_counts_if_the_kubeconfig_has_none() -> None:
    config = await ClusterConfig.from_kubeconfig_dict(
        kubeconfig({"token": "t"}), environ={"HTTPS_PROXY": "http://proxy:3128"}
    )

    assert (await config.access()).proxy == "http://proxy:3128"


async def test_exec_plugin_is_run_again_when_its_token_is_about_to_end(
    tmp_path: Path, clock: FakeClock
) -> None:
    end = datetime.now(UTC) + timedelta(minutes=15)
    user = plugin(tmp_path, {"token": "t%d", "expirationTimestamp": end.strftime("%Y-%m-%dT%H:%M:%SZ")})
    config = await ClusterConfig.from_kubeconfig_dict(kubeconfig(user), environ={}, clock=clock)
    assert (await config.access()).authorization == "Bearer t1"

    clock.advance(9 * 60)
    assert (await config.access()).authorization == "Bearer t1"
    clock.advance(60)
    assert (await config.access()).authorization == "Bearer t2"


async def test_exec_plugin_is_run_once_for_all_who_were_refused(tmp_path: Path) -> None:
    user = plugin(tmp_path, {"token": "t%d"})
    config = await ClusterConfig.from_kubeconfig_dict(kubeconfig(user), environ={})
    refused = await config.access()

    assert all(await asyncio.gather(*(config.renew(refused) for _ in range(5))))
    assert (await config.access()).authorization == "Bearer t2"


async def test_source_that_fails_is_not_asked_by_each_of_many_waiters(clock: FakeClock) -> None:
    asked = 0
    access = Access("https://api.example.com")

    async def source() -> Access:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise ConfigError("the plugin is broken")

    config = ClusterConfig(source, access, clock)
    failures = await asyncio.gather(*(config.renew(access) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(failure, TransientError) for failure in failures)
    assert asked == 1

    clock.advance(1)
    with pytest.raises(TransientError, match="the plugin is broken"):
        await config.renew(access)


async def test_exec_plugin_may_hand_out_a_certificate(tmp_path: Path) -> None:
    certificate, key = PKI.issue("ann")
    status = {"clientCertificateData": certificate.decode(), "clientKeyData": key.decode()}
    access = await load(kubeconfig(plugin(tmp_path, status)))

    assert access.authorization is None
    assert access.cert_file is not None
    assert access.ssl_context() is not None


async def test_exec_plugin_that_fails_says_why(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}

    with pytest.raises(ConfigError, match="exec: process returned 1"):
        await load(kubeconfig(user))


async def test_token_of_an_identity_provider_is_renewed_by_its_own_end(clock: FakeClock) -> None:
    def part(claims: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    end = int((datetime.now(UTC) + timedelta(hours=1)).timestamp())
    token = f"{part({'alg': 'none'})}.{part({'exp': end})}.{part({})}"
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    access = await load(kubeconfig(user), clock=clock)

    assert access.authorization == f"Bearer {token}"
    assert access.fresh_seconds == pytest.approx(55 * 60, abs=5)


async def test_several_kubeconfigs_are_merged_as_kubectl_does(tmp_path: Path) -> None:
    document = kubeconfig({"token": "secret"})
    users = {"apiVersion": "v1", "kind": "Config", "users": document.pop("users")}
    (tmp_path / "a").write_text(yaml.safe_dump(document))
    (tmp_path / "b").write_text(yaml.safe_dump(users))
    environ = {"KUBECONFIG": f"{tmp_path}/a:{tmp_path}/missing:{tmp_path}/b"} | IN_CLUSTER

    config = await ClusterConfig.load(environ=environ)
    assert (await config.access()).authorization == "Bearer secret"


async def test_context_can_be_chosen() -> None:
    document = kubeconfig({"token": "secret"})
    document["contexts"].append({"name": "other", "context": {"cluster": "c", "namespace": "elsewhere"}})

    assert (await load(document, context="other")).namespace == "elsewhere"
    with pytest.raises(ConfigError, match="nowhere"):
        await load(document, context="nowhere")


@pytest.mark.parametrize("text", ["", "[]", "clusters: 3", "{", "current-context: x"])
async def test_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)

    with pytest.raises(ConfigError, match="kubeconfig"):
        await ClusterConfig.load(str(tmp_path / "config"), environ={})


async def test_nothing_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no kubeconfig at"):
        await ClusterConfig.load(environ={"HOME": str(tmp_path)})


async def test_credentials_do_not_show(account: Path) -> None:
    config = await ClusterConfig.in_cluster(account, environ=IN_CLUSTER)

    assert "first" not in repr(await config.access())
