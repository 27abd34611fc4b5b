"""From texts to settings: environment, ConfigMaps and Secrets in, one checked value out.

A Secret's key wins over the ConfigMap's. An unset variable or missing key means the default; a variable that
is set to the empty text means the kind's zero value (off, none), an empty ConfigMap key means the default.

Promises: pure; every malformed value is found and named in one ``SettingsError``, with what is allowed, and
secret values are never shown; a key that is not known is a warning with the nearest known one.
Not here: fetching the ConfigMaps and Secrets.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from trivyop.errors import TerminalError
from trivyop.settings.choices import TrivyCommand, TrivyMode
from trivyop.settings.idle import idle_settings
from trivyop.settings.images import TAG_ALLOWED, tag_problem
from trivyop.settings.setting import Setting, Source
from trivyop.settings.values import GROUPS, SETTINGS, Settings

Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; ``shown`` is the value as it may be shown."""

    key: str
    source: str
    shown: str
    reason: str
    allowed: str

    def __str__(self) -> str:
        value = f" = {self.shown}" if self.shown else ""
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        return f"{self.key}{value} in the {self.source}: {self.reason}{allowed}"


class SettingsError(TerminalError):
    """Settings that cannot be used; ``problems`` has all of them."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


# Keys with which a Trivy server next to the operator is configured, through the same ConfigMap and Secret.
_SERVER_KEYS = frozenset(
    {
        "GITHUB_TOKEN",
        "TRIVY_CACHE_DIR",
        "TRIVY_DB_REPOSITORY",
        "TRIVY_DEBUG",
        "TRIVY_INSECURE",
        "TRIVY_JAVA_DB_REPOSITORY",
        "TRIVY_LISTEN",
        "TRIVY_PASSWORD",
        "TRIVY_SKIP_DB_UPDATE",
        "TRIVY_TOKEN",
        "TRIVY_USERNAME",
        "trivy.reportDir",
    }
)
# Written by hand into ConfigMaps at times, although the operator takes them from its environment.
_MIRRORED_KEYS = frozenset(
    {"vulnerabilityScannerEnabled", "exposedSecretsScannerEnabled", "generateSbomEnabled"}
)
_SCANNER_KEY = "vulnerabilityReports.scanner"
_SERVER_URL_KEY = "trivy.serverURL"  # in the operator's ConfigMap: the built-in server's health check
_KNOWN_ELSEWHERE = {
    Source.CONFIG: _MIRRORED_KEYS | {_SCANNER_KEY, _SERVER_URL_KEY},
    Source.SECRET: _MIRRORED_KEYS,
    Source.TRIVY_CONFIG: _SERVER_KEYS,
    Source.TRIVY_SECRET: _SERVER_KEYS,
    Source.ENV: frozenset[str](),
}
_MAX_SHOWN = 120


def load_settings(
    environ: Texts,
    configmap: Texts | None = None,
    secret: Texts | None = None,
    trivy_configmap: Texts | None = None,
    trivy_secret: Texts | None = None,
) -> Settings:
    """Read every setting; ``SettingsError`` lists all that is wrong. Secrets come decoded, as texts."""
    texts = {
        Source.ENV: environ,
        Source.CONFIG: configmap or {},
        Source.SECRET: secret or {},
        Source.TRIVY_CONFIG: trivy_configmap or {},
        Source.TRIVY_SECRET: trivy_secret or {},
    }
    problems: list[Problem] = []
    warnings: list[str] = []
    given: set[str] = set()
    values: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for declared in SETTINGS:
        group, _, name = declared.path.partition(".")
        try:
            found = _read_family(declared, texts) if declared.family else _read(declared, texts, warnings)
        except _MalformedError as error:
            problems.extend(error.problems)
        else:
            if found is not None:
                values[group][name] = found.value
                given.add(declared.key)
    warnings.extend(_unknown_keys(texts))
    groups = {group: value_type(**values[group]) for group, value_type in GROUPS.items()}
    settings = Settings(**groups, given=frozenset(given))
    warnings.extend(idle_settings(settings))
    settings = replace(settings, warnings=tuple(warnings))
    problems.extend(_contradictions(settings, texts))
    if problems:
        raise SettingsError(problems)
    return settings


@dataclass(frozen=True, slots=True)
class _Found:
    value: Any


class _MalformedError(Exception):
    def __init__(self, problems: Iterable[Problem]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def _read(declared: Setting, texts: Mapping[Source, Texts], warnings: list[str]) -> _Found | None:
    there = [source for source in reversed(declared.sources) if declared.key in texts[source]]
    filled = (one for one in there if not declared.kind.is_blank(texts[one][declared.key]))
    source = next(filled, there[0] if there else None)
    if source is None:
        if declared.required:
            raise _MalformedError([_problem(declared, declared.key, declared.sources[0], "", "is not set")])
        return None
    text = texts[source][declared.key]
    if declared.ignored:
        warnings.append(f"{declared.key} has no effect: {declared.ignored}")
    if declared.for_secret and source in (Source.CONFIG, Source.TRIVY_CONFIG) and text.strip():
        warnings.append(f"{declared.key} is in the {source.value}; it counts, and belongs into a Secret")
    if declared.kind.is_blank(text):
        if source is not Source.ENV:
            return None
        if declared.required or declared.kind.empty is None:
            raise _MalformedError([_problem(declared, declared.key, source, "", "is empty")])
        return _Found(declared.kind.empty())
    return _Found(_parsed(declared, declared.key, source, text))


def _read_family(declared: Setting, texts: Mapping[Source, Texts]) -> _Found | None:
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for source in declared.sources:
        for key, text in texts[source].items():
            if _in_family(declared, key) and text.strip():
                try:
                    found[key.removeprefix(declared.key)] = _parsed(declared, key, source, text)
                except _MalformedError as error:
                    problems.extend(error.problems)
    if problems:
        raise _MalformedError(problems)
    return _Found(dict(sorted(found.items()))) if found else None


def _in_family(declared: Setting, key: str) -> bool:
    """A prefix that ends in a dot needs a rest; one that does not is a key by itself, too."""
    if declared.key.endswith("."):
        return key.startswith(declared.key) and key != declared.key
    return key == declared.key or key.startswith(f"{declared.key}.")


def _parsed(declared: Setting, key: str, source: Source, text: str) -> Any:
    try:
        return declared.kind.parse(text)
    except ValueError as error:
        # The parser's message may quote the text, so a secret's problem gets none of it.
        reason = "is malformed" if declared.secret else str(error)
        raise _MalformedError([_problem(declared, key, source, text, reason)]) from None


def _problem(declared: Setting, key: str, source: Source, text: str, reason: str) -> Problem:
    if declared.secret:
        shown = "***" if text else ""
    else:
        shown = repr(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...") if text else ""
    return Problem(key, source.value, shown, reason, declared.kind.allowed)


def _contradictions(settings: Settings, texts: Mapping[Source, Texts]) -> Iterator[Problem]:
    """Values that are each fine and do not go together, or are not supported yet."""
    trivy, config = settings.trivy, Source.TRIVY_CONFIG.value
    if trivy.mode is TrivyMode.CLIENT_SERVER and not trivy.server_url:
        yield Problem("trivy.serverURL", config, "", "is needed when trivy.mode is ClientServer", "")
    if trivy.command is not TrivyCommand.IMAGE:
        yield Problem(
            "trivy.command", config, repr(str(trivy.command)), "not supported yet", TrivyCommand.IMAGE
        )
    if bool(trivy.db_repository_username) != bool(trivy.db_repository_password):
        yield Problem(
            "trivy.dbRepositoryUsername",
            Source.TRIVY_SECRET.value,
            "",
            "needs trivy.dbRepositoryPassword",
            "",
        )
    for key, login in (
        ("trivy.dbRepositoryUsername", trivy.db_repository_username),
        ("trivy.dbRepositoryPassword", trivy.db_repository_password),
        ("policies.bundle.oci.user", settings.audit.bundle_user),
        ("policies.bundle.oci.password", settings.audit.bundle_password),
    ):
        if "," in login.reveal() or len(login.reveal().split()) > 1:
            where = Source.SECRET if key.startswith("policies.") else Source.TRIVY_SECRET
            why = "Trivy takes a comma or a blank in it for its end"
            yield Problem(key, where.value, "***", why, "text without commas and blanks")
    if bool(settings.audit.bundle_user) != bool(settings.audit.bundle_password):
        yield Problem(
            "policies.bundle.oci.user", Source.SECRET.value, "", "needs policies.bundle.oci.password", ""
        )
    if settings.reports.alternate_storage_enabled and not settings.reports.alternate_storage_dir:
        yield Problem(
            "OPERATOR_ALTERNATE_REPORT_STORAGE_DIR", Source.ENV.value, "", "is not set", "a directory"
        )
    if problem := tag_problem(trivy.tag):
        yield Problem("trivy.tag", config, repr(trivy.tag), problem, TAG_ALLOWED)
    scanner = texts[Source.CONFIG].get(_SCANNER_KEY, "").strip()
    if scanner not in ("", "Trivy"):
        yield Problem(_SCANNER_KEY, Source.CONFIG.value, repr(scanner), "there is one scanner", "Trivy")


def _unknown_keys(texts: Mapping[Source, Texts]) -> Iterator[str]:
    for source, given in texts.items():
        here = [declared for declared in SETTINGS if source in declared.sources]
        known = {declared.key for declared in here} | _KNOWN_ELSEWHERE[source]
        families = [declared for declared in here if declared.family]
        for key in sorted(given):
            if key in known or any(_in_family(declared, key) for declared in families):
                continue
            if source is Source.ENV and not key.startswith("OPERATOR_"):
                continue  # an environment has many variables that are none of our business
            elsewhere = next((declared for declared in SETTINGS if declared.key == key), None)
            yield f"{key} in the {source.value} is not known{_hint(key, elsewhere, known)}"


def _hint(key: str, elsewhere: Setting | None, known: Iterable[str]) -> str:
    if elsewhere is not None:
        return f" there; it belongs into the {elsewhere.sources[0].value}"
    near = _nearest(key, known, str) or _nearest(key, known, str.lower)
    return f"; did you mean {near}?" if near else ""


def _nearest(key: str, known: Iterable[str], fold: Callable[[str], str]) -> str | None:
    folded = {fold(name): name for name in sorted(known)}
    near = difflib.get_close_matches(fold(key), folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else None
