"""The containers of a scan pod: one that scans, and before it those that fetch the database.

Promises: every container has the same settings of resources and security; every mount has its volume.
Not here: where the pod runs and how long (``job.py``), what it sees of the configuration (``podconfig.py``).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from trivyop.scan.command import (
    build_convert_command,
    build_database_command,
    build_image_command,
    build_login_command,
    build_proof_command,
    image_reference,
    mirrored,
)
from trivyop.scan.credentials import docker_config
from trivyop.scan.dockerauths import Login
from trivyop.scan.podconfig import ConfigFile, PodConfig
from trivyop.scan.request import ScanRequest, scan_id
from trivyop.scan.script import Match, build_scan_script
from trivyop.settings import Settings, TrivyMode
from trivyop.settings.images import image_reference as scanner_reference
from trivyop.settings.pods import pod_resources
from trivyop.settings.trivy import TrivySettings
from trivyop.workload.images import ImageName

CONTAINER_NAME: Final = "scan"
DATABASE_CONTAINER_NAME: Final = "database"
LOGIN_CONTAINER_NAME: Final = "login"

_TMP: Final = "/tmp"  # noqa: S108 (a volume of the scan pod)
_RESULTS: Final = (f"{_TMP}/scan", f"{_TMP}/trivyop-scan")
_DOCKER_CONFIG: Final = "/docker-config/"  # of the login for databases
_LOGINS: Final = "/registry-login"  # a directory for each login of the image
_SSL_CERTS: Final = "/var/ssl-cert"
_GCR: Final = re.compile(r"(?:(?:us|eu|asia)\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev")
_ECR: Final = re.compile(r"\d+\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


class Containers:
    """The containers of a scan pod, and the volumes that they turn out to need."""

    def __init__(self, request: ScanRequest, settings: Settings, config: PodConfig) -> None:
        self._request = request
        self._settings = settings
        self._config = config
        self._trivy = settings.trivy
        self._custom_mounts = settings.scan_job.custom_volume_mounts
        self._custom_paths = frozenset(_clean(mount["mountPath"]) for mount in self._custom_mounts)
        self._custom_names = frozenset(volume["name"] for volume in settings.scan_job.custom_volumes)
        self._volumes: list[dict[str, Any]] = []
        self._common_mounts: list[dict[str, Any]] = []
        self._add_volume("tmp", {"emptyDir": {}}, _TMP)
        self._results = next(path for path in _RESULTS if path not in self._custom_paths)
        if _TMP in self._custom_paths:  # which may be shared by pods, and results must not be
            self._add_volume("results", {"emptyDir": {}}, self._results)
        cache = _clean(settings.trivy.image_scan_cache_dir)
        if not any(_is_below(cache, path) for path in (_TMP, *self._custom_paths)):
            self._add_volume("cache", {"emptyDir": {}}, cache)
        self._logs_in = bool(settings.trivy.db_repository_username and settings.trivy.db_repository_password)
        if self._logs_in:
            self._add_volume("dockerconfig", {"emptyDir": {}}, _DOCKER_CONFIG)
        if settings.trivy.ssl_cert_dir:
            host_path = {"hostPath": {"path": settings.trivy.ssl_cert_dir}}
            self._add_volume("ssl-cert-dir", host_path, _SSL_CERTS, read_only=True)

    def _add_volume(self, name: str, source: dict[str, Any], path: str, *, read_only: bool = False) -> None:
        self._common_mounts.append(_mount(self._own_volume(name, source), path, read_only=read_only))

    def _own_volume(self, name: str, source: dict[str, Any]) -> str:
        """Add a volume; returns its name, which is another one if settings have a volume of that name."""
        if name in self._custom_names:
            name = f"trivyop-{name}"
        if all(volume["name"] != name for volume in self._volumes):
            self._volumes.append({"name": name, **source})
        return name

    def volumes(self, containers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The volumes of a pod with these containers: of our own, those that are mounted."""
        mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
        own = [volume for volume in self._volumes if volume["name"] in mounted]
        return [*own, *self._settings.scan_job.custom_volumes]

    def _mounts(self, own: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Our mounts and the settings', which take the place of ours: a server refuses two of one path."""
        kept = [
            mount
            for mount in (*self._common_mounts, *own)
            if _clean(mount["mountPath"]) not in self._custom_paths
        ]
        return [*kept, *self._custom_mounts]

    def scan(self) -> dict[str, Any]:
        request, settings, config = self._request, self._settings, self._config
        mounts: list[dict[str, Any]] = []
        env = config.scan_environment(request.variant)
        if self._logs_in:
            env["DOCKER_CONFIG"] = {"value": _DOCKER_CONFIG}
        if self._trivy.ssl_cert_dir:
            env["SSL_CERT_DIR"] = {"value": _SSL_CERTS}
        for file in config.files(request.variant):
            mounts.append(self._file_mount(file))
            if file.variable:
                env[file.variable] = {"value": file.path}
        place = mirrored(request.image, self._trivy)
        env.update(_registry_environment(place.registry, self._trivy))
        region = _ECR.fullmatch(place.registry)
        if region is not None:
            env["AWS_REGION"] = {"value": region[1]}
        logins: list[str] = []
        if request.credentials:
            mounts += self._credentials(place.registry, env)
            logins = [f"{_LOGINS}/{number}" for number in range(len(request.credentials))]
        reference = image_reference(request.image, request.digest, self._trivy)
        convert = (
            build_convert_command(settings, directory=self._results)
            if settings.operator.sbom_generation_enabled
            else None
        )
        script = build_scan_script(
            scan_id(request.scan_name, request.attempt, request.scan_uid),
            directory=self._results,
            scan=build_image_command(settings, reference, request.platform, directory=self._results),
            convert=convert,
            match=self._match(reference),
            database=f"{self._trivy.image_scan_cache_dir}/db/metadata.json",
            logins=logins,
        )
        return self._container(CONTAINER_NAME, ["/bin/sh", "-c", script], env, mounts)

    def _match(self, reference: str) -> Match | None:
        """The match that shows whether the bill of materials may be matched later; None if none is."""
        operator = self._settings.operator
        kept = operator.sbom_generation_enabled and operator.cluster_sbom_cache_enabled
        wanted = operator.vulnerability_scanner_enabled and self._settings.database.rematch_enabled
        if not (kept and wanted):
            return None
        standalone = self._trivy.mode is TrivyMode.STANDALONE
        return Match(
            build_proof_command(self._settings, reference, directory=self._results),
            reference,
            f"{self._trivy.image_scan_cache_dir}/fanal/fanal.db" if standalone else None,
        )

    def init(self) -> list[dict[str, Any]]:
        """Log in where the database comes from, if that takes a password; fetch it, if there is no server."""
        env = self._config.database_environment()
        if self._logs_in:
            env["DOCKER_CONFIG"] = {"value": _DOCKER_CONFIG}
        if self._trivy.ssl_cert_dir:
            env["SSL_CERT_DIR"] = {"value": _SSL_CERTS}
        found: list[dict[str, Any]] = []
        if self._logs_in:
            found.append(self._container(LOGIN_CONTAINER_NAME, build_login_command(self._trivy), env, []))
        if self._trivy.mode is TrivyMode.STANDALONE:
            files = self._config.files(self._request.variant)
            mounts = [self._file_mount(file) for file in files if file.is_config]
            command = build_database_command(self._trivy)
            found.append(self._container(DATABASE_CONTAINER_NAME, command, env, mounts))
        return found

    def _file_mount(self, file: ConfigFile) -> dict[str, Any]:
        volume = self._own_volume(file.volume, file.source)
        return {"name": volume, "mountPath": file.path, "subPath": file.sub_path, "readOnly": True}

    def _credentials(self, registry: str, env: dict[str, Any]) -> list[dict[str, Any]]:
        """Mounts of the logins for the image: one Docker configuration each, which the script tries in turn.

        Not in Trivy's variables: they go to every registry that Trivy asks, that of the Java database for
        one, and cannot hold commas and blanks.
        """
        credentials = self._request.credentials
        mounts = [self._login_files(registry)]
        env["DOCKER_CONFIG"] = {"value": f"{_LOGINS}/0"}  # the script goes on to the others
        first = credentials[0].password.reveal()
        if (
            self._settings.scan_job.use_gcr_service_account
            and _GCR.fullmatch(registry)
            and _is_key_file(first)
        ):
            env["TRIVY_USERNAME"] = {"value": ""}
            env["GOOGLE_APPLICATION_CREDENTIALS"] = {"value": "/cred/credential.json"}
            mounts.append(self._secret_file("gcrvol", "/cred", "credential.json", first))
        return mounts

    def _login_files(self, registry: str) -> dict[str, Any]:
        """A mount with ``config.json`` in directories ``0``, ``1`` and so on, in the order of the logins."""
        items: list[dict[str, str]] = []
        for number, credential in enumerate(self._request.credentials):
            name = f"login-{number}.json"
            logins = {registry: credential.login, **self._database_logins(registry)}
            self._config.secret_data[name] = docker_config(logins)
            items.append({"key": name, "path": f"{number}/config.json"})
        source = {"secretName": self._config.secret_name, "items": items}
        return _mount(self._own_volume("registry-login", {"secret": source}), _LOGINS, read_only=True)

    def _database_logins(self, registry: str) -> dict[str, Login]:
        """The login for databases by registry; by repository where the image is in the same registry."""
        if not self._logs_in:
            return {}
        trivy = self._trivy
        login = Login(trivy.db_repository_username.reveal(), trivy.db_repository_password)
        names = [ImageName.parse(one) for one in (*trivy.db_repository, *trivy.java_db_repository)]
        first = names[0].registry  # the one that `trivy registry login` is for
        if first != registry:
            return {first: login}
        return {one.name: login for one in names if one.registry == first}

    def _secret_file(self, volume: str, directory: str, name: str, content: str) -> dict[str, Any]:
        self._config.secret_data[name] = content
        source = {"secretName": self._config.secret_name, "items": [{"key": name, "path": name}]}
        return _mount(self._own_volume(volume, {"secret": source}), directory, read_only=True)

    def _container(
        self, name: str, command: list[str], env: dict[str, Any], mounts: list[dict[str, Any]]
    ) -> dict[str, Any]:
        job_settings = self._settings.scan_job
        container: dict[str, Any] = {
            "name": name,
            "image": scanner_reference(self._trivy.repository, self._trivy.tag),
            "imagePullPolicy": str(self._trivy.image_pull_policy),
            "command": command[:1],
            "args": [_literal(word, env) for word in command[1:]],
            "env": [{"name": variable, **value} for variable, value in env.items()],
            "resources": pod_resources(self._trivy),
            "volumeMounts": self._mounts(mounts),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
        if job_settings.container_security_context is not None:
            container["securityContext"] = job_settings.container_security_context
        return container


def _literal(word: str, variables: Collection[str]) -> str:
    """A word that a kubelet leaves as it is: it reads ``$$`` as ``$``, and ``$(NAME)`` as that variable."""
    names = "|".join(map(re.escape, variables))
    return re.sub(rf"\$(?=\$|\((?:{names})\))", "$$", word)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _clean(path: str) -> str:
    """A path without the slashes at its end that make no difference."""
    return posixpath.normpath(path)


def _is_key_file(password: str) -> bool:
    return password.lstrip().startswith("{")


def _mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    return {**mount, "readOnly": True} if read_only else mount


def _registry_environment(registry: str, trivy: TrivySettings) -> dict[str, Any]:
    env: dict[str, Any] = {}
    if registry in trivy.insecure_registries.values():
        env["TRIVY_INSECURE"] = {"value": "true"}
    if registry in trivy.non_ssl_registries.values():
        env["TRIVY_NON_SSL"] = {"value": "true"}
    return env
