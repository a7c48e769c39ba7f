"""Puts faults into clean episodes, makes datasets of them, and asks the checks: what every process of the run does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from checkbench.api import judged, measured
from checkbench.faults import FAULTS
from checkbench.plan import Change, Facts, Trial, trials
from checkbench.setting import CLEAN, CLEAN_TABLE, Outcome, Result, Setting, Task
from components.core.episode import Episode
from components.core.errors import EpisodeError
from components.core.files import write_json
from components.dataset.extract import extract
from components.dataset.frames import EpisodeFrames
from components.dataset.prepare import prepare
from components.dataset.prepared import PreparedEpisode
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from components.formats.registry import read_part
from components.ingest.canonical import to_frames
from components.ingest.sources import find_all, keyed
from components.ingest.work import Opened, Worker


class Bench:
    """One process: the clean episodes as recorded, as ingested and as measured."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.clean = Dataset.open(setting.folder / CLEAN)
        self.table = pq.read_table(setting.folder / CLEAN_TABLE)
        rows = self.clean.episodes.to_dict("records")
        self.uris = [str(row["source_uri"]) for row in rows]
        self.facts = [Facts(*(str(row[name]) for name in Facts.__dataclass_fields__)) for row in rows]
        self._parts = _parts(setting)
        self._read: dict[int, Episode] = {}

    def episode(self, number: int) -> Episode:
        """As recorded, by its place in the clean dataset; its pictures are read when they are looked at."""
        if number not in self._read:
            opened, part = self._parts[self.uris[number]]
            self._read[number] = read_part(opened.recording, part)
        return self._read[number]

    def run(self, task: Task) -> Result:
        setting, result = self.setting, Result(task)
        planned = trials(task.code, task.strength, self.facts, setting.episodes, setting.seed)
        with result.timed("inject and encode"):
            changes = dict.fromkeys(change for trial in planned for change in trial.changes)
            made = {change: self._made(task, change) for change in changes}
        faulty = {change: one for change, one in made.items() if isinstance(one, PreparedEpisode)}
        table = self._measured(task, faulty, result) if faulty else self.table.slice(0, 0)
        with result.timed("judge"):
            for trial in planned:
                result.found += self._judged(task, trial, made, table)
        return result

    def _made(self, task: Task, change: Change) -> PreparedEpisode | str:
        """The faulty episode as ingest makes it, or the code with which ingest refuses it."""
        rng = np.random.default_rng([self.setting.seed, crc32(task.code.encode()), change.draw])
        clean, others = self.episode(change.source), [self.episode(number) for number in change.others]
        faulty = FAULTS[task.code](clean, task.strength, rng, others)
        try:
            return self._prepared(faulty, clean, change.source)
        except EpisodeError as error:
            return error.code or "refused"

    def _prepared(self, faulty: Episode, clean: Episode, number: int) -> PreparedEpisode:
        setting, body = self.setting, self.setting.body
        frames = self._frames(faulty)
        cameras = body.observation.cameras
        same = all(faulty.streams[name] is clean.streams[name] for name in cameras)
        # Where nothing changes what is seen at which tick, the video is that of the clean episode.
        is_known = same and np.array_equal(frames.time_s, self._frames(clean).time_s)
        made = prepare(
            replace(frames, images={}) if is_known else frames,
            setting.fps,
            setting.params.ingest.video,
            image_px=body.observation.image_px,
        )
        if not is_known:
            return made
        known = extract(self.clean, number)
        return replace(
            made,
            videos=known.videos,
            pixel_sha256=known.pixel_sha256,
            stats=known.stats | made.stats,
            sketches=known.sketches | made.sketches,
        )

    def _frames(self, episode: Episode) -> EpisodeFrames:
        most = self.setting.params.ingest.max_misalignment_ms
        return to_frames(episode, self.setting.body, fps=self.setting.fps, max_misalignment_ms=most)

    def _measured(self, task: Task, faulty: dict[Change, PreparedEpisode], result: Result) -> pa.Table:
        """Writes the faulty episodes as a dataset, and the truth beside it; measures the dataset."""
        setting, root = self.setting, self.setting.folder / task.name
        with result.timed("write"), DatasetWriter(root, setting.body, setting.fps, setting.params.ingest.video) as out:
            # Two changes may come to the same: the same words for the same episode in two trials.
            for episode in {one.episode_id: one for one in faulty.values()}.values():
                out.add(episode)
            out.close({one.episode_id: self._split(task, change) for change, one in faulty.items()})
        truth = [
            {"episode_id": one.episode_id, "of": self.uris[change.source], "fault": task.code, "strength": task.name}
            for change, one in faulty.items()
        ]
        write_json(root.with_suffix(".json"), truth)
        with result.timed("measure"):
            table = measured(root, setting.params.checks)
        if not setting.keep:
            shutil.rmtree(root)
        return table

    def _split(self, task: Task, change: Change) -> str:
        split = self.facts[change.source].split
        return {"train": "val", "val": "train"}[split] if task.code == "split_leak" else split

    def _judged(
        self, task: Task, trial: Trial, made: dict[Change, PreparedEpisode | str], table: pa.Table
    ) -> list[Outcome]:
        ids = {c: one.episode_id for c in trial.changes if isinstance(one := made[c], PreparedEpisode)}
        whole = pa.concat_tables(
            [
                _rows(self.table, [self.clean.episode_id(number) for number in trial.rows]),
                _rows(table, list(ids.values())),
            ],
            promote_options="default",
        )
        checks = self.setting.params.checks
        verdict = judged(whole, self.setting.body, self.setting.fps, checks, with_limits=bool(trial.task))
        if trial.task:
            found = _task_codes(trial.task, whole, verdict.codes, verdict.limits)
            return [Outcome(trial.task, found, any(one in verdict.quarantined for one in ids.values()))]
        return [
            Outcome(self.uris[change.source], (refused,), True, refused)
            if isinstance(refused := made[change], str)
            else Outcome(
                self.uris[change.source], tuple(sorted(verdict.codes[ids[change]])), ids[change] in verdict.quarantined
            )
            for change in trial.changes
        ]


@contextmanager
def bench(setting: Setting) -> Iterator[Bench]:
    """For `core.spread.spread`: one process does one thing at a time."""
    os.environ["GRIPLINE_WORKERS"] = "1"
    yield Bench(setting)


def _parts(setting: Setting) -> dict[str, tuple[Opened, str]]:
    """Name of each episode's source -> where it is read from, as ingest does it."""
    found, _ = find_all([setting.recordings], setting.folder / CLEAN)
    worker, parts = Worker(setting.params.ingest, setting.body), {}
    for source in keyed(found, (), None, cache=None, threads=1):
        opened = worker.open(source)
        if isinstance(opened, Opened):
            parts |= {opened.recording.uri_of(part): (opened, part) for part in opened.recording.parts}
    return parts


def _rows(table: pa.Table, ids: Sequence[str]) -> pa.Table:
    return table.filter(pc.is_in(table["episode_id"], value_set=pa.array(ids, pa.string())))


def _task_codes(
    task: str, table: pa.Table, codes: dict[str, frozenset[str]], limits: frozenset[str]
) -> tuple[str, ...]:
    """Codes that any episode of a task carries, and those of limits that name the task."""
    own = table.filter(pc.equal(table["task"], task))["episode_id"].to_pylist()
    carried: set[Any] = set().union(*(codes[one] for one in own))
    return tuple(sorted(carried | {name.removesuffix(f":{task}") for name in limits if name.endswith(f":{task}")}))
