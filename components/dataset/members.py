"""The datasets behind a manifest: opened where they lie, or stood in for by what the manifest copied of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import DatasetError
from components.core.files import read_json
from components.core.records import read_record
from components.core.spec import embodiment_from_dict
from components.dataset import layout
from components.dataset.columns import stats_from_json
from components.dataset.identity import IDENTITY_COLUMNS
from components.dataset.manifest import AT_VARIABLE, Manifest, Member, place_of, uri_of
from components.dataset.opening import read_as_opened
from components.dataset.reader import Dataset
from components.dataset.resplit import Resplit
from components.dataset.splits import HELD_OUT
from components.dataset.stats import FeatureStats, RunningStats
from components.dataset.totals import stats_of_totals


def open_member(manifest: Manifest, member: Member, at: Mapping[str, Path]) -> Dataset:
    """The dataset where it lies, or an `Elsewhere`.

    A dataset that grew still serves: what was chosen stays chosen. Raises `DatasetError` where a chosen episode is
    gone, has changed, or is on another side of the split.
    """
    path = place_of(manifest, member, at)
    if path is None:
        return Elsewhere(manifest, member)
    dataset = Resplit.open_with(path, _held_out(manifest, member)) if member.resplit else Dataset.open(path)
    if dataset.digest != member.digest:
        _require_chosen(manifest, member, dataset, path)
    return dataset


def _require_chosen(manifest: Manifest, member: Member, dataset: Dataset, path: Path) -> None:
    """Raises `DatasetError` unless each chosen episode is there as it was."""
    chosen = copied_table(manifest, member, IDENTITY_COLUMNS)
    found = dataset.table(IDENTITY_COLUMNS)
    at = pc.index_in(chosen["episode_id"], value_set=found["episode_id"].combine_chunks())
    same = pc.is_valid(at)
    for name in IDENTITY_COLUMNS[1:]:
        same = pc.and_(same, pc.fill_null(pc.equal(chosen[name], found[name].combine_chunks().take(at)), False))
    left = chosen.num_rows - (pc.sum(same).as_py() or 0)
    kept = read_record((manifest.folder(member) / layout.OWN_RECORD).parent, kind="dataset").attrs
    built = [dataset.embodiment.digest, *(dataset.record.attrs[name] for name in ("fps", "video"))]
    if left or built != [member.embodiment_digest, *(kept[name] for name in ("fps", "video"))]:
        what = f"{left} of the {chosen.num_rows} chosen episodes" if left else "embodiment, rate or video settings"
        raise DatasetError(
            f"the member {member.name!r} has changed since: {what}",
            where=str(path),
            hint=f"Make the manifest again, or give the unchanged dataset with --at {member.name}=PATH",
        )


def chosen_numbers(manifest: Manifest, member: Member, dataset: Dataset) -> npt.NDArray[np.int64] | None:
    """Episode numbers of the chosen episodes in `dataset`, or None for all of them.

    By their ids: another tree of the same digest may number them differently.
    """
    if isinstance(dataset, Elsewhere) or (member.whole and dataset.digest == member.digest):
        return None
    ids = copied_table(manifest, member, ["episode_id"])["episode_id"]
    table = dataset.table(["episode_index", "episode_id"])
    there = pc.is_in(table["episode_id"], value_set=ids.combine_chunks())
    numbers: npt.NDArray[np.int64] = table["episode_index"].filter(there).to_numpy()
    return numbers


def is_resplit(dataset: Dataset) -> bool:
    """Whether a manifest holds out episodes that the dataset itself does not."""
    return dataset.is_resplit if isinstance(dataset, Elsewhere) else isinstance(dataset, Resplit)


def _held_out(manifest: Manifest, member: Member) -> pa.Array:
    rows = copied_table(manifest, member, ["episode_id", "split"])
    return rows.filter(pc.equal(rows["split"], HELD_OUT))["episode_id"].combine_chunks()


def copied_table(manifest: Manifest, member: Member, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of the copied index: one row for each episode that the manifest takes of a member."""
    path = manifest.folder(member) / layout.OWN_EPISODES
    return pq.read_table(path, columns=None if columns is None else list(columns))


class Elsewhere(Dataset):
    """A member that is not on this machine: its chosen episodes can be selected and counted, and not be read."""

    def __init__(self, manifest: Manifest, member: Member) -> None:
        self._manifest = manifest
        self._member = member
        folder = manifest.folder(member)
        self.root = Path(member.name)
        self.info = read_json(folder / layout.INFO)
        self.record = read_record((folder / layout.OWN_RECORD).parent, kind="dataset")
        self.embodiment = embodiment_from_dict(read_json(folder / layout.OWN_EMBODIMENT))

    @property
    def copied(self) -> Path:
        """Folder of what the manifest copied."""
        return self._manifest.folder(self._member)

    @property
    def is_whole(self) -> bool:
        """Whether all episodes of the dataset are here by name."""
        return self._member.whole

    @property
    def is_resplit(self) -> bool:
        return self._member.resplit

    def uri_from(self, manifest: Path) -> str:
        """How another manifest names the dataset."""
        uri = self._member.uri
        is_relative = not urlsplit(uri).scheme and not Path(uri).is_absolute()
        return uri_of(self._manifest.root / uri, manifest) if is_relative else uri

    def __len__(self) -> int:
        return self._member.episodes

    @property
    def indices(self) -> npt.NDArray[np.int64]:
        numbers: npt.NDArray[np.int64] = self.table(["episode_index"])["episode_index"].to_numpy()
        return numbers

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        lengths: npt.NDArray[np.int64] = self.table(["length"])["length"].to_numpy()
        return lengths

    def table(self, columns: Sequence[str]) -> pa.Table:
        return copied_table(self._manifest, self._member, columns)

    @cached_property
    def episodes(self) -> pd.DataFrame:
        return copied_table(self._manifest, self._member).to_pandas()

    @cached_property
    def stats(self) -> dict[str, FeatureStats]:
        if not self._member.whole:
            self._refuse()
        return stats_from_json(self._as_made(layout.STATS))

    def running(self) -> dict[str, RunningStats]:
        if not self._member.whole:
            self._refuse()
        return stats_of_totals(self._as_made(layout.OWN_TOTALS))

    def stats_of(self, episode_indices: Iterable[int]) -> dict[str, FeatureStats]:
        if set(np.asarray(list(episode_indices)).tolist()) != set(self.indices.tolist()):
            self._refuse()
        return self.stats

    def row(self, episode_index: int) -> dict[str, Any]:
        table = copied_table(self._manifest, self._member)
        row: dict[str, Any] = table.slice(self._at(episode_index), 1).to_pylist()[0]
        return row

    def episode_id(self, episode_index: int) -> str:
        return str(self.table(["episode_id"])["episode_id"][self._at(episode_index)].as_py())

    def _at(self, episode_index: int) -> int:
        at = np.flatnonzero(self.indices == episode_index)
        if not len(at):
            raise DatasetError(f"no episode {episode_index}", where=self._member.name)
        return int(at[0])

    def _as_made(self, name: str) -> dict[str, Any]:
        root = self._manifest.root
        return read_as_opened(root, (self.copied / name).relative_to(root).as_posix(), self._manifest.files)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        member = self._member
        site = f" of site {', '.join(member.sites)}" if member.sites else ""
        raise DatasetError(
            f"the dataset {member.name!r}{site} is not on this machine, it lay at {member.uri}",
            where=str(self._manifest.root),
            hint=f"Say where it lies with --at {member.name}=PATH or {AT_VARIABLE}={member.name}=PATH",
        )

    frames = images = video_place = depth = depth_place = depth_cameras = _refuse
    streams_of = stats_of_episode = calibration = verify = _refuse
    # What a tree has beside its episodes.
    index = listed = places = sources = streams = property(_refuse)
