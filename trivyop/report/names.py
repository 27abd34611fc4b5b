"""Names: what a report object is called.

The plain form is ``<kind>-<workload>-<container>``, where too long ``<kind>-<hash>``, exactly as in the Go
operator, because scripts look reports up by name. Two things can go wrong with those names, for which there
is a long form, ``<kind>-<20 hex digits of SHA-256>``:

* Two containers of one workload with the same 32-bit hash: all of them get the long form, so that a name
  depends on the set of containers, not on their order.
* Two workloads with the same plain name: pod ``a``, container ``b-c`` and pod ``a-b``, container ``c``. Only
  the writer can see that (the report of that name carries another workload's labels); it then takes
  ``long_report_name`` for the newcomer.

Promises: names are valid object names, and stable: the same workload and containers give the same names.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from trivyop.report.hashing import compute_hash
from trivyop.workload.images import ImageKey

_LABEL_VALUE = re.compile(r"(?:(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LONG_HASH_DIGITS = 20  # 80 bits: no collision to be expected below 2**40 reports
_DIGEST_DIGITS = 32  # 128 bits of the digest are as good as all of it, and leave room for the platform


def is_label_value(text: str) -> bool:
    """Whether the API server takes ``text`` as the value of a label; "" is one."""
    return _LABEL_VALUE.fullmatch(text) is not None


def is_object_name(text: str) -> bool:
    """Whether the API server takes ``text`` as the name of a custom resource."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def report_names(kind: str, name: str, containers: Iterable[str]) -> dict[str, str]:
    """Name the reports of a workload: container name to report name, no two alike."""
    names = {container: _report_name(kind, name, container) for container in containers}
    uses = Counter(names.values())
    return {
        container: report_name if uses[report_name] == 1 else long_report_name(kind, name, container)
        for container, report_name in names.items()
    }


def long_report_name(kind: str, name: str, container: str) -> str:
    """The name of a report whose usual name is taken by another container or workload."""
    digest = hashlib.sha256(f"{name}\0{container}".encode()).hexdigest()
    return f"{kind.lower()}-{digest[:_LONG_HASH_DIGITS]}"


def cluster_sbom_name(key: ImageKey) -> str:
    """Name the ClusterSbomReport of an image; also the value of its image id label."""
    algorithm, _, digits = key.digest.partition(":")
    name = f"{algorithm}-{digits[:_DIGEST_DIGITS]}"
    return f"{name}-{key.platform.replace('/', '-').lower()}" if key.platform else name


def _report_name(kind: str, name: str, container: str) -> str:
    plain = f"{kind.lower()}-{name}-{container}"
    if is_label_value(plain) and is_object_name(plain):
        return plain
    return f"{kind.lower()}-{compute_hash(f'{name}-{container}')}"
