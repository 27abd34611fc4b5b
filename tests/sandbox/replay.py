"""Replay: plays one recorded transcript against a sandbox API server and says where it answers differently.

Promises: every step is played until the first that fails; a failure names the step and every difference.
Not here: comparing (``matching``), and which transcripts are played (``test_transcripts.py``).
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import aiohttp
from yarl import URL

from tests.sandbox.matching import (
    Bindings,
    differences,
    remove_at,
    sort_at,
    treat_managed_fields,
    values_at,
)
from trivyop.control.clock import SystemClock
from trivyop.kube.client import Api
from trivyop.kube.config import ClusterConfig
from trivyop.sandbox.apiserver.server import ApiServer
from trivyop.sandbox.controllers.run import ALL, run_controllers

TRANSCRIPTS = Path(__file__).parent / "transcripts"
_HEADERS = ("Content-Type", "Retry-After", "Warning", "Location", "Allow", "Www-Authenticate")
_POLL_SECONDS = 0.02
_OPEN_SECONDS = 0.3

Step = Mapping[str, Any]


def load(name: str) -> dict[str, Any]:
    """Read a transcript."""
    return json.loads((TRANSCRIPTS / f"{name}.json").read_text())


class Answer:
    """One answer, read to its end."""

    def __init__(self, status: int, headers: Mapping[str, list[str]], content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    def json(self) -> Any:
        """Decode the body; raises ``ValueError`` if it is not JSON."""
        return json.loads(self.content)


class OpenWatch:
    """A stream of events that is read while other steps run."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for line in self.response.content:
            if line.strip():
                self.events.put_nowait(json.loads(line))

    async def close(self) -> None:
        """Stop reading and hang up."""
        self.reader.cancel()
        await asyncio.gather(self.reader, return_exceptions=True)
        self.response.close()


def missing_controllers(scenario: Mapping[str, Any]) -> list[str]:
    """Return the controllers that a scenario needs and that are not built."""
    needed = [r.removeprefix("controllers:") for r in scenario["requires"] if r.startswith("controllers:")]
    built = {name.value for name in ALL}
    return [name for name in needed if name not in built]


@asynccontextmanager
async def controllers_for(server: ApiServer, scenario: Mapping[str, Any]) -> AsyncGenerator[None, None]:
    """Run the controllers while the scenario is played, if it needs any."""
    if not any(requirement.startswith("controllers:") for requirement in scenario["requires"]):
        yield
        return
    config = await ClusterConfig.from_kubeconfig_dict(server.kubeconfig())
    async with Api(config, user_agent="kube-controller-manager") as api:
        running = asyncio.create_task(run_controllers(api, SystemClock()))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


class MismatchError(AssertionError):
    """A step that was answered differently."""


class Replay:
    """Plays one scenario; use as an async context manager."""

    def __init__(self, server: ApiServer, scenario: Mapping[str, Any]) -> None:
        self._server = server
        self._scenario = scenario
        self._bindings = Bindings()
        self._watches: dict[str, OpenWatch] = {}
        self._stack = AsyncExitStack()
        self._acts_at_once = not any(r.startswith("controllers:") for r in scenario["requires"])

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=self._server.pki.client_context())
        session = aiohttp.ClientSession(
            connector=connector,
            skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding", "User-Agent"),
        )
        self._session = await self._stack.enter_async_context(session)
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches.values():
            await watch.close()
        await self._stack.aclose()

    async def play(self) -> None:
        """Play setup and steps; raises ``MismatchError`` at the first difference."""
        for n, step in enumerate(self._scenario["setup"]):
            await self._play(step, f"setup[{n}]", only_status=True)
        for n, step in enumerate(self._scenario["steps"]):
            await self._play(step, f"steps[{n}]", only_status=False)

    async def _play(self, step: Step, where: str, *, only_status: bool) -> None:
        try:
            match step:
                case {"wait_for": wait}:
                    await self._wait(step, wait, only_status=only_status)
                case {"open_watch": name, "request": request, "response": expected}:
                    await self._open_watch(name, request, expected)
                case {"expect_events": name}:
                    await self._expect_events(step, self._watches[name])
                case {"expect_no_events": name, "for_s": seconds}:
                    await self._expect_no_events(self._watches[name], seconds)
                case {"close_watch": name}:
                    await self._close_watch(step, self._watches.pop(name))
                case {"sleep": seconds}:
                    await asyncio.sleep(0 if self._acts_at_once else seconds)
                case {"external": "compact-history"}:
                    self._server.faults.forget_history()
                case _:
                    answer = await self._send(step["request"])
                    self._check(step, step["response"], answer, only_status=only_status)
        except MismatchError as error:
            note = f" ({step['note']})" if "note" in step else ""
            request = step.get("request") or step.get("wait_for", {}).get("request") or {}
            line = f"{request.get('method', '')} {request.get('path', '')} {request.get('query', '')}"
            raise MismatchError(f"{where}{note}: {line}\n{error}") from None

    def _open(self, request: Mapping[str, Any]) -> Any:
        path = self._bindings.fill(request["path"])
        query = self._bindings.fill_in(request.get("query", {}))
        url = URL(self._server.url + path, encoded="%" in path).with_query(query)
        headers = self._bindings.fill_in(request.get("headers", {}))
        if request.get("credentials") != "none":
            headers = {"Authorization": f"Bearer {self._server.admin_token}", **headers}
        data: bytes | None = None
        if "body" in request:
            data = json.dumps(self._bindings.fill_in(request["body"])).encode()
        elif "text" in request:
            data = self._bindings.fill(request["text"]).encode()
        elif "base64" in request:
            data = base64.b64decode(request["base64"])
        body = None if data is None else io.BytesIO(data)  # large ones shall not block the loop
        if body is not None:
            headers["Content-Length"] = str(len(data or b""))
        return self._session.request(request["method"], url, headers=headers, data=body)

    async def _send(self, request: Mapping[str, Any]) -> Answer:
        async with self._open(request) as response:
            return Answer(response.status, _counted_headers(response), await response.read())

    def _check(self, step: Step, expected: Mapping[str, Any], answer: Answer, *, only_status: bool) -> None:
        found: list[str] = []
        if answer.status != expected["status"]:
            found.append(f"status {answer.status}, not {expected['status']}: {answer.content[:1500]!r}")
        if not only_status and not found:
            found += self._header_differences(expected, answer.headers)
            found += self._body_differences(step, expected, answer)
        if found:
            raise MismatchError("\n".join(found))

    def _header_differences(self, expected: Mapping[str, Any], actual: Mapping[str, list[str]]) -> list[str]:
        found: list[str] = []
        recorded = {name.title(): value for name, value in expected.get("headers", {}).items()}
        for name in _HEADERS:
            value = recorded.get(name, [])
            wanted = value if isinstance(value, list) else [value]
            got = actual.get(name, [])
            if len(wanted) != len(got) or not all(map(self._bindings.matches, wanted, got)):
                found.append(f"header {name}: expected {wanted}, got {got}")
        return found

    def _body_differences(self, step: Step, expected: Mapping[str, Any], answer: Answer) -> list[str]:
        if "text" in expected:
            text = answer.content.decode()
            same = self._bindings.matches(expected["text"], text)
            return [] if same else [f"expected {expected['text']!r}, got {text!r}"]
        if "body" not in expected:
            return []
        try:
            actual = answer.json()
        except ValueError:
            return [f"not JSON: {answer.content[:500]!r}"]
        self._prepare(actual, step)
        return differences(expected["body"], actual, self._bindings, step.get("contains"))

    def _prepare(self, actual: Any, step: Step) -> None:
        treat_managed_fields(actual, keep=self._scenario["managedFields"] == "keep")
        for path in (*(self._scenario.get("ignore") or ()), *step.get("ignore", ())):
            remove_at(actual, path)
        if isinstance(step.get("sort"), dict):
            for path, by in step["sort"].items():
                sort_at(actual, path, by)

    async def _wait(self, step: Step, wait: Mapping[str, Any], *, only_status: bool) -> None:
        answer: Answer | None = None
        try:
            async with asyncio.timeout(wait["timeout_s"]):
                while True:
                    answer = await self._send(wait["request"])
                    if all(_holds(condition, answer) for condition in wait["until"]):
                        break
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            if only_status and wait.get("optional"):
                return
            last = answer.content[:2000] if answer else b""
            raise MismatchError(f"never {wait['until']}; last answer: {last!r}") from None
        if "response" in step:
            self._check(step, step["response"], answer, only_status=only_status)

    async def _open_watch(self, name: str, request: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
        response = await self._open(request)
        self._watches[name] = watch = OpenWatch(response)
        found = self._header_differences(expected, _counted_headers(response))
        if response.status != expected["status"]:
            await watch.close()
            found.append(f"status {response.status}, not {expected['status']}")
        if found:
            raise MismatchError("\n".join(found))

    async def _expect_events(self, step: Step, watch: OpenWatch) -> None:
        expected = step["events"]
        wants_bookmark = any(_is_plain_bookmark(event) for event in expected)
        got: list[Any] = []
        try:
            async with asyncio.timeout(step["timeout_s"]):
                while len(got) < len(expected):
                    event = await watch.events.get()
                    if wants_bookmark or not _is_plain_bookmark(event):
                        got.append(event)
        except TimeoutError:
            raise MismatchError(f"{len(got)} of {len(expected)} events came: {got}") from None
        if by := step.get("sort"):
            got.sort(key=lambda event: str(values_at(event, by)))
        found: list[str] = []
        for n, (event, actual) in enumerate(zip(expected, got, strict=True)):
            self._prepare(actual, {**step, "sort": None})
            found += [f"event {n}: {d}" for d in differences(event, actual, self._bindings)]
        if found:
            raise MismatchError("\n".join(found))

    async def _expect_no_events(self, watch: OpenWatch, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    event = await watch.events.get()
                    if not _is_plain_bookmark(event):
                        raise MismatchError(f"an event came: {event}")
        except TimeoutError:
            return

    async def _close_watch(self, step: Step, watch: OpenWatch) -> None:
        within = step["within_s"] if step["ended"] else _OPEN_SECONDS
        done, _ = await asyncio.wait([watch.reader], timeout=within)
        problem = ""
        if bool(done) != step["ended"]:
            problem = "the stream ended" if done else "the stream did not end"
        elif done and (error := watch.reader.exception()):
            problem = f"the stream broke: {error!r}"
        await watch.close()
        left = [deepcopy(watch.events.get_nowait()) for _ in range(watch.events.qsize())]
        if unread := [event for event in left if not _is_plain_bookmark(event)]:
            problem += f" unread events: {unread}"
        if problem:
            raise MismatchError(problem)


def _counted_headers(response: aiohttp.ClientResponse) -> dict[str, list[str]]:
    return {name: response.headers.getall(name) for name in _HEADERS if name in response.headers}


def _is_plain_bookmark(event: Mapping[str, Any]) -> bool:
    return event["type"] == "BOOKMARK" and not event["object"].get("metadata", {}).get("annotations")


def _holds(condition: Mapping[str, Any], answer: Answer) -> bool:
    if "status" in condition:
        return answer.status == condition["status"]
    try:
        values = values_at(answer.json(), condition["path"])
    except ValueError:
        return False
    if "equals" in condition:
        return values == [condition["equals"]]
    if "length" in condition:
        return bool(values) and len(values[0]) == condition["length"]
    return bool(values) == condition["exists"]
