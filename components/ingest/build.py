"""A dataset under way: adds episodes, commits now and then, and writes down what became of every source."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import DatasetError
from components.core.files import digest_json
from components.core.params import Ingest
from components.core.spec import Embodiment
from components.dataset.commit import tree_files
from components.dataset.deleted import OWN_DELETED, OWN_QUARANTINE, deleted_lines
from components.dataset.extract import extract
from components.dataset.prepared import PreparedEpisode
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.splits import Candidate, group_of
from components.dataset.writer import DatasetWriter
from components.ingest.ledger import Entry, Ledger
from components.ingest.settings import CODE, dataset_fps
from components.ingest.split import assign
from components.ingest.stamps import built_by
from components.ingest.swap import swap

# The first commit comes early, so that a long run soon leaves something; each later one doubles the dataset, which
# keeps the number of its files small.
_FIRST_COMMIT = 16
_MAX_UNCOMMITTED_BYTES = 1 << 30


@dataclass(frozen=True)
class Job:
    """What a dataset is built with. `settings`: see `settings.build_settings`; `inputs`: digests of what was given.

    `cache`: folder outside of the dataset that remembers which code built it, see `stamps`; `deleted`: see
    `dataset.deleted`, such episodes are not taken in again.
    """

    params: Ingest
    body: Embodiment
    settings: dict[str, Any]
    inputs: dict[str, str]
    cache: Path | None = None
    deleted: Mapping[str, str] = field(default_factory=dict)

    @property
    def fps(self) -> int:
        return dataset_fps(self.params, self.body)

    @property
    def digest(self) -> str:
        return digest_json(self.settings)

    def candidate(self, row: Mapping[str, Any]) -> Candidate:
        """From a row of episodes.parquet, or from as much of it as there is yet."""
        group = group_of(row, self.params.split_by)
        return Candidate(row["episode_id"], row["pixel_sha256"], row["task"], group, row["frames_sha256"])


class Build:
    """Adds to the dataset in a folder; `uncommitted` counts the episodes that a kill would take."""

    def __init__(self, job: Job, writer: DatasetWriter, ledger: Ledger, candidates: list[Candidate]) -> None:
        self._job = job
        self._writer = writer
        self._ledger = ledger
        self._candidates = candidates
        self.uncommitted = 0
        self._uncommitted_bytes = 0
        self.digest = ""

    @property
    def frames(self) -> int:
        return self._writer.totals.frames

    @property
    def is_due(self) -> bool:
        """Whether enough has come together for a commit."""
        committed = len(self._candidates) - self.uncommitted
        many = self.uncommitted >= max(_FIRST_COMMIT, committed)
        return many or self._uncommitted_bytes >= _MAX_UNCOMMITTED_BYTES

    def add(self, episode: PreparedEpisode) -> None:
        self._writer.add(episode)
        self._candidates.append(self._job.candidate({**episode.row, **_head(episode)}))
        self.uncommitted += 1
        self._uncommitted_bytes += sum(map(len, [*episode.videos.values(), *episode.depth.values()]))

    def commit(self, *, whole: bool = False) -> None:
        """All that was added, and the ledger as it is now; `whole`: nothing is left to be done."""
        params, entries = self._job.params, self._ledger.quarantined()
        lines = [json.dumps(asdict(entry), sort_keys=True, ensure_ascii=False) for entry in entries]
        self._writer.put(OWN_QUARANTINE, "".join(f"{line}\n" for line in lines).encode())
        if self._job.deleted:
            self._writer.put(OWN_DELETED, deleted_lines(self._job.deleted))
        self.digest = self._writer.commit(
            assign(self._candidates, val_share=params.val_share, seed=params.split_seed),
            sources=self._ledger.rows(),
            inputs=self._job.inputs,
            params=record_params(self._job, whole=whole),
            counts={"episodes_in": len(self._candidates) + len(entries), "quarantined": len(entries)},
        )
        self.uncommitted, self._uncommitted_bytes = 0, 0


def record_params(job: Job, *, whole: bool) -> dict[str, Any]:
    """`params` of the dataset's record: what the next run compares itself with."""
    forgotten = {CODE} if whole and job.cache else set()
    settings = {name: value for name, value in job.settings.items() if name not in forgotten}
    return {**job.params.model_dump(mode="json"), "fps": job.fps, "settings": settings}


def is_continued(job: Job, dataset: Dataset) -> bool:
    """Whether a dataset was built, or is being built, as the job says: by the same settings and the same code."""
    settings = dataset.record.params.get("settings")
    if settings == job.settings:
        return True
    if not job.cache or settings != record_params(job, whole=True)["settings"]:
        return False
    return built_by(job.cache, dataset.root) == job.settings[CODE]


@contextmanager
def building(job: Job, root: Path, ledger: Ledger, dataset: Dataset | None = None) -> Iterator[Build]:
    """Continues `dataset`, which lies in `root`, or begins one there; what is not committed at the end is dropped."""
    if dataset is None:
        writer, candidates = DatasetWriter(root, job.body, job.fps, job.params.video), []
    else:
        writer = resume(root, job.params.video)
        rows = dataset.episodes.to_dict("records")
        candidates = [job.candidate({str(name): value for name, value in row.items()}) for row in rows]
    with writer:
        yield Build(job, writer, ledger, candidates)


def open_dataset(root: Path) -> Dataset | None:
    """The dataset in a folder, or None where there is none, or one that does not open."""
    try:
        return Dataset.open(root)
    except DatasetError:
        return None


def is_vacant(root: Path) -> bool:
    """Whether a folder is absent, empty, or holds nothing but what a killed first build left."""
    if not root.exists():
        return True
    return root.is_dir() and not any(tree_files(root))


def rebuild(
    job: Job,
    root: Path,
    ledger: Ledger,
    fresh: Callable[[Entry], PreparedEpisode | None] = lambda _: None,
    *,
    whole: bool,
) -> None:
    """Another dataset in the place of that in `root`, of the episodes of the ledger in its order; nothing is decoded.

    `fresh`: an episode that is not to be taken from `root`, or None for one that is; `whole`: see `Build.commit`.
    """
    old = Dataset.open(root)
    index = dict(zip(old.episodes["episode_id"], old.indices.tolist(), strict=True))
    other = scratch(root)
    shutil.rmtree(other, ignore_errors=True)
    with building(job, other, ledger) as build:
        for entry in ledger.episodes:
            build.add(fresh(entry) or extract(old, index[entry.episode_id]))
        build.commit(whole=whole)
    swap(other, root)


def scratch(root: Path) -> Path:
    """Where `rebuild` works."""
    return hidden(root, "rebuilding")


def hidden(root: Path, name: str) -> Path:
    """A folder beside `root` that belongs to it."""
    return root.with_name(f".{root.name.lstrip('.')}.{name}")


def _head(episode: PreparedEpisode) -> dict[str, str]:
    names = ("episode_id", "pixel_sha256", "frames_sha256", "task")
    return {name: getattr(episode, name) for name in names}
