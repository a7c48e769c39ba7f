"""What there is to read: every source below the given paths, and the key by which the next run knows it again."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.core.errors import FormatError, InputError, UsageError
from components.core.files import digest_json
from components.formats.cut_lists import CutList
from components.formats.cut_places import told_digest
from components.formats.mapping import Mapping, given_mapping
from components.formats.registry import find_sources
from components.formats.source import Found
from components.ingest.hashes import content_digests
from components.ingest.report import Quarantined, quarantined

# Files beside a source, by its format, that say how it is to be read.
_SIDECARS = {"rlds": ("features.json", "dataset_info.json")}
_NOTHING = "Record demonstrations or copy them there"


@dataclass(frozen=True)
class Source:
    """`sha256`: of its bytes; `key`: of these and of all else that decides what is read from it."""

    found: Found
    sha256: str
    key: str

    @property
    def uri(self) -> str:
        return self.found.uri


def find_all(paths: Sequence[Path], out: Path) -> tuple[list[Found], list[Quarantined]]:
    """Every source, sorted by name, and what is there and cannot be read.

    Of several paths each source's name begins with that of its folder. Raises `InputError` where there is nothing, and
    `UsageError` where two would have one name or the dataset would lie inside a source.
    """
    found: dict[str, Found] = {}
    broken: list[FormatError] = []
    for path in paths:
        if not path.exists() and not glob.has_magic(str(path)):
            raise InputError("no such file or folder", where=str(path), hint=_NOTHING)
        here, there = path.resolve(), out.resolve()
        if here == there or here in there.parents or there in here.parents:
            raise UsageError(f"the dataset would lie inside {path}, or the other way round", where=str(out))
        prefix = path.name if len(paths) > 1 and path.is_dir() else ""
        good, bad = find_sources(path, prefix=prefix)
        for one in good:
            if one.uri in found:
                raise UsageError(f"{one.path} and {found[one.uri].path} would both be called {one.uri!r}")
            found[one.uri] = one
        broken += bad
    if not found and not broken:
        raise InputError("no recording", where=", ".join(map(str, paths)), hint=_NOTHING)
    return [found[uri] for uri in sorted(found)], [quarantined(error.where or "", error) for error in broken]


def keyed(
    found: Iterable[Found], mappings: Sequence[Mapping], cuts: CutList | None, *, cache: Path | None, threads: int
) -> list[Source]:
    """Hashes the sources; `mappings`, `cuts`: see `formats.registry.open_recording`; `cache`: see `hashes`."""
    every = list(found)
    beside = {one.uri: _sidecars(one) for one in every}
    paths = [*(one.path for one in every), *sorted({path for paths in beside.values() for path in paths})]
    known = dict(zip(paths, content_digests(paths, cache, threads=threads), strict=True))
    sources = []
    for one in every:
        mapping = given_mapping(mappings, one.uri, one.format)
        told = {
            "cuts": _told_cuts(one, cuts),
            "mapping": mapping.model_dump(mode="json", by_alias=True) if mapping else None,
            "sidecars": {path.name: known[path] for path in beside[one.uri]},
        }
        sha256 = known[one.path]
        sources.append(Source(one, sha256, digest_json([sha256, told]) if any(told.values()) else sha256))
    return sources


def _told_cuts(found: Found, cuts: CutList | None) -> str:
    """Digest of what cut lists say about a source, "" where nobody cut it; a damaged one counts by what is wrong."""
    try:
        return told_digest(found.path, found.uri, cuts)
    except UsageError as error:
        return digest_json(error.as_dict())


def _sidecars(found: Found) -> list[Path]:
    beside = (found.path.with_name(name) for name in _SIDECARS.get(found.format, ()))
    return [path for path in beside if path.is_file()]
