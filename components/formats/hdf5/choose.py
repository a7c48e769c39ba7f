"""The mapping that rules a file where nobody gave one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from components.core.errors import FormatError
from components.formats.hdf5.dialect import Dialect, scene_of
from components.formats.mapping import Mapping, StreamRule, fitting_mapping

TIME_NAMES = ("time", "timestamp", "timestamps")
# So many demos are looked at; they may differ in what they hold, and one may be damaged.
_GUESSED_FROM = 8


def guessed_name(dialect: Dialect) -> str:
    """What a guess is called, to tell it from what somebody decided."""
    return f"hdf5-{dialect.name}"


def guessed_mapping(path: Path, dialect: Dialect, parts: tuple[str, ...], where: str) -> Mapping:
    """Our own cell's mapping where the datasets are those that it records, else what the dialect makes of most demos.

    Raises `FormatError` where no demo can be looked at.
    """
    votes: dict[str, Counter[tuple[str, str]]] = {}
    clocks: Counter[str] = Counter()
    refused: FormatError | None = None
    for part in parts[:_GUESSED_FROM]:
        at = f"{where}#{part}" if part else where
        try:
            with scene_of(path, part, dialect, where=at) as scene:
                clock = next((name for name in TIME_NAMES if name in scene.leaves and dialect.demos), "")
                # Others have datasets of the same names, but no sensor time.
                built_in = fitting_mapping(scene.leaves, "hdf5") if clock else None
                if built_in is not None and built_in.time == clock:
                    return built_in
                for name, rule in dialect.streams(scene).items():
                    votes.setdefault(rule.source, Counter())[name, rule.model_dump_json()] += 1
                clocks[clock] += 1
        except FormatError as error:
            # What is wrong with one demo is said when it is read, by the light of the others.
            refused = refused or error
    if refused is not None and not votes:
        raise refused
    chosen = [max(counter.items(), key=lambda item: item[1])[0] for counter in votes.values()]
    streams: dict[str, StreamRule] = {}
    for name, rule_json in chosen:
        streams.setdefault(name, StreamRule.model_validate_json(rule_json))
    time = max(clocks, key=lambda clock: (clocks[clock], clock), default="")
    return Mapping(name=guessed_name(dialect), format=("hdf5",), time=time, streams=streams)
