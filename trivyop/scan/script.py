"""The shell script of a scan pod: run Trivy, then send the results, or the reason why there are none.

POSIX sh as busybox has it, gzip, base64, sha256sum, wc, tr, cut, tail, grep, sort, cp and mkdir.

With the results goes what a match of the bill of materials finds here, and which repositories Trivy's cache
names (``matchable.py`` reads both). That may fail without harm to the scan.

Promises: every word of a command is quoted, so no image name or setting is ever read as shell. Whatever the
exit code, the log ends in a complete transmission (``framing.py``), and the exit code is Trivy's. The only
exception is a shell that was killed itself.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from trivyop.scan.framing import (
    BOM_PART,
    DATABASE_PART,
    EMIT_FUNCTIONS,
    FAILURE_PART,
    MATCH_PART,
    RESULT_PART,
)

FAILURE_BYTES = 4096  # of Trivy's errors; the cause is in the last line
_REFUSED = "unauthorized|denied|forbidden|status code 40[0134]|_UNKNOWN"  # what another login may change
MATCH_FAILURE_BYTES = 1024
TERMINATION_BYTES = 2048  # what a node keeps of a termination message that comes from a log


def result_path(directory: str) -> str:
    return f"{directory}/{RESULT_PART}"


def bom_path(directory: str) -> str:
    return f"{directory}/{BOM_PART}"


@dataclass(frozen=True, slots=True)
class Match:
    """How the bill of materials is matched in the scan pod.

    ``command`` runs in a directory in which the bill of materials is called ``name``, slashes and all, so
    that Trivy calls it as it calls the image; it writes to ``findings_path``. ``cache`` is a file of Trivy's.
    """

    command: Sequence[str]
    name: str
    cache: str | None = None


def findings_path(directory: str) -> str:
    return f"{directory}/findings"


def build_scan_script(
    scan_id: str,
    *,
    directory: str,
    scan: Sequence[str],
    convert: Sequence[str] | None = None,
    match: Match | None = None,
    database: str | None = None,
    logins: Sequence[str] = (),
) -> str:
    """Script that runs ``scan`` to write ``result_path``, then ``convert`` to write ``bom_path``.

    ``database`` is the file in which Trivy says which database it used; it is sent along if it is there.
    ``logins`` are directories with a Docker configuration each: the scan runs with one after the other, as
    a kubelet pulls, until the registry refuses none. That an image is missing counts more than a login that
    is refused.
    ``match`` takes a ``convert``.
    """
    metadata = (
        f"  if [ -r {shlex.quote(database)} ]; then\n    emit {DATABASE_PART} {shlex.quote(database)}\n"
        "    parts=$((parts + 1))\n  fi\n"
        if database
        else ""
    )
    results = [RESULT_PART] + ([BOM_PART] if convert is not None else [])
    present = "\n".join(
        f'if [ "$rc" -eq 0 ] && [ ! -f "$dir/{part}" ]; then\n'
        f'  echo "Trivy ended well, but wrote no {part}" >>"$errors"\n  rc=1\nfi'
        for part in results
    )
    sending = "\n".join(f'  emit {part} "$dir/{part}"' for part in results)
    converting = (
        f'if [ "$rc" -eq 0 ]; then\n  {shlex.join(convert)} >>"$errors" 2>&1\n  rc=$?\nfi\n'
        if convert
        else ""
    )
    matching = _match_function(match, directory) if match and convert else ""
    sending_match = _SEND_MATCH if matching else ""
    return f"""\
scan={shlex.quote(scan_id)}
dir={shlex.quote(directory)}
errors="$dir/errors.log"
{EMIT_FUNCTIONS}{matching}mkdir -p "$dir" || exit 1
{_scanning(scan, logins)}{converting}{present}
if [ "$rc" -eq 0 ]; then
  parts={len(results)}
{sending}
{metadata}{sending_match}  emit_done "$parts" 0
else
  tail -c {FAILURE_BYTES} "$errors" >"$dir/{FAILURE_PART}"
  emit {FAILURE_PART} "$dir/{FAILURE_PART}"
  emit_done 1 "$rc"
  if [ -w /dev/termination-log ]; then
    tail -c {TERMINATION_BYTES} "$errors" >/dev/termination-log
  fi
fi
exit "$rc"
"""


def _scanning(scan: Sequence[str], logins: Sequence[str]) -> str:
    command = f'{shlex.join(scan)} >"$errors" 2>&1'
    if len(logins) < 2:
        return f"{command}\nrc=$?\n"
    return f"""\
for login in {shlex.join(logins)}; do
  export DOCKER_CONFIG="$login"
  {command}
  rc=$?
  if [ "$rc" -eq 0 ] || ! grep -qiE {shlex.quote(_REFUSED)} "$errors"; then
    break
  fi
  if grep -q MANIFEST_UNKNOWN "$errors"; then
    cp "$errors" "$dir/missing.log"
  fi
done
if [ "$rc" -ne 0 ] && [ -f "$dir/missing.log" ]; then
  cp "$dir/missing.log" "$errors"
fi
"""


_SEND_MATCH = f"""\
  match_bom >"$dir/{MATCH_PART}" 2>/dev/null
  emit {MATCH_PART} "$dir/{MATCH_PART}"
  parts=$((parts + 1))
"""


def _match_function(match: Match, directory: str) -> str:
    name, findings = shlex.quote(match.name), shlex.quote(findings_path(directory))
    above = shlex.quote(posixpath.dirname(match.name) or ".")
    # Values in the cache are JSON between bytes of a B+ tree.
    cache = (
        f"  if [ -r {shlex.quote(match.cache)} ]; then\n    echo cache\n"
        f"    tr '\\000' '\\n' <{shlex.quote(match.cache)} | "
        "LC_ALL=C grep -ao '\"Repository\":{[^}]*}' | sort -u\n  fi\n"
        if match.cache
        else ""
    )
    return f"""\
match_bom() (
{cache}  mkdir -p "$dir/match" && cd "$dir/match" && mkdir -p {above} && cp "$dir/{BOM_PART}" {name} || exit
  if {shlex.join(match.command)} >"$dir/match.log" 2>&1; then
    echo done
    cat {findings}
  else
    echo failed
    tail -c {MATCH_FAILURE_BYTES} "$dir/match.log"
  fi
)
"""
