"""The reference page of all settings, written from their declarations.

Run ``make docs`` after a change of any setting; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trivyop.settings.setting import Affects, Setting, Source
from trivyop.settings.values import SETTINGS

_OPENING = """\
# Settings

Every setting there is, where it may be set, what it may be, and what applies when it is not set. This page
is written by `make docs`: change the declarations in `trivyop/settings`, not it.

- The operator reads all settings when it starts. It refuses to start with a malformed value, and says of each
  one where it is and what is allowed. An unknown key is a warning that names the nearest known key.
- A key means the same in a Secret and in the ConfigMap of that name; if it is in both, the Secret's value
  applies. An empty value counts as not set. The operator warns about a secret in a ConfigMap, and about a
  setting for a part that is off.
- An environment variable that is set and empty means zero, none or off, not the default.
- Durations are written as `90s`, `5m` or `1h30m`, truth values as `true` or `false`; lists are separated by
  commas or line breaks, and blanks around them do not matter.
- *Marks*: **new** is a setting that the Go trivy-operator does not have; **rescan** changes what scans find
  and **rewrite** what reports contain, so a change brings all of them up to date; **no effect** is accepted,
  so that you can keep your configuration, and says why it does nothing; **secret** is never logged.
"""

_PAGES: tuple[tuple[str, str, tuple[Source, ...]], ...] = (
    (
        "Environment of the operator",
        "Set in the Deployment, as a rule through the ConfigMap `trivy-operator-config`.",
        (Source.ENV,),
    ),
    (
        "ConfigMap and Secret `trivy-operator`",
        "In the operator's namespace; read when the operator starts.",
        (Source.CONFIG, Source.SECRET),
    ),
    (
        "ConfigMap and Secret `trivy-operator-trivy-config`",
        "In the operator's namespace; read when the operator starts. Scan pods get what was read then.",
        (Source.TRIVY_CONFIG, Source.TRIVY_SECRET),
    ),
)
_FEATURES = {
    "": "",
    "alternate storage": "Reports as files (not part of this version: checked, without effect)",
}


def build_page() -> str:
    """The whole page, in Markdown."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _OPENING
    for title, introduction, sources in _PAGES:
        yield f"## {title}\n"
        yield f"{introduction}\n"
        here = [declared for declared in SETTINGS if declared.sources[0] in sources]
        for feature, heading in _FEATURES.items():
            rows = [declared for declared in here if declared.feature == feature]
            if rows:
                yield from ([f"### {heading}\n"] if heading else [])
                yield from _table(rows)


def _table(rows: Iterable[Setting]) -> Iterator[str]:
    yield "| Setting | Default | Meaning | Allowed | Marks |"
    yield "|---|---|---|---|---|"
    for declared in rows:
        cells = (
            f"`{_key(declared)}`",
            _default(declared),
            declared.meaning,
            declared.kind.allowed,
            ", ".join(_marks(declared)),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
    yield ""


def _key(declared: Setting) -> str:
    if not declared.family:
        return declared.key
    return f"{declared.key}<name>" if declared.key.endswith(".") else f"{declared.key}[.<...>]"


def _default(declared: Setting) -> str:
    if declared.required:
        return "none: it has to be set"
    text = declared.default_text
    return f"`{text}`" if text and not declared.secret else ""


def _marks(declared: Setting) -> Iterator[str]:
    if declared.ours:
        yield "new"
    if declared.affects is Affects.SCAN:
        yield "rescan"
    if declared.affects is Affects.REPORT:
        yield "rewrite"
    if declared.secret:
        yield "secret"
    if declared.ignored:
        yield f"no effect: {declared.ignored}"
