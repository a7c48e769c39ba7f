"""All frames of a part, decoded: in memory or in a file that is mapped into it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from components.dataset.layout import ACTION, STATE
from components.dataset.loading.columns import Columns
from components.dataset.loading.decoder import Decoder
from components.dataset.loading.episodes import EpisodeList, part_frames, part_lengths
from components.dataset.loading.pool import Pool
from components.dataset.loading.shapes import Shapes
from components.dataset.parts import Part

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Decoded:
    """Frames of a part in its order: `images` uint8 [N, K, H, W, 3]; `state` [N, S] and `action` [N, A], float32."""

    images: npt.NDArray[np.uint8]
    state: npt.NDArray[np.float32]
    action: npt.NDArray[np.float32]


def decoded_shapes(part: Part) -> dict[str, tuple[Shape, type[np.generic]]]:
    """Shape and type of each array of `Decoded`."""
    spec, frames = part.dataset.embodiment, part_frames(part)
    seen = spec.observation
    return {
        "images": ((frames, len(seen.cameras), seen.image_px, seen.image_px, 3), np.uint8),
        "state": ((frames, len(seen.state_names)), np.float32),
        "action": ((frames, spec.action.dim), np.float32),
    }


def decoded_bytes(part: Part) -> int:
    """Bytes that all frames of a part take."""
    return sum(int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in decoded_shapes(part).values())


def decode_in_memory(part: Part, threads: int, *, progress: bool = False) -> Decoded:
    """Decodes a part. Raises `DatasetError` where the dataset is damaged."""
    decoded = Decoded(**{name: np.empty(shape, kind) for name, (shape, kind) in decoded_shapes(part).items()})
    decode_part(part, decoded, threads, progress=progress)
    return decoded


def decode_part(part: Part, out: Decoded, threads: int, *, progress: bool = False) -> None:
    """Decodes a part into `out`, in the order in which it lies on disk. Raises `DatasetError` where it is damaged."""
    lengths = part_lengths(part)
    starts, local = np.cumsum(lengths) - lengths, threading.local()
    decoders: list[Decoder] = []

    def decode(place: int) -> None:
        if not hasattr(local, "decoder"):
            local.decoder = Decoder()
            decoders.append(local.decoder)
        _decode_episode(
            part, int(part.indices[place]), slice(starts[place], starts[place] + lengths[place]), out, local
        )

    by_number = np.argsort(part.indices, kind="stable").tolist()
    executor = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        jobs = [executor.submit(partial(decode, place)) for place in by_number]
        for job in tqdm(as_completed(jobs), total=len(jobs), desc="decode", unit="episode", disable=not progress):
            job.result()
    finally:
        executor.shutdown(cancel_futures=True)
        for decoder in decoders:
            decoder.close()


def _decode_episode(part: Part, index: int, rows: slice, out: Decoded, local: threading.local) -> None:
    columns = part.dataset.frames(index, [STATE, ACTION])
    out.state[rows], out.action[rows] = columns[STATE], columns[ACTION]
    for place, camera in enumerate(part.dataset.cameras):
        path, first, _ = part.dataset.video_place(index, camera)
        local.decoder.decode(path, first, part.dataset.fps, out.images[rows, place])


class DecodedSource:
    """Pictures and numbers out of decoded parts: a batch is copied from where they lie, nothing is read ahead."""

    def __init__(
        self, episodes: EpisodeList, shapes: Shapes, decoded: Sequence[Decoded], close: Callable[[], None] | None = None
    ) -> None:
        self._episodes, self._shapes, self._close = episodes, shapes, close
        self._decoded = list(decoded)
        lengths = [part_lengths(part) for part in episodes.parts]
        # Where each episode starts in the arrays of its part.
        self._starts = np.concatenate([np.cumsum(length) - length for length in lengths])

    def columns(self, row: int) -> Columns:
        """State [T, S] and action [T, A] of the episode in this row of the list."""
        decoded = self._decoded[int(self._episodes.source[row])]
        rows = slice(int(self._starts[row]), int(self._starts[row] + self._episodes.length[row]))
        return decoded.state[rows], decoded.action[rows]

    def jobs(self, pool: Pool) -> list[Callable[[], None]]:
        """What has to be done before `take` may be called."""
        return [partial(pool.fill_numbers, segment, self.columns) for segment in range(len(pool.row))]

    def take(self, pool: Pool, slots: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None:
        """Copies the pictures in `slots` [n] into `out` [n, K, H, W, 3]; black where the robot has no such camera."""
        rows = pool.slot_row[slots]
        frames, sources = self._starts[rows] + pool.slot_frame[slots], self._episodes.source[rows]
        if len(self._decoded) == 1:
            np.take(self._decoded[0].images, frames, axis=0, out=out, mode="clip")
            return
        for source in np.unique(sources):
            mine = np.flatnonzero(sources == source)
            places = self._shapes.camera_places[source]
            if len(places) < out.shape[1]:
                out[mine] = 0
            out[mine[:, None], places] = self._decoded[source].images[frames[mine]]

    def release(self, pool: Pool) -> None:
        """Nothing to release: a pool owns no pictures."""

    def close(self) -> None:
        """Lets go of the arrays."""
        self._decoded.clear()
        if self._close is not None:
            self._close()
