"""The sandbox API server answers as a real one did when the transcripts were recorded."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.sandbox.replay import TRANSCRIPTS, Replay, controllers_for, load, missing_controllers
from trivyop.sandbox.apiserver.server import ApiServer

WAITING = tomllib.loads((Path(__file__).parent / "transcripts_waiting.toml").read_text())
NAMES = sorted(path.stem for path in TRANSCRIPTS.glob("*.json"))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WAITING])
async def test_server_answers_as_recorded(name: str) -> None:
    scenario = load(name)
    assert not missing_controllers(scenario)
    async with (
        ApiServer() as server,
        controllers_for(server, scenario),
        Replay(server, scenario) as replay,
    ):
        await replay.play()


def test_only_transcripts_are_waiting() -> None:
    """A renamed transcript must not stay on the list unseen."""
    assert set(WAITING) <= set(NAMES)
