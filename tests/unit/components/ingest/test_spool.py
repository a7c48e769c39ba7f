from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from components.core.errors import Busy
from components.core.params import Ingest
from components.core.spec import SAWYER_CELL
from components.formats.source import Found
from components.ingest.sources import Source
from components.ingest.spool import Spool, spool_key
from components.ingest.work import Opened, Worker, part_of


@pytest.fixture(scope="module")
def episode(recordings: ModuleType, params: Ingest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = recordings.write_mcap(tmp_path_factory.mktemp("one") / "a.mcap", recordings.make_demo(steps=4))
    worker = Worker(params, SAWYER_CELL)
    opened = worker.open(Source(Found(path, "a.mcap", "mcap"), "", ""))
    assert isinstance(opened, Opened)
    prepared = worker.prepare(part_of(opened, ""))
    assert isinstance(prepared, bytes)
    return prepared


def test_what_was_put_comes_back(tmp_path: Path, episode: bytes) -> None:
    with Spool(tmp_path / "spool") as spool:
        assert spool.get("k") is None
        spool.put("k", episode)
        found = spool.get("k")
        assert found is not None
        assert found.to_bytes() == episode
        spool.drop(["k", "absent"])
        assert spool.get("k") is None


def test_it_survives_its_process_and_vanishes_when_it_is_empty(tmp_path: Path, episode: bytes) -> None:
    with Spool(tmp_path / "spool") as spool:
        spool.put("k", episode)
    with Spool(tmp_path / "spool") as spool:
        assert spool.get("k") is not None
        spool.clear()
    assert not (tmp_path / "spool").exists()


def test_what_is_damaged_counts_as_absent(tmp_path: Path, episode: bytes) -> None:
    flipped = episode[:200] + bytes([episode[200] ^ 1]) + episode[201:]
    with Spool(tmp_path / "spool") as spool:
        for damaged in (b"", episode[:-1], flipped):
            spool.put("k", damaged)
            assert spool.get("k") is None


def test_one_process_has_it(tmp_path: Path) -> None:
    folder = str(tmp_path / "s")
    code = f"from pathlib import Path; from components.ingest.spool import Spool\nSpool(Path({folder!r})).__enter__()"
    with Spool(tmp_path / "s"):
        with pytest.raises(Busy, match="another ingest writes this dataset"):
            Spool(tmp_path / "s").__enter__()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        assert "Busy" in done.stderr
    with Spool(tmp_path / "s"):
        assert (tmp_path / "s").is_dir()


def test_keys_tell_everything_apart() -> None:
    values = ("uri", "sha", "part", "settings")
    keys = {spool_key(*values)}
    for place in range(4):
        changed = [*values]
        changed[place] = "other"
        keys.add(spool_key(*changed))
    assert len(keys) == 5
