"""LeRobot's own loader opens the tree that gripline writes. Needs an environment of LeRobot's: see docs/lerobot.md."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from components.core.params import load_params
from components.core.spec import SAWYER_CELL
from components.dataset.edits.delete import delete
from components.dataset.edits.renumber import renumber
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.layout import ACTION, STATE
from components.dataset.reader import Dataset
from components.dataset.resume import resume
from components.dataset.writer import DatasetWriter

LEROBOT = os.environ.get("GRIPLINE_LEROBOT_PYTHON")
pytestmark = pytest.mark.skipif(
    not LEROBOT, reason="GRIPLINE_LEROBOT_PYTHON names no Python with LeRobot: docs/lerobot.md"
)
ROOT = Path(__file__).resolve().parents[2]
FPS, PX = 20, SAWYER_CELL.observation.image_px
LENGTHS = (7, 5, 9)

# Runs in LeRobot's environment. Its torchvision looks for two operators that a build without CUDA does not declare.
PROGRAM = """
import json, sys
import numpy as np, torch
operators = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    operators.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from lerobot.datasets.lerobot_dataset import LeRobotDataset
root, out, episodes = sys.argv[1:]
chunk = {"action": [0.0, 0.05, 0.1]}
data = LeRobotDataset("local/tree", root=root, episodes=json.loads(episodes), delta_timestamps=chunk)
rows = [data[index] for index in range(len(data))]
np.savez(out, **{key: np.stack([np.asarray(row[key]) for row in rows]) for key in rows[0] if key != "task"})
head = {"episodes": data.num_episodes, "frames": data.num_frames, "fps": data.fps}
head |= {"tasks": [row["task"] for row in rows], "cameras": list(data.meta.camera_keys)}
head["features"] = sorted(data.meta.features)
print(json.dumps(head))
"""


def episode(number: int, length: int) -> EpisodeFrames:
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 255, (length, 4, 4, 3), dtype=np.uint8)
    images = {camera: np.kron(coarse, np.ones((1, PX // 4, PX // 4, 1), np.uint8)) for camera in ("fixed", "wrist")}
    return EpisodeFrames(
        episode_id=f"{number:064x}",
        task="drawer-open",
        instruction=f"open drawer {number}",
        images=images,
        state=rng.normal(size=(length, 4)).astype(np.float32),
        action=rng.normal(size=(length, 4)).astype(np.float32),
        time_s=np.arange(length) / FPS + 0.003,
        row={**dict.fromkeys([name for name in ROW_COLUMNS if name != "split"], ""), "embodiment": SAWYER_CELL.name},
        extras={"observation.joints": rng.normal(size=(length, 7)).astype(np.float32)},
    )


@pytest.fixture
def tree(tmp_path: Path) -> Dataset:
    """Three episodes, the last one appended later."""
    video = load_params(ROOT / "params.yaml").ingest.video
    root = tmp_path / "tree"
    with DatasetWriter(root, SAWYER_CELL, FPS, video) as writer:
        for number, length in enumerate(LENGTHS[:2]):
            writer.add_frames(episode(number, length))
        writer.close()
    with resume(root, video) as writer:
        writer.add_frames(episode(2, LENGTHS[2]))
        writer.close()
    return Dataset.open(root)


def require_same(dataset: Dataset, numbers: list[int] | None, tmp_path: Path) -> None:
    """LeRobot reads what gripline reads; `numbers`: the episodes that it is told to take, or None for all."""
    out = tmp_path / "rows.npz"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": ""}
    command = [str(LEROBOT), "-c", PROGRAM, str(dataset.root), str(out), json.dumps(numbers)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    head, rows = json.loads(done.stdout.splitlines()[-1]), np.load(out)
    lengths = dataset.lengths.tolist()
    assert (head["episodes"], head["frames"], head["fps"]) == (len(dataset), sum(lengths), FPS)
    assert head["cameras"] == ["observation.images.fixed", "observation.images.wrist"]
    assert head["features"] == sorted(dataset.features)
    words = dataset.table(["instruction"])["instruction"].to_pylist()
    assert head["tasks"] == [word for word, length in zip(words, lengths, strict=True) for _ in range(length)]
    start = 0
    for number, length in zip(dataset.indices.tolist(), lengths, strict=True):
        require_same_episode(dataset, number, {name: part[start : start + length] for name, part in rows.items()})
        start += length


def require_same_episode(dataset: Dataset, number: int, rows: dict[str, np.ndarray]) -> None:
    ours = dataset.frames(number)
    length = len(ours[ACTION])
    np.testing.assert_array_equal(rows["episode_index"].ravel(), number)
    np.testing.assert_array_equal(rows[STATE], ours[STATE])
    np.testing.assert_array_equal(rows[ACTION][:, 0], ours[ACTION])
    ahead = np.minimum(np.arange(length)[:, None] + np.arange(3), length - 1)
    np.testing.assert_array_equal(rows[ACTION], ours[ACTION][ahead])
    np.testing.assert_array_equal(rows["action_is_pad"], np.arange(length)[:, None] + np.arange(3) >= length)
    np.testing.assert_allclose(rows["observation.time"].ravel(), ours["observation.time"], atol=1e-6)
    for camera in ("fixed", "wrist"):
        theirs = rows[f"observation.images.{camera}"].transpose(0, 2, 3, 1) * 255
        # Two decoders convert YUV to RGB with other roundings; a frame off by one would differ by far more.
        assert np.abs(theirs - dataset.images(number, camera)).mean() < 3


def test_lerobot_reads_the_same_rows_frames_and_chunks(tree: Dataset, tmp_path: Path) -> None:
    require_same(tree, None, tmp_path)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_after_a_deletion_lerobot_reads_the_episodes_that_are_there(tree: Dataset, tmp_path: Path, gone: int) -> None:
    delete(tree.root, [tree.episode_id(gone)])
    dataset = Dataset.open(tree.root)
    require_same(dataset, dataset.indices.tolist(), tmp_path)


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_once_renumbered_lerobot_needs_not_be_told(tree: Dataset, tmp_path: Path, gone: int) -> None:
    delete(tree.root, [tree.episode_id(gone)])
    renumber(tree.root)
    require_same(Dataset.open(tree.root), None, tmp_path)
