"""What worker processes do: open a source, and make an episode ready for the writer. Each call stands for itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.core.episode import Episode
from components.core.errors import DatasetError, FormatError, InputError
from components.core.params import Ingest
from components.core.spec import Embodiment
from components.dataset.prepare import prepare
from components.formats.cut_lists import CutList
from components.formats.mapping import Mapping
from components.formats.registry import open_recording, read_part
from components.formats.source import Recording
from components.ingest.canonical import to_frames
from components.ingest.hashes import stat_digest
from components.ingest.report import Quarantined, quarantined
from components.ingest.settings import dataset_fps
from components.ingest.sources import Source


@dataclass(frozen=True)
class Opened:
    """A source whose episodes are listed. `seen`: what the file system said of it before (`hashes.stat_digest`)."""

    recording: Recording
    seen: str


@dataclass(frozen=True)
class Part:
    """One episode of a source, before anybody has looked at it."""

    opened: Opened
    part: str

    @property
    def uri(self) -> str:
        return self.opened.recording.uri_of(self.part)


def part_of(opened: Opened, part: str) -> Part:
    """Carries nothing about the other parts, of which there may be thousands."""
    recording = opened.recording
    own = tuple(cut for cut in recording.cuts if cut.name == part)
    return Part(replace(opened, recording=replace(recording, parts=(part,), cuts=own, problems=())), part)


@dataclass(frozen=True)
class Worker:
    """The settings that all calls share; goes to the processes with each call."""

    params: Ingest
    embodiment: Embodiment
    mappings: Sequence[Mapping] = ()
    cuts: CutList | None = None

    def open(self, source: Source) -> Opened | Quarantined:
        """Lists the episodes of a source."""
        try:
            seen = stat_digest(source.found.path)
            recording = open_recording(source.found, self.mappings, sha256=source.sha256, cuts=self.cuts)
        except FormatError as error:
            return quarantined(source.uri, error)
        except OSError as error:
            return Quarantined(source.uri, "unreadable", f"cannot be opened ({error.strerror})")
        if recording.mapping.rate_hz is None:
            # Without a clock in the file and a rate in its mapping, a step takes as long as one of this robot does.
            rate_hz = self.embodiment.action.rate_hz
            recording = replace(recording, mapping=recording.mapping.model_copy(update={"rate_hz": rate_hz}))
        return Opened(recording, seen)

    def prepare(self, part: Part) -> bytes | Quarantined:
        """An episode, read, aligned and encoded: what `PreparedEpisode.to_bytes` makes of it."""
        params, body, fps = self.params, self.embodiment, dataset_fps(self.params, self.embodiment)
        recording = part.opened.recording
        episode: Episode | None = None
        try:
            episode = read_part(recording, part.part)
            frames = to_frames(
                episode,
                body,
                fps=fps,
                max_misalignment_ms=params.max_misalignment_ms,
                causal=params.causal_actions,
            )
            prepared = prepare(frames, fps, params.video, image_px=body.observation.image_px)
            if stat_digest(recording.path) != part.opened.seen:
                return Quarantined(part.uri, "changed", "the file changed while it was read")
        except DatasetError as error:
            return Quarantined(part.uri, "wrong_shape", error.message)
        except InputError as error:
            return quarantined(
                part.uri, error, note=_unread(recording, episode) if error.code == "missing_stream" else ""
            )
        except OSError as error:
            return Quarantined(part.uri, "unreadable", f"cannot be read ({error.strerror})")
        return prepared.to_bytes()


def _unread(recording: Recording, episode: Episode | None) -> str:
    """Which streams of the mapping the file does not hold."""
    mapping, there = recording.mapping, episode.streams if episode else {}
    absent = [f"{name} from {rule.source!r}" for name, rule in sorted(mapping.streams.items()) if name not in there]
    return f"mapping {mapping.name!r} takes {', '.join(absent)}, which is not in the file" if absent else ""


def crashed(what: Source | Part, reason: str) -> Quarantined:
    """For a source or episode that took its reader down."""
    return Quarantined(what.uri, "reader_crashed", f"the library that reads this format {reason} on it")
