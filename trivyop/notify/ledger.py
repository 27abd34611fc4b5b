"""Ledger: what an endpoint has been told, remembered in the cluster, compactly.

Of each report: which object it was (its uid, so that a deletion can be told that nobody saw), a hash of the
content that was told, and, where somebody wants to know what is new, the ids of its findings. Reports of one
image have the same findings, so a set of ids is kept once, under its hash. All that is spread over a fixed
number of ConfigMaps by hash, each compressed: one write is small, and none comes near the limit of 1 MiB.

Promises: what ``written`` has waited for survives a crash; the rest is written within seconds, so a crash
costs a repetition, never a loss. Writes come in batches, the more there is to write the further apart.
A ConfigMap that cannot be read counts as empty, and is told of. While writing fails, the ledger holds in
memory, and ``problem`` says why.
Not here: what follows from the records (``notify.channel``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

import structlog

from trivyop.control.clock import Clock
from trivyop.errors import TerminalError, TransientError
from trivyop.kube.client import Api
from trivyop.kube.objects import Object
from trivyop.kube.resources import CONFIGMAPS, ObjectKey, Resource
from trivyop.notify import pages
from trivyop.notify.events import Subject
from trivyop.notify.records import Record, pack_record, unpack_record

log = structlog.get_logger(__name__)

ENDPOINT_LABEL = "trivyop.dev/webhook"
_FIELD_MANAGER = "trivyop-webhooks"
_RECORD_PAGES = 16
_FINDINGS_PAGES = 32
_BATCH_SECONDS = 1.0
_BYTES_PER_SECOND = 100_000  # written on average, at most: what etcd keeps of it, it keeps for minutes
_MAX_BATCH_SECONDS = 30.0
_RETRY_SECONDS = 15.0
_MAX_PAGE_BYTES = 900_000


class _Page(Object, frozen=True, rename="camel", kw_only=True):
    binary_data: dict[str, str] | None = None  # base64


class Ledger:
    """The records of one endpoint; ``load`` it, then ``run`` it."""

    def __init__(
        self, api: Api, namespace: str, endpoint: str, kinds: Iterable[Resource], *, clock: Clock
    ) -> None:
        self.problem: str | None = None
        self.new = False  # whether nothing was remembered at all
        self._api = api
        self._namespace = namespace
        self._endpoint = endpoint
        self._kinds = {resource.name: resource for resource in kinds}
        self._clock = clock
        self._records: dict[str, dict[Subject, bytes]] = {}  # by page
        self._findings: dict[bytes, bytes] = {}
        self._users: Counter[bytes] = Counter()
        self._dirty: dict[str, int] = {}  # by page: the last change that is to be written,
        self._written: dict[str, int] = {}  # and the last that is
        self._changes = 0
        self._there: set[str] = set()
        self._work = asyncio.Event()
        self._progress = asyncio.Event()

    # what is remembered

    def get(self, subject: Subject) -> Record | None:
        packed = self._records.get(_page_of(subject), {}).get(subject)
        return None if packed is None else unpack_record(packed)

    def findings(self, record: Record) -> bytes | None:
        """The ids that were told with it; None if there are none, or they are lost."""
        return self._findings.get(record.findings) if record.findings else None

    def subjects(self) -> Iterator[Subject]:
        """All of them; not to be changed meanwhile."""
        for records in self._records.values():
            yield from records

    def __len__(self) -> int:
        return sum(map(len, self._records.values()))

    @property
    def clean(self) -> bool:
        """Whether all that was to be written has been."""
        return not self._dirty

    def put(self, subject: Subject, record: Record, findings: bytes | None = None) -> int:
        """Remember that; ``findings`` takes the place of those in ``record``.

        Returns the number of the change, which ``written`` waits for.
        """
        if findings is not None:
            record = record.having(self._keep(findings))
        packed = pack_record(record)
        page = _page_of(subject)
        records = self._records.setdefault(page, {})
        before = records.get(subject)
        if before == packed:
            return self._dirty.get(page, 0)
        records[subject] = packed
        if record.findings:
            self._users[record.findings] += 1
        if before is not None:
            self._release(unpack_record(before))
        self._touch(page)
        return self._changes

    def remove(self, subject: Subject) -> None:
        """Forget it; nothing happens if nothing was known."""
        page = _page_of(subject)
        packed = self._records.get(page, {}).pop(subject, None)
        if packed is not None:
            self._release(unpack_record(packed))
            self._touch(page)

    def _keep(self, findings: bytes) -> bytes:
        name = hashlib.blake2b(findings, digest_size=8).digest()
        if name not in self._findings:
            self._findings[name] = findings
            self._touch(_findings_page(name))
        return name

    def _release(self, record: Record) -> None:
        name = record.findings
        if not name:
            return
        self._users[name] -= 1
        if self._users[name] <= 0:
            del self._users[name]
            self._findings.pop(name, None)  # it leaves its page when that is written for another reason

    def _touch(self, page: str) -> None:
        self._changes += 1
        self._dirty[page] = self._changes
        self._work.set()

    # how it is kept

    def deny(self, problem: str) -> None:
        """Take it that nothing can be read or written, for that reason, until a write succeeds."""
        self.problem = problem

    async def load(self) -> None:
        """Read what was remembered; raises ``TransientError``, or ``TerminalError`` if it may not be read."""
        selector = f"{ENDPOINT_LABEL}={self._endpoint}"
        listing = await self._api.list(
            CONFIGMAPS, namespace=self._namespace, label_selector=selector, type=_Page, limit=10
        )
        for known in (self._records, self._findings, self._users, self._dirty):
            known.clear()
        self.new = not listing.items
        for page in listing.items:
            name = page.metadata.name.removeprefix(self._prefix)
            self._there.add(name)
            data = page.binary_data or {}
            try:
                if name.startswith("findings-"):
                    self._findings |= await asyncio.to_thread(pages.decode_findings, data)
                else:
                    self._take(await asyncio.to_thread(pages.decode_records, data))
            except (pages.PageError, ValueError) as error:
                log.warning("webhook_ledger_damaged", endpoint=self._endpoint, page=name, error=str(error))
            await asyncio.sleep(0)
        self._findings = {name: ids for name, ids in self._findings.items() if name in self._users}

    def _take(self, page: dict[str, dict[str, bytes]]) -> None:
        for kind, by_key in page.items():
            resource = self._kinds.get(kind)
            if resource is None:
                continue
            for key, packed in by_key.items():
                record = unpack_record(packed)
                subject = Subject(resource, ObjectKey.parse(key))
                self._records.setdefault(_page_of(subject), {})[subject] = packed
                if record.findings:
                    self._users[record.findings] += 1

    async def written(self, subject: Subject, change: int) -> None:
        """Wait until that change of it is in the cluster, or cannot be brought there for now."""
        page = _page_of(subject)
        while page in self._dirty and self._written.get(page, 0) < change and not self.problem:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Write what changes, until cancelled."""
        pause = _BATCH_SECONDS
        while True:
            await self._work.wait()
            await self._clock.sleep(pause)
            written = await self.flush()
            pause = min(max(_BATCH_SECONDS, written / _BYTES_PER_SECOND), _MAX_BATCH_SECONDS)
            if self.problem is not None:
                pause = _RETRY_SECONDS

    async def flush(self) -> int:
        """Write all that has changed, findings before the records that speak of them; returns the bytes."""
        self._work.clear()
        size = 0
        try:
            for page in sorted(self._dirty, key=lambda name: (not name.startswith("findings-"), name)):
                change = self._dirty[page]
                size += await self._write(page)
                self._written[page] = change
                if self._dirty[page] == change:
                    del self._dirty[page]
                else:
                    self._work.set()
        except (TransientError, TerminalError) as error:
            if self.problem is None:
                log.warning("webhook_ledger_not_written", endpoint=self._endpoint, error=str(error))
            self.problem = f"what was delivered cannot be remembered: {error}"
            self._work.set()
        else:
            self.problem = None
        finally:
            self._progress.set()
        return size

    async def _write(self, page: str) -> int:
        data, size = await self._encoded(page)
        key = ObjectKey(self._namespace, self._prefix + page)
        if not data:
            if page in self._there:
                await self._api.delete(CONFIGMAPS, key)
                self._there.discard(page)
            return 0
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "labels": {ENDPOINT_LABEL: self._endpoint, "app.kubernetes.io/managed-by": "trivyop"},
            },
            "binaryData": data,
        }
        await self._api.apply(CONFIGMAPS, body, field_manager=_FIELD_MANAGER, metadata_only=True)
        self._there.add(page)
        return size

    async def _encoded(self, page: str) -> tuple[dict[str, str], int]:
        if page.startswith("findings-"):
            sets = {name: ids for name, ids in self._findings.items() if _findings_page(name) == page}
            return await asyncio.to_thread(pages.encode_findings, sets, _MAX_PAGE_BYTES)
        records: dict[str, dict[str, bytes]] = {}
        for subject, packed in self._records.get(page, {}).items():
            records.setdefault(subject.resource.name, {})[str(subject.key)] = packed
        return await asyncio.to_thread(pages.encode_records, records)

    @property
    def _prefix(self) -> str:
        return f"trivyop-delivered-{self._endpoint}-"


def _page_of(subject: Subject) -> str:
    hashed = hashlib.blake2b(f"{subject.resource.name} {subject.key}".encode(), digest_size=2).digest()
    return f"{int.from_bytes(hashed) % _RECORD_PAGES:02x}"


def _findings_page(name: bytes) -> str:
    return f"findings-{name[0] % _FINDINGS_PAGES:02x}"
