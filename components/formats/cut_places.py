"""Which cuts a source has: those of the list that was given, or of what lies beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from components.core.errors import UsageError
from components.core.files import sha256_file
from components.formats.annotations import read_annotations
from components.formats.cut_lists import CutList, cuts_digest, read_cut_list, require_apart
from components.formats.cut_rows import SourceCut
from components.formats.spans import Cut

_SIDECARS = (".cuts.csv", ".cuts.json")
_EVENTS = ".events.json"
_FOLDER_LISTS = ("cuts.csv", "cuts.json")


def cuts_for(
    path: Path, uri: str, given: CutList | None, *, origin_ns: Callable[[], int] | None = None
) -> tuple[Cut, ...]:
    """Cuts of a source: those of `given` if it names it, else of a list beside it, else (). Raises `UsageError`.

    Beside `a.mcap` may lie `a.mcap.cuts.csv`, `a.cuts.csv` or, for all files of the folder, `cuts.csv` (or `.json`), in
    this order; then `a.mcap.events.json` or `a.events.json`, see `annotations`. `origin_ns`: asked for the Unix time of
    the first message, where events are in the time of day.
    """
    listed = _listed(path, uri, given)
    if listed is not None:
        return listed
    events = _events_of(path)
    return _apart(read_annotations(events, origin_ns=origin_ns), events) if events else ()


def told_digest(path: Path, uri: str, given: CutList | None) -> str:
    """Another whenever `cuts_for` may give something else, without opening the recording; "" where nobody cut it.

    Raises `UsageError` as `cuts_for` does, but for events, of which it takes the bytes.
    """
    listed = _listed(path, uri, given)
    if listed is not None:
        return cuts_digest(listed)
    events = _events_of(path)
    return sha256_file(events) if events else ""


def _listed(path: Path, uri: str, given: CutList | None) -> tuple[Cut, ...] | None:
    """Cuts of the nearest list that names the source, None where none does."""
    named = given.of(path, uri) if given is not None else ()
    if named:
        return named
    for sidecar in (path.with_name(stem + suffix) for stem in _stems(path) for suffix in _SIDECARS):
        if sidecar.is_file():
            return _own(read_cut_list(sidecar), path, uri, sidecar)
    for listed in (path.with_name(name) for name in _FOLDER_LISTS):
        if listed.is_file():
            named = _named(read_cut_list(listed), listed).of(path, uri)
            if named:
                return named
    return None


def _events_of(path: Path) -> Path | None:
    beside = (path.with_name(stem + _EVENTS) for stem in _stems(path))
    return next((events for events in beside if events.is_file()), None)


def _stems(path: Path) -> tuple[str, ...]:
    return tuple(dict.fromkeys((path.name, path.stem)))


def _own(found: CutList, path: Path, uri: str, sidecar: Path) -> tuple[Cut, ...]:
    foreign = sorted({entry.source for entry in found.entries} - {"", uri, path.name})
    if foreign:
        raise UsageError(
            f"source is {foreign[0]!r}, but the list lies beside {path.name}",
            where=sidecar.name,
            hint=f"Leave the column empty, or call the list {_FOLDER_LISTS[0]}",
        )
    cuts = tuple(entry.cut for entry in found.entries)
    require_apart([(sidecar.name, SourceCut("", cut)) for cut in cuts])
    return cuts


def _named(found: CutList, listed: Path) -> CutList:
    if any(not entry.source for entry in found.entries):
        raise UsageError("source is empty, expected the name of a file", where=listed.name)
    return found


def _apart(cuts: tuple[Cut, ...], events: Path) -> tuple[Cut, ...]:
    require_apart([(f"{events.name}: {cut.name}", SourceCut("", cut)) for cut in cuts])
    return tuple(sorted(cuts, key=lambda cut: (cut.start_ns, cut.end_ns)))
