"""Writes recordings: the default one of the pipeline, complete after any kill, and single ones on demand."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from components.core.errors import UsageError
from components.core.files import write_bytes
from components.core.params import Raw, workers
from components.core.spread import spread
from components.record.demonstrate import Studio
from components.record.faults import truncate
from components.record.hdf5_writer import hdf5_bytes
from components.record.mcap_writer import mcap_bytes
from components.record.plan import FORMATS, TRUNCATED, FilePlan, Format, plan_episodes

log = logging.getLogger(__name__)

# Unless told otherwise, single recordings show other scenes than the default one.
_OWN_SEEDS = 1000


def record_task(
    task_name: str, n: int, out: Path, fmt: Format = "mcap", *, raw: Raw, seed: int | None = None
) -> list[Path]:
    """Records `n` demonstrations of one task into the folder `out`; returns the files, sorted.

    MCAP: one file an episode. HDF5: one file for all of them. Files that are there are kept: numbers go on behind the
    highest one, with new scenes. `seed`: another recording; by default a fixed one beside that of the pipeline.
    """
    if fmt not in FORMATS:
        raise UsageError(f"no format {fmt!r}", hint=f"Known: {', '.join(FORMATS)}")
    if n < 1:
        raise UsageError(f"n must be at least 1, found {n}")
    only = raw.model_copy(update={"seed": raw.seed + _OWN_SEEDS if seed is None else seed})
    episodes = plan_episodes(only, task_name, n, first=_next_number(out, task_name))
    if fmt == "hdf5":
        files = [FilePlan(f"{task_name}-{episodes[0].index:04d}.hdf5", fmt, tuple(episodes))]
    else:
        files = [FilePlan(f"{task_name}-{episode.index:04d}.mcap", fmt, (episode,)) for episode in episodes]
    record_files(files, out, only)
    return sorted(out / file.path for file in files)


def record_files(files: Sequence[FilePlan], out: Path, raw: Raw) -> None:
    """Records every file of the plan that is not there yet; each appears whole or not at all."""
    from tqdm import tqdm

    _remove_partial(files, out)
    missing = [file for file in files if not (out / file.path).exists()]
    # Long files first, so that no process is left alone with one at the end.
    missing.sort(key=lambda file: (-len(file.episodes), file.path))
    with tqdm(total=sum(len(f.episodes) for f in missing), unit="episode", desc="record", disable=None) as progress:
        processes = min(workers(), len(missing))
        for count in spread(
            partial(_record, out, raw), missing, Studio, processes=processes, name="a recording process"
        ):
            progress.update(count)


def record_file(file: FilePlan, out: Path, raw: Raw, studio: Studio) -> int:
    """Records one file; returns how many episodes it holds."""
    episodes = [studio.demonstrate(plan, file.format, raw) for plan in file.episodes]
    data = hdf5_bytes(episodes) if file.format == "hdf5" else mcap_bytes(episodes[0])
    if file.episodes[0].fault == TRUNCATED:
        data = truncate(data)
    _write(out / file.path, data)
    return len(episodes)


def _record(out: Path, raw: Raw, studio: Studio, file: FilePlan) -> int:
    return record_file(file, out, raw, studio)


def _write(path: Path, data: bytes) -> None:
    try:
        write_bytes(path, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _remove_partial(files: Sequence[FilePlan], out: Path) -> None:
    """Deletes what a killed `write_bytes` left beside the files of the plan."""
    for file in files:
        target = out / file.path
        for stale in target.parent.glob(f".{target.name}.*"):
            log.info("removing the unfinished %s", stale)
            stale.unlink()


def _next_number(out: Path, task_name: str) -> int:
    """Behind the last episode of `task_name` in `out`."""
    last = -1
    for path in out.glob(f"{task_name}-*"):
        match = re.fullmatch(rf"{re.escape(task_name)}-(\d+)\.(mcap|hdf5)", path.name)
        if match:
            last = max(last, int(match[1]) + _episodes_in(path) - 1)
    return last + 1


def _episodes_in(path: Path) -> int:
    if path.suffix != ".hdf5":
        return 1
    import h5py

    with h5py.File(path, "r") as file:
        return len(file["data"])
