"""Which reader a source belongs to, and the way into it: `find_sources`, `open_recording`, `read_part`, `read`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from components.core.episode import Episode
from components.core.errors import FormatError, UsageError
from components.core.files import digest_json, sha256_file, tree_manifest
from components.formats.cut_lists import CutList
from components.formats.cut_places import cuts_for
from components.formats.cuts import Cut, apply_words, take_cut
from components.formats.discover import find
from components.formats.mapping import Mapping, given_mapping
from components.formats.source import Field, Found, Opened, Problem, Reader, Recording

FORMATS = ("hdf5", "lerobot", "mcap", "rlds")


def reader(format_: str) -> Reader:
    """The module that reads a format; loaded when it is first needed."""
    return cast(Reader, import_module(f"components.formats.{format_}.reader"))


def find_sources(path: Path, *, prefix: str = "") -> tuple[list[Found], list[FormatError]]:
    """Every readable source at or below `path`, which may be a pattern; apart from it, what cannot be read."""
    found = list(find(path, uri=prefix))
    return [one for one in found if isinstance(one, Found)], [one for one in found if isinstance(one, FormatError)]


def content_sha256(path: Path) -> str:
    """Of a file's bytes; of a folder's files and their names."""
    return sha256_file(path) if path.is_file() else digest_json(tree_manifest(path))


def open_recording(
    found: Found, mappings: Sequence[Mapping] = (), *, sha256: str = "", cuts: CutList | None = None
) -> Recording:
    """Hashes a source (unless `sha256` is known) and lists its parts without reading them. Raises `FormatError`.

    `mappings`: a team's own; the first that speaks for the source rules, else a built-in one or a guess. `cuts`: a list
    that says which spans are episodes; else one beside the source, else what the mapping's `episode` rule finds.
    """
    opened = _opened(found, given_mapping(mappings, found.uri, found.format))
    listed = _cuts_listed(found, cuts) or opened.cuts
    parts, used, unknown = cut_parts(opened.parts, listed)
    problems = [*opened.problems]
    problems += [
        Problem("missing_part", found.uri, f"a cut names part {part!r}, which is not there") for part in unknown
    ]
    return Recording(
        path=found.path,
        uri=found.uri,
        format=found.format,
        dialect=opened.dialect,
        sha256=sha256 or content_sha256(found.path),
        parts=parts,
        mapping=opened.mapping,
        problems=tuple(problems),
        cuts=used,
    )


def _opened(found: Found, given: Mapping | None) -> Opened:
    module = reader(found.format)
    if given is not None and not given.streams:
        given = given.over(module.open_source(found.path, None, where=found.uri).mapping)
    return module.open_source(found.path, given, where=found.uri)


def _cuts_listed(found: Found, cuts: CutList | None) -> tuple[Cut, ...]:
    """Those of `cuts`, else of a list beside the source; one beside it that is damaged is an error of this source."""
    origin_ns = getattr(reader(found.format), "origin_ns", None)
    origin = None if origin_ns is None else partial(origin_ns, found.path, where=found.uri)
    try:
        return cuts_for(found.path, found.uri, cuts, origin_ns=origin)
    except UsageError as error:
        said = f"its cut list {error.where} cannot be used: {error.message}"
        raise FormatError(said, where=found.uri, hint=error.hint, code="bad_cuts") from error


def cut_parts(parts: tuple[str, ...], cuts: Sequence[Cut]) -> tuple[tuple[str, ...], tuple[Cut, ...], list[str]]:
    """Names of the episodes once parts are cut, the cuts that make them, and the parts that cuts name in vain.

    A part that no cut names stays whole; a cut without a part is for the only one.
    """
    only = parts[0] if len(parts) == 1 else ""
    placed = [cut if cut.part in parts else replace(cut, part=only) if not cut.part else cut for cut in cuts]
    names: list[str] = []
    for part in parts:
        own = [cut for cut in placed if cut.part == part]
        names += [cut.name for cut in own if cut.keep] if own else [part]
    unknown = sorted({cut.part for cut in placed} - set(parts))
    return tuple(names), tuple(cut for cut in placed if cut.keep and cut.part in parts), unknown


def read_part(recording: Recording, part: str) -> Episode:
    """One episode. Raises `FormatError` or `EpisodeError`; the other parts can still be read."""
    module = reader(recording.format)
    cut = cut_of(recording, part)
    if cut is None:
        return module.read_part(recording, part)
    read_range = getattr(module, "read_range", None)
    if read_range is not None:
        episode = apply_words(read_range(recording, cut.part, cut.start_ns, cut.end_ns), cut)
    else:
        episode = take_cut(module.read_part(recording, cut.part), cut)
    return episode.with_provenance(source_uri=recording.uri_of(part))


def cut_of(recording: Recording, part: str) -> Cut | None:
    return next((cut for cut in recording.cuts if cut.name == part), None)


def fields(recording: Recording, part: str) -> list[Field]:
    """What a part holds, whether anybody reads it or not; of a cut, what its whole part does. Raises `FormatError`."""
    cut = cut_of(recording, part)
    whole = part if cut is None else cut.part
    opened = reader(recording.format)
    return opened.fields(recording.path, whole, recording.mapping, where=recording.uri_of(whole))


def read(path: Path, mappings: Sequence[Mapping] = ()) -> Iterator[Episode]:
    """Every readable episode at or below `path`; then, if anything was broken, raises the first error."""
    sources, broken = find_sources(path)
    for found in sources:
        try:
            recording = open_recording(found, mappings)
        except FormatError as error:
            broken.append(error)
            continue
        for part in recording.parts:
            try:
                episode = read_part(recording, part)
            except FormatError as error:
                broken.append(error)
                continue
            yield episode
    if broken:
        raise broken[0]
