"""What Trivy is given of the settings: variables, the same ones wherever it runs for us.

A scan pod, the Trivy that fetches its database, Trivy's client and the Trivy that the operator itself runs
all take theirs from here, so a setting means the same to each. The text of a ConfigMap or Secret is never
handed on: what was read from it is, in a form in which Trivy cannot read anything else. Nothing stands in a
variable that nobody set: then a configuration file of Trivy counts, or what Trivy does by itself.

Variables and not flags, because a Trivy passes over a variable that it does not have, be it too old for it or
another command; so all programs of a container may have the same ones.

How Trivy reads them (0.57 to 0.76, from its ``pkg/flag/options.go``): an empty variable counts as none. A
list is split at commas, its items kept as they are; if there is no comma, it is split at blanks. Quotes mean
nothing.

Promises: pure. An environment of the operator's own Trivy is made from nothing: of the operator's own, passed
in as ``inherited``, only proxies, certificates and the path are kept. Not here: how a pod refers to secrets
(``scan/podconfig.py``), flags (``scan/command.py``, ``audit/command.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trivyop.settings import SecretText, Settings, TrivyMode
from trivyop.settings.durations import format_duration
from trivyop.workload.images import ImageName

_INHERITED = (
    "PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables of a Trivy, none empty. Those in ``secret`` must not stand in a pod's specification."""

    plain: Mapping[str, str] = field(default_factory=dict[str, str])
    secret: Mapping[str, SecretText] = field(default_factory=dict[str, SecretText])

    def __or__(self, other: Variables) -> Variables:
        return Variables({**self.plain, **other.plain}, {**self.secret, **other.secret})

    def revealed(self) -> dict[str, str]:
        """All of them, for a process of the operator's own."""
        return {**self.plain, **{name: text.reveal() for name, text in self.secret.items()}}


def list_text(items: Iterable[str]) -> str:
    """A list as Trivy reads it again from a variable; its items hold no commas.

    One that is alone and has a blank is written twice, as Trivy would split it at the blank otherwise; to
    none of Trivy's lists does it matter how often something is in it.
    """
    given = tuple(items)
    if len(given) == 1 and len(given[0].split()) > 1:
        given *= 2
    return ",".join(given)


def bool_text(value: bool) -> str:
    return "true" if value else "false"


def common_variables(settings: Settings) -> Variables:
    """For each Trivy: proxies, and no requests to Trivy's makers, which ask for news and count users."""
    trivy = settings.trivy
    plain = {"TRIVY_SKIP_VERSION_CHECK": "true", "TRIVY_DISABLE_TELEMETRY": "true"}
    if trivy.no_proxy:
        plain["NO_PROXY"] = trivy.no_proxy
    return Variables(plain, _filled(HTTP_PROXY=trivy.http_proxy, HTTPS_PROXY=trivy.https_proxy))


def finding_variables(settings: Settings) -> Variables:
    """What chooses findings, for a scan and for a match alike."""
    trivy = settings.trivy
    plain: dict[str, str] = {}
    if settings.is_set("trivy.severity"):
        plain["TRIVY_SEVERITY"] = list_text(trivy.severities)
    if settings.is_set("trivy.vulnType") and trivy.vuln_types:
        plain["TRIVY_PKG_TYPES"] = list_text(trivy.vuln_types)
    if settings.is_set("trivy.ignoreUnfixed"):
        plain["TRIVY_IGNORE_UNFIXED"] = bool_text(trivy.ignore_unfixed)
    if settings.is_set("trivy.offlineScan"):
        plain["TRIVY_OFFLINE_SCAN"] = bool_text(trivy.offline_scan)
    return Variables(plain)


def image_variables(
    settings: Settings, *, skip_files: Sequence[str] | None = None, skip_dirs: Sequence[str] | None = None
) -> Variables:
    """What a look into an image takes besides; ``skip_files`` and ``skip_dirs`` take the settings' place."""
    trivy = settings.trivy
    plain: dict[str, str] = {}
    if settings.is_set("trivy.javaDbRepository"):
        plain["TRIVY_JAVA_DB_REPOSITORY"] = list_text(trivy.java_db_repository)
    if settings.is_set("trivy.timeout"):
        plain["TRIVY_TIMEOUT"] = format_duration(trivy.timeout_seconds)
    for name, items in (
        ("TRIVY_SKIP_FILES", trivy.skip_files if skip_files is None else skip_files),
        ("TRIVY_SKIP_DIRS", trivy.skip_dirs if skip_dirs is None else skip_dirs),
    ):
        if items:
            plain[name] = list_text(items)
    return Variables(plain)


def server_variables(settings: Settings) -> Variables:
    """What a Trivy server asks of its clients; nothing in the mode Standalone."""
    trivy = settings.trivy
    if trivy.mode is not TrivyMode.CLIENT_SERVER:
        return Variables()
    plain: dict[str, str] = {}
    if trivy.server_token_header:
        plain["TRIVY_TOKEN_HEADER"] = trivy.server_token_header
    if trivy.server_insecure:
        plain["TRIVY_INSECURE"] = "true"
    headers = list_text(f"{name}:{value.reveal()}" for name, value in trivy.server_custom_headers.items())
    return Variables(plain, _filled(TRIVY_TOKEN=trivy.server_token, TRIVY_CUSTOM_HEADERS=SecretText(headers)))


def database_variables(settings: Settings) -> Variables:
    """What it takes to fetch the vulnerability database."""
    trivy = settings.trivy
    plain = {"TRIVY_INSECURE": "true"} if trivy.db_repository_insecure else {}
    secret = _filled(GITHUB_TOKEN=trivy.github_token)
    if trivy.db_repository_username and trivy.db_repository_password:
        secret["TRIVY_USERNAME"] = trivy.db_repository_username
        secret["TRIVY_PASSWORD"] = trivy.db_repository_password
    return Variables(plain, secret)


def base_environment(settings: Settings, home: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """What a Trivy of the operator's own needs to run at home in ``home``, and to get through proxies."""
    environment = {name: inherited[name] for name in _INHERITED if name in inherited}
    return environment | {"HOME": home, "TMPDIR": home} | common_variables(settings).revealed()


def registry_hosts(repositories: Sequence[str]) -> set[str]:
    """The registries of repositories, as settings name them."""
    return {ImageName.parse(repository).registry for repository in repositories}


def _filled(**texts: SecretText) -> dict[str, SecretText]:
    return {name: text for name, text in texts.items() if text}
