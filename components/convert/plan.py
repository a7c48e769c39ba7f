"""What goes into the files: which columns and cameras of a dataset, what a format calls them, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from components.core.errors import DatasetError
from components.core.spec import Embodiment
from components.dataset.layout import ACTION, AUTO_FEATURES, STATE, TIME, Features, image_key
from components.dataset.parts import Part
from components.dataset.reader import Dataset
from components.formats.carried import Carried
from components.formats.lerobot.own_streams import depth_source, embodiment_rules
from components.formats.mapping import Mapping, StreamRule, short_name


@dataclass(frozen=True)
class Names:
    """What a format calls a column (by its feature key), a camera and a depth camera.

    `time`, `instruction`: where the mapping finds them; `select_names`: whether dimensions are chosen by their names.
    `reserved`: names that the format has a use for.
    """

    format: str
    column: Callable[[str], str]
    image: Callable[[str], str]
    depth: Callable[[str], str]
    time: str = ""
    instruction: str = ""
    select_names: bool = False
    reserved: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """A numeric feature of a dataset, [T, len(names)]; `source`: its name in the file."""

    key: str
    source: str
    dtype: np.dtype[Any]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The same for all episodes of a group. `cameras`, `depth`: camera -> its name in the file."""

    embodiment: Embodiment
    fps: int
    names: Names
    columns: tuple[Column, ...]
    cameras: dict[str, str]
    depth: dict[str, str]

    @cached_property
    def mapping(self) -> Mapping:
        """The rules by which a reader gets the streams of the dataset back."""
        sources = {column.key: column for column in self.columns}
        pictures = {image_key(camera): source for camera, source in self.cameras.items()}
        pictures |= {depth_source(camera): source for camera, source in self.depth.items()}
        streams: dict[str, StreamRule] = {}
        for name, rule in embodiment_rules(self.embodiment).items():
            if rule.source in pictures:
                streams[name] = rule.model_copy(update={"source": pictures[rule.source]})
            elif rule.source in sources:
                streams[name] = self._numeric(rule, sources[rule.source])
        used = {rule.source for rule in streams.values()}
        for column in self.columns:
            # The action is there already where it was measured, as a stream of the state.
            if column.source not in used and column.key != ACTION:
                streams[short_name(column.key, streams)] = StreamRule(
                    source=column.source, kind="state", names=column.names
                )
        return Mapping(
            name="gripline",
            format=(self.names.format,),
            time=self.names.time,
            instruction=self.names.instruction,
            streams=streams,
        )

    def carried(self, columns: Sequence[str]) -> str:
        """The JSON that each file carries; `columns`: what checksums cover."""
        return Carried(self.mapping, tuple(columns), self.embodiment.as_dict()).as_json()

    def _numeric(self, rule: StreamRule, column: Column) -> StreamRule:
        select: tuple[int | str, ...] = rule.select
        if self.names.select_names and rule.kind != "control":
            select = tuple(column.names[number] for number in rule.select if isinstance(number, int))
        return rule.model_copy(update={"source": column.source, "select": select})


@dataclass(frozen=True)
class Group:
    """Episodes that go into files together; `items`: dataset and episode number; `name`: fit for a file's name."""

    name: str
    plan: Plan
    items: tuple[tuple[Dataset, int], ...]


def grouped(parts: Sequence[Part], names: Names) -> list[Group]:
    """Episodes by embodiment, rate and features, in the order of the parts. Raises `DatasetError` where names clash."""
    members: dict[str, list[tuple[Dataset, int]]] = {}
    plans: dict[str, Plan] = {}
    for part in parts:
        dataset = part.dataset
        columns = {key: feature for key, feature in dataset.features.items() if feature["dtype"] != "video"}
        key = json.dumps([dataset.embodiment.digest, dataset.fps, columns], sort_keys=True)
        if key not in plans:
            plans[key] = _plan(dataset, names)
        members.setdefault(key, []).extend((dataset, int(number)) for number in part.indices)
    groups: dict[str, Group] = {}
    for key, plan in plans.items():
        name = short_name(plan.embodiment.name.lower(), groups)
        groups[name] = Group(name, plan, tuple(members[key]))
    return list(groups.values())


def _plan(dataset: Dataset, names: Names) -> Plan:
    seen, features = dataset.embodiment.observation, dataset.features
    columns = tuple(
        Column(key, names.column(key), np.dtype(feature["dtype"]), _dimensions(key, dataset.embodiment, features))
        for key, feature in features.items()
        if feature["dtype"] != "video" and key != TIME and key not in AUTO_FEATURES
    )
    cameras = {camera: names.image(camera) for camera in seen.cameras}
    depth = {camera: names.depth(camera) for camera in seen.depth}
    taken = [*names.reserved, *(column.source for column in columns), *cameras.values(), *depth.values()]
    double = sorted({source for source in taken if taken.count(source) > 1})
    if double:
        raise DatasetError(
            f"two of its columns would be called {double[0]!r} in {names.format}",
            where=str(dataset.root),
            hint="Name the stream differently in the embodiment, or convert to another format",
        )
    return Plan(dataset.embodiment, dataset.fps, names, columns, cameras, depth)


def _dimensions(key: str, embodiment: Embodiment, features: Features) -> tuple[str, ...]:
    """Names of the numbers of a column, each another: those of the embodiment, else the column's own with a number."""
    kept = [group for group in embodiment.observation.kept if key == f"observation.{group.stream}"]
    names = [name for group in kept for name in group.names]
    if key in (STATE, ACTION):
        names = list(embodiment.observation.state_names if key == STATE else embodiment.action.names)
    (width,) = features[key]["shape"]
    last = key.rsplit(".", 1)[-1]
    found: dict[str, None] = {}
    for number in range(width):
        name = names[number] if len(names) == width else f"{last}_{number}" if width > 1 else last
        found[name if name not in found else f"{name}_{number}"] = None
    return tuple(found)
