"""What was measured before is not measured again, and says the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.checks import remembered
from components.checks.table import Reducer, measure_dataset
from components.core.params import Checks, Video, load_params
from components.dataset.reader import Dataset
from components.dataset.resume import resume

Measure = Callable[..., tuple[pa.Table, list[str]]]


@pytest.fixture(scope="module")
def video(project: Path) -> Video:
    return load_params(project / "params.yaml").ingest.video


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, episodes: ModuleType, video: Video) -> Path:
    root = tmp_path_factory.mktemp("remembered") / "dataset"
    episodes.write_dataset(root, [episodes.good(seed, length=20) for seed in range(4)], video)
    return root


@pytest.fixture
def dataset(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "dataset"))


@pytest.fixture
def measure(dataset: Path, params: Checks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """`measure(**changes of params)`: the table, and ids of the episodes that were read for it."""
    whole = Reducer.row

    def of(**changes: float) -> tuple[pa.Table, list[str]]:
        read: list[str] = []

        def counted(self: Reducer, index: int) -> dict[str, object]:
            read.append(self._dataset.episode_id(index))
            return whole(self, index)

        monkeypatch.setattr(Reducer, "row", counted)
        table = measure_dataset(dataset, params.model_copy(update=changes), remembered=tmp_path / "state/measures")
        monkeypatch.setattr(Reducer, "row", whole)
        fresh = measure_dataset(dataset, params.model_copy(update=changes))
        assert table.equals(fresh)
        assert written_as(table, tmp_path) == written_as(fresh, tmp_path)
        return table, read

    return of


def written_as(table: pa.Table, folder: Path) -> bytes:
    """The bytes of a file of it: they are an output."""
    path = folder / "written.parquet"
    pq.write_table(table, path)
    return path.read_bytes()


def append(dataset: Path, episodes: ModuleType, video: Video, *seeds: int) -> set[str]:
    samples = [episodes.good(seed, length=20) for seed in seeds]
    with resume(dataset, video) as writer:
        for sample in samples:
            writer.add_frames(episodes._episode_frames(sample))
        writer.close()
    return {sample.row["episode_id"] for sample in samples}


def test_a_second_run_reads_nothing(measure: Measure, tmp_path: Path) -> None:
    first, read = measure()
    assert len(read) == 4
    again, read = measure()
    assert read == []
    assert again.equals(first)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["measures"]


def test_only_what_was_appended_is_read(measure: Measure, dataset: Path, episodes: ModuleType, video: Video) -> None:
    measure()
    added = append(dataset, episodes, video, 9, 8)
    assert set(measure()[1]) == added
    assert measure()[1] == []


def test_a_file_that_was_replaced_is_read_anew(measure: Measure, dataset: Path) -> None:
    measure()
    path = next(dataset.glob("videos/*/*/*.mp4"))
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    assert len(measure()[1]) == 4


def test_other_settings_and_other_code_are_measured_anew(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    measure()
    assert len(measure(black_level=20.0)[1]) == 4
    # What does not decide a row does not matter.
    assert measure(black_level=20.0, blur_max=3.0)[1] == []
    monkeypatch.setattr(remembered, "code_digest", lambda: "changed")
    assert len(measure(black_level=20.0)[1]) == 4


@pytest.mark.parametrize("damage", [b"", b"PAR1 is not all", None])
def test_a_damaged_memory_is_none(measure: Measure, tmp_path: Path, damage: bytes | None) -> None:
    measure()
    path = tmp_path / "state/measures"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    assert len(measure()[1]) == 4
    assert measure()[1] == []


def test_somebody_elses_table_is_no_memory(measure: Measure, tmp_path: Path) -> None:
    path = tmp_path / "state/measures"
    path.parent.mkdir()
    pq.write_table(pa.table({"key": ["a"]}), path)
    assert len(measure()[1]) == 4


def test_what_left_the_dataset_is_forgotten(measure: Measure, tmp_path: Path) -> None:
    measure()
    path = tmp_path / "state/measures"
    known = pq.read_table(path)
    gone = known.slice(0, 1).set_column(known.column_names.index("key"), "key", pa.array(["of a deleted episode"]))
    remembered.remember(path, pa.concat_tables([known, gone]), known.schema.metadata[b"gripline.settings"].decode())
    assert measure()[1] == []
    assert "of a deleted episode" not in pq.read_table(path)["key"].to_pylist()


def test_keys_tell_episodes_apart(dataset: Path) -> None:
    keys = remembered.keys_of(Dataset.open(dataset)).to_pylist()
    assert len(set(keys)) == 4
    assert all(key.count(" ") == 5 for key in keys)
    assert not any("absent" in key for key in keys)


def test_the_digest_of_the_code_covers_every_file_that_measures() -> None:
    folder = Path(remembered.__file__).parent
    root = folder.parent
    named = [folder / "channels.py", folder / "reduce.py", root / "dataset/luma.py", *folder.glob("measure/*.py")]
    assert all(path.is_file() for path in named)
    assert len(remembered.code_digest()) == 64
