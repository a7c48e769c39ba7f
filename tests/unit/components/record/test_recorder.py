from __future__ import annotations

import errno
from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.core.files import tree_manifest
from components.core.params import Raw
from components.formats.registry import read
from components.record import recorder
from components.record.plan import plan_recording
from components.record.recorder import record_files, record_task

pytestmark = [pytest.mark.sim, pytest.mark.usefixtures("in_process")]


def test_recording_twice_into_one_folder_adds_new_episodes(raw: Raw, tmp_path: Path) -> None:
    first = record_task("faucet-close", 1, tmp_path, "mcap", raw=raw)
    second = record_task("faucet-close", 2, tmp_path, "hdf5", raw=raw)
    third = record_task("faucet-close", 1, tmp_path, "mcap", raw=raw)
    assert [path.name for path in first + second + third] == [
        "faucet-close-0000.mcap",
        "faucet-close-0001.hdf5",
        "faucet-close-0003.mcap",
    ]
    starts = [episode.provenance.recorded_at for path in sorted(tmp_path.iterdir()) for episode in read(path)]
    assert len(set(starts)) == 4


def test_a_file_that_is_there_is_not_recorded_again_and_leftovers_go(raw: Raw, tmp_path: Path) -> None:
    files = plan_recording(raw)
    record_files(files, tmp_path, raw)
    whole = tree_manifest(tmp_path)
    assert len(whole) == 2
    kept, lost = (tmp_path / file.path for file in files)
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    # What `write_bytes` leaves where it is killed.
    leftover = lost.with_name(f".{lost.name}.x7k2")
    leftover.write_bytes(b"half a file")
    record_files(files, tmp_path, raw)
    assert tree_manifest(tmp_path) == whole
    assert kept.stat().st_mtime_ns == stamp


def test_a_full_disk_names_the_file(raw: Raw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        # A write to an open descriptor fails without a file name.
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(recorder, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*faucet-open-0000\.mcap") as caught:
        record_task("faucet-open", 1, tmp_path, "mcap", raw=raw)
    assert caught.value.errno == errno.ENOSPC


def test_what_cannot_be_recorded_is_refused_at_once(raw: Raw, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no format 'rosbag'.* Known: mcap, hdf5"):
        record_task("faucet-open", 1, tmp_path, "rosbag", raw=raw)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="n must be at least 1, found 0"):
        record_task("faucet-open", 0, tmp_path, raw=raw)
    with pytest.raises(UsageError, match="Did you mean 'faucet-open'"):
        record_task("faucet-opne", 1, tmp_path, raw=raw)
    assert list(tmp_path.iterdir()) == []
