"""What worker processes do: open a file, survey an episode, make its frames. Each call stands for itself.

Episodes are read twice. The first time gives their identity, which decides order, duplicates and split; the second time
they go to the writer in that order. So neither memory nor scratch space grows with the number of episodes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from components.core.errors import FormatError, InputError
from components.core.params import Ingest
from components.core.spec import Embodiment
from components.dataset.frames import SPLITS, EpisodeFrames
from components.dataset.video import encode_episode
from components.formats.registry import Recording, open_recording, read_part
from components.ingest.canonical import to_frames


@dataclass(frozen=True)
class Source:
    """A file and the name under which the dataset knows it."""

    path: Path
    uri: str


@dataclass(frozen=True)
class Quarantined:
    """A file or episode that is left out; `source`: file or file#demo."""

    source: str
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True)
class Part:
    """One episode of a file, before anybody has looked at it."""

    recording: Recording
    part: str

    @property
    def uri(self) -> str:
        return self.recording.uri_of(self.part)


@dataclass(frozen=True)
class Surveyed:
    """An episode that can be ingested. `group`: what `params.split_by` says must stay together."""

    part: Part
    episode_id: str
    pixel_sha256: str
    task: str
    group: str


@dataclass(frozen=True)
class Worker:
    """The settings that all calls share; goes to the processes with each call."""

    params: Ingest
    embodiment: Embodiment

    def open(self, source: Source) -> Recording | Quarantined:
        try:
            return open_recording(source.path, uri=source.uri)
        except FormatError as error:
            return _quarantined(source.uri, error)

    def survey(self, part: Part) -> Surveyed | Quarantined:
        try:
            frames = self._frames(part, SPLITS[0])
        except FormatError as error:
            return _quarantined(part.uri, error)
        group = [frames.row[key] for key in self.params.split_by]
        return Surveyed(part, frames.episode_id, frames.pixel_sha256, frames.task, "/".join(group))

    def finish(self, chosen: tuple[Surveyed, str]) -> tuple[EpisodeFrames, dict[str, bytes]]:
        """Frames and encoded videos of a surveyed episode on its side of the split."""
        surveyed, split = chosen
        frames = self._frames(surveyed.part, split)
        if (frames.episode_id, frames.pixel_sha256) != (surveyed.episode_id, surveyed.pixel_sha256):
            raise InputError(
                "the file changed while it was ingested", where=surveyed.part.uri, hint="Run again when it is complete"
            )
        fps, video = self.params.fps, self.params.video
        return frames, {camera: encode_episode(images, fps, video) for camera, images in frames.images.items()}

    def _frames(self, part: Part, split: str) -> EpisodeFrames:
        return to_frames(
            read_part(part.recording, part.part),
            self.embodiment,
            fps=self.params.fps,
            max_misalignment_ms=self.params.max_misalignment_ms,
            split=split,
        )


def crashed(what: Source | Part, reason: str) -> Quarantined:
    """For a file or episode that took its reader down."""
    return Quarantined(what.uri, "reader_crashed", f"the library that reads this format {reason} on it")


def _quarantined(uri: str, error: FormatError) -> Quarantined:
    place = "" if error.where in (None, uri) else f"{error.where}: "
    return Quarantined(uri, error.code, place + error.message)
