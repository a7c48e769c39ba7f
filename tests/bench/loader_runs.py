"""What the loader bench runs, each in a process of its own: one way to get all windows of a tree, in batches.

    python tests/bench/loader_runs.py video TREE 4000 '{"run_frames": 32}'

prints JSON: wall and CPU seconds for that many windows, workers included, and peak memory in MB.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np

from components.dataset.layout import ACTION, STATE
from components.dataset.loading.cache import CacheFolder
from components.dataset.loading.choose import Choice
from components.dataset.loading.decoded import decoded_bytes
from components.dataset.loading.decoder import Decoder
from components.dataset.loading.loader import Loader
from components.dataset.loading.settings import LoaderSettings
from components.dataset.parts import Part, parts_of

BATCH, CHUNK, WORKERS = 32, 50, 2


def cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def measured(act: Callable[[], None]) -> dict[str, float]:
    cpu, wall = cpu_s(), time.perf_counter()
    act()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": cpu_s() - cpu}


def ours(part: Part, windows: int, choice: Choice | None, options: dict[str, int]) -> dict[str, float]:
    settings = LoaderSettings(chunk=CHUNK, **{"threads": WORKERS, **options})

    with Loader([part], settings, seed=1, choice=choice) as loader:
        # From the first batch of an epoch to the first of the next, as many windows are decoded as are served.
        loader.batch(0, BATCH)
        starts = range(BATCH, windows + 1, BATCH)

        def run() -> None:
            for start in starts:
                loader.batch(start, BATCH)

        return measured(run)


def video(part: Part, windows: int, options: dict[str, int]) -> dict[str, float]:
    return ours(part, windows, None, options)


def cache(part: Part, windows: int, options: dict[str, int]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:

        def choice() -> Choice:
            return Choice("cache", "bench", decoded_bytes(part), CacheFolder(Path(folder), 1 << 40))

        def build() -> None:
            opened = choice().folder
            assert opened is not None
            opened.open(part, WORKERS)
            opened.close()

        built = measured(build)
        # Ten times as many: a pass takes a fraction of a second.
        result = ours(part, 10 * windows, choice(), options)
    result = {name: value / 10 for name, value in result.items()}
    return result | {f"build_{name}": value for name, value in built.items()}


def naive(part: Part, windows: int, _: dict[str, int]) -> dict[str, float]:
    """PyAV in a DataLoader: every sample opens, seeks and decodes."""
    from torch.utils.data import DataLoader

    places = [
        (index, frame) for index in part.indices.tolist() for frame in range(len(part.dataset.frames(index)[STATE]))
    ]
    loader = DataLoader(PerSample(part, places), BATCH, shuffle=True, num_workers=WORKERS)
    cpu = cpu_s()
    result = _drained(iter(loader), windows // BATCH)
    # The workers have ended; only now does their CPU time count.
    return result | {"cpu_s": cpu_s() - cpu}


def _drained(batches: Iterator[Any], count: int) -> dict[str, float]:
    """Takes `count` batches after the first one."""
    next(batches)

    def run() -> None:
        for _ in range(count):
            next(batches)

    return measured(run)


class PerSample:
    """What one writes first: a map-style dataset."""

    def __init__(self, part: Part, places: list[tuple[int, int]]) -> None:
        self._dataset, self._places = part.dataset, places
        names = (STATE, ACTION)
        frames = {index: part.dataset.frames(index, names) for index in part.indices.tolist()}
        self._columns = {index: {name: own[name].copy() for name in names} for index, own in frames.items()}

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> dict[str, Any]:
        index, frame = self._places[number]
        columns = self._columns[index]
        ahead = frame + np.arange(CHUNK)
        sample = {name: self._picture(index, frame, name) for name in self._dataset.cameras}
        sample["state"] = columns[STATE][frame]
        sample["actions"] = columns[ACTION][np.minimum(ahead, len(columns[ACTION]) - 1)]
        sample["actions_is_pad"] = ahead >= len(columns[ACTION])
        return sample

    def _picture(self, index: int, frame: int, camera: str) -> Any:
        path, first, _ = self._dataset.video_place(index, camera)
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            assert stream.time_base is not None
            wanted = round((first + frame) / self._dataset.fps / stream.time_base)
            container.seek(wanted, stream=stream)
            for picture in container.decode(stream):
                if picture.pts is not None and picture.pts >= wanted:
                    return picture.to_ndarray(format="rgb24")
        raise ValueError(f"no frame {frame} of episode {index}")


def decode(part: Part, _: int, __: dict[str, int]) -> dict[str, float]:
    """The limit of decoding: every frame once, front to back, one camera a thread."""
    dataset = part.dataset

    def one(camera: str) -> None:
        decoder, pixels = Decoder(), dataset.embodiment.observation.image_px
        for index in dataset.indices.tolist():
            path, first, length = dataset.video_place(index, camera)
            decoder.decode(path, first, dataset.fps, np.empty((length, pixels, pixels, 3), np.uint8))
        decoder.close()

    def run() -> None:
        with ThreadPoolExecutor(WORKERS) as executor:
            list(executor.map(one, dataset.cameras))

    return measured(run)


def copy(part: Part, windows: int, _: dict[str, int]) -> dict[str, float]:
    """The limit of copying: the bytes of as many windows, one after the other, out of much more than caches hold."""
    window = decoded_bytes(part) // int(part.dataset.lengths.sum())
    source, target = np.ones((windows // 4, window), np.uint8), np.ones((BATCH, window), np.uint8)

    def run() -> None:
        for number in range(windows):
            target[number % BATCH] = source[number * 7 % len(source)]

    return measured(run)


RUNS: dict[str, Callable[[Part, int, dict[str, int]], dict[str, float]]] = {
    "video": video,
    "cache": cache,
    "naive": naive,
    "decode": decode,
    "copy": copy,
}

# Runs in LeRobot's environment. Its torchvision looks for two operators that a build without CUDA does not declare.
LEROBOT = """
import json, resource, sys, time
import torch
operators = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from lerobot.datasets.lerobot_dataset import LeRobotDataset
torch.set_num_threads(1)
root, windows, batch, chunk, workers = sys.argv[1], *map(int, sys.argv[2:])
def cpu():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
fps = json.load(open(root + "/meta/info.json"))["fps"]
data = LeRobotDataset("local/tree", root=root, delta_timestamps={"action": [step / fps for step in range(chunk)]})
before = cpu()
batches = iter(torch.utils.data.DataLoader(data, batch, shuffle=True, num_workers=workers))
next(batches)
wall = time.perf_counter()
for number in range(windows // batch):
    next(batches)
wall = time.perf_counter() - wall
del batches
high = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"wall_s": wall, "cpu_s": cpu() - before, "peak_mb": int(high) / 1024}))
"""


def main() -> None:
    name, root, windows, options = sys.argv[1:]
    (part,) = parts_of(Path(root))
    result = RUNS[name](part, int(windows), json.loads(options))
    lines = Path("/proc/self/status").read_text().splitlines()
    result["peak_mb"] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    print(json.dumps(result))


if __name__ == "__main__":
    main()
