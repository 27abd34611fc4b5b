"""The operator's own databases on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scarcity import no_more_files
from trivyop.scan.database import DatabaseStore, read_database_version
from trivyop.settings import load_settings

METADATA = {"Version": 2, "UpdatedAt": "2026-01-01T00:00:00Z", "NextUpdate": "2026-01-02T00:00:00Z"}


def put(directory: Path, *, complete: bool = True) -> None:
    (directory / "db").mkdir(parents=True)
    (directory / "db/metadata.json").write_text(json.dumps(METADATA))
    (directory / "db/trivy.db").write_text("x" if complete else "")


def store_in(directory: Path) -> DatabaseStore:
    return DatabaseStore(
        load_settings(
            {"OPERATOR_NAMESPACE": "trivy-system", "OPERATOR_TRIVY_CACHE_DIR": str(directory)},
        )
    )


def test_newest_complete_database_is_taken_and_others_go(tmp_path: Path) -> None:
    put(tmp_path / "db-1")
    put(tmp_path / "db-2")
    put(tmp_path / "db-3", complete=False)
    store = store_in(tmp_path)

    assert store.open() == store.version is not None
    with store.using() as directory:
        assert directory.name == "db-2"
    assert [path.name for path in tmp_path.iterdir()] == ["db-2"]


def test_database_that_cannot_be_read_just_now_is_kept(tmp_path: Path) -> None:
    """What looks incomplete because there are no more files would else be deleted."""
    put(tmp_path / "db-1")
    put(tmp_path / "db-2")
    store = store_in(tmp_path)
    with no_more_files():
        with pytest.raises(OSError, match="Too many open files"):
            read_database_version(tmp_path / "db-2")
        with pytest.raises(OSError, match="Too many open files"):
            store.open()

    assert {path.name for path in tmp_path.iterdir()} == {"db-1", "db-2"}
    assert store.open() is not None
