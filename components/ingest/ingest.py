"""Files of demonstrations become a dataset: read, align, identify, split, write. What cannot be used is named."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from components.core.errors import InputError, UsageError
from components.core.files import digest_json, replace_dir, write_json, write_text
from components.core.params import Ingest, Params, workers
from components.core.spec import Embodiment, embodiment
from components.core.workspace import Workspace
from components.dataset.layout import INFO
from components.dataset.writer import DatasetWriter
from components.formats.registry import recording_files, source_uri
from components.ingest.pool import Workers
from components.ingest.split import Candidate, assign
from components.ingest.work import Part, Quarantined, Source, Surveyed, Worker, crashed

QUARANTINE = "meta/gripline/quarantine.jsonl"
METRICS = "ingest.json"

Good = TypeVar("Good")


@dataclass(frozen=True)
class IngestReport:
    """`episodes_in` counts an unreadable file as one: it is `episodes_out` plus everything in `quarantined`."""

    episodes_in: int
    episodes_out: int
    frames: int
    quarantined: tuple[Quarantined, ...]
    dataset_digest: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "episodes_in": self.episodes_in,
            "episodes_out": self.episodes_out,
            "frames": self.frames,
            "quarantined": [entry.as_dict() for entry in self.quarantined],
            "dataset_digest": self.dataset_digest,
        }


def run(workspace: Workspace, params: Params) -> None:
    """data/raw -> data/dataset and data/ingest.json. Raises `InputError` where nothing can be used."""
    begun = time.monotonic()
    report = ingest([workspace.raw], workspace.dataset, params.ingest, embodiment(params.ingest.embodiment))
    write_json(workspace.data / METRICS, report.as_dict())
    workspace.journal.write(
        "ingest",
        dataset=report.dataset_digest,
        episodes=report.episodes_out,
        quarantined=len(report.quarantined),
        seconds=round(time.monotonic() - begun, 3),
    )


def ingest(
    sources: Sequence[Path], out: Path, params: Ingest, body: Embodiment, *, processes: int | None = None
) -> IngestReport:
    """Writes the dataset of all usable episodes below `sources` to `out`, which it replaces as a whole.

    `processes`: as many as the machine has cores where absent; 0 works in this one.

    The result depends on the files and the parameters only: neither on the order of the files nor on the number of
    processes. Raises `InputError` and leaves `out` as it was where there is no file or no usable episode.
    """
    files = find_sources(sources, out)
    _require_replaceable(out)
    worker = Worker(params, body)
    with Workers(workers() if processes is None else processes) as pool:
        recordings, unreadable = _sorted_out(pool.map(worker.open, files, crashed))
        parts = [Part(recording, part) for recording in recordings for part in recording.parts]
        surveyed, refused = _sorted_out(_progress(pool.map(worker.survey, parts, crashed), len(parts), "survey"))
        chosen, duplicates = drop_duplicates(surveyed)
        quarantined = sorted([*unreadable, *refused, *duplicates], key=lambda entry: (entry.source, entry.code))
        if not chosen:
            raise _nothing_usable(quarantined, sources)
        with replace_dir(out) as folder, DatasetWriter(folder, body, params.fps, params.video) as writer:
            frames = _write(writer, pool, worker, chosen)
            lines = [json.dumps(entry.as_dict(), sort_keys=True, ensure_ascii=False) for entry in quarantined]
            write_text(folder / QUARANTINE, "".join(f"{line}\n" for line in lines))
            digest = writer.close(
                inputs={"raw": digest_json({recording.uri: recording.sha256 for recording in recordings})},
                params=params.model_dump(mode="json"),
                counts={"episodes_in": len(chosen) + len(quarantined), "quarantined": len(quarantined)},
            )
    return IngestReport(len(chosen) + len(quarantined), len(chosen), frames, tuple(quarantined), digest)


def find_sources(sources: Sequence[Path], out: Path) -> list[Source]:
    """All files to read, sorted by name. Of several sources each file's name begins with that of its source."""
    found: dict[str, Source] = {}
    for source in sources:
        if not source.exists():
            raise InputError(
                "no such file or folder", where=str(source), hint="Record demonstrations or copy them there"
            )
        here, there = source.resolve(), out.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise UsageError(f"the dataset would lie inside {source}, or the other way round", where=str(out))
        for path in recording_files(source):
            uri = source_uri(path, source if source.is_dir() else source.parent)
            if len(sources) > 1 and source.is_dir():
                uri = f"{source.name}/{uri}"
            if uri in found:
                raise UsageError(f"{path} and {found[uri].path} would both be called {uri!r}")
            found[uri] = Source(path, uri)
    if not found:
        raise InputError(
            "no recording", where=", ".join(map(str, sources)), hint="Record demonstrations or copy them there"
        )
    return [found[uri] for uri in sorted(found)]


def _require_replaceable(out: Path) -> None:
    """Only a dataset is replaced; a folder named by mistake keeps what it holds."""
    if out.exists() and not (out.is_dir() and ((out / INFO).is_file() or not any(out.iterdir()))):
        raise UsageError("is there already and is no dataset", where=str(out), hint="Choose another folder")


def drop_duplicates(surveyed: Iterable[Surveyed]) -> tuple[list[Surveyed], list[Quarantined]]:
    """One episode per id, sorted by id: that of the first source by name; the others say whose double they are."""
    kept: dict[str, Surveyed] = {}
    dropped = []
    for episode in sorted(surveyed, key=lambda episode: episode.part.uri):
        first = kept.setdefault(episode.episode_id, episode)
        if first is not episode:
            detail = f"the same episode as {first.part.uri}"
            dropped.append(Quarantined(episode.part.uri, "duplicate_episode", detail))
    return [kept[name] for name in sorted(kept)], dropped


def _sorted_out(results: Iterable[Good | Quarantined]) -> tuple[list[Good], list[Quarantined]]:
    good: list[Good] = []
    bad: list[Quarantined] = []
    for result in results:
        if isinstance(result, Quarantined):
            bad.append(result)
        else:
            good.append(result)
    return good, bad


def _write(writer: DatasetWriter, pool: Workers, worker: Worker, chosen: Sequence[Surveyed]) -> int:
    """Adds the episodes in order; returns the number of frames."""
    params = worker.params
    candidates = [Candidate(one.episode_id, one.pixel_sha256, one.task, one.group) for one in chosen]
    sides = assign(candidates, val_share=params.val_share, seed=params.split_seed)
    frames, begun = 0, time.monotonic()
    bar = _progress(pool.map(worker.finish, [(one, sides[one.episode_id]) for one in chosen]), len(chosen), "write")
    for episode, encoded in bar:
        writer.add(episode, encoded)
        frames += len(episode)
        bar.set_postfix({"frames/s": round(frames / (time.monotonic() - begun))}, refresh=False)
    return frames


def _progress(results: Iterator[Any], total: int, what: str) -> Any:
    return tqdm(results, total=total, desc=what, unit=" episodes", disable=None)


def _nothing_usable(quarantined: Sequence[Quarantined], sources: Sequence[Path]) -> InputError:
    counts = Counter(entry.code for entry in quarantined)
    listed = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
    first = quarantined[0]
    return InputError(
        f"no usable episode ({listed}); the first: {first.source}: {first.detail}",
        where=", ".join(map(str, sources)),
        hint="`gripline inspect` lists what is wrong with each file",
    )
