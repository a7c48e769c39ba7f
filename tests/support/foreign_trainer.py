"""A trainer that knows nothing of gripline but what it is told: least squares from state, brightness and words.

`foreign_trainer.py DATASET EPISODES VAL_EPISODES OUT SEED PARAMS`. It reads LeRobot's files with pyarrow and PyAV.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper, save
from safetensors.numpy import save_file

SAMPLES = 20


def main() -> None:
    dataset, episodes, val_episodes, out, seed, params = sys.argv[1:]
    told = json.loads(Path(params).read_text())
    root, target = Path(dataset), Path(out)
    sys.stdout.write(f"training with seed {seed}\n")
    sys.stdout.flush()
    sides = [json.loads(Path(path).read_text()) for path in (episodes, val_episodes)]
    train, val = (_frames(root, side["episodes"], told) for side in sides)
    chunk, dims = told["train"]["chunk"], train["action"].shape[1]
    stats = {
        key: {"mean": train[name].mean(axis=0).tolist(), "std": train[name].std(axis=0).tolist()}
        for key, name in (("observation.state", "state"), ("action", "action"))
    }
    seen = _features(train)
    targets = np.tile(train["action"], (1, chunk))
    weights = np.linalg.lstsq(np.c_[seen, np.ones(len(seen))], targets, rcond=None)[0].astype(np.float32)
    answers = _act(weights, val).reshape(-1, chunk, dims)
    error = float(np.abs(answers - val["action"][:, None]).mean())
    picked = np.unique(np.linspace(0, len(answers) - 1, SAMPLES).astype(int))
    target.mkdir(exist_ok=True)
    (target / "weights").mkdir(exist_ok=True)
    np.save(target / "weights" / "least_squares.npy", weights)
    (target / "stats.json").write_text(json.dumps(stats))
    samples = {name: np.ascontiguousarray(val[name][picked]) for name in val if name != "action"}
    save_file(samples | {"actions": np.ascontiguousarray(answers[picked])}, target / "samples.safetensors")
    save(_graph(weights, val, chunk, dims), target / "policy.onnx")
    lines = [{"step": 1, "loss": 2.0, "val_loss": 3.0}, {"step": 2, "lr": 0.1}]
    (target / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (target / "external.json").write_text(json.dumps(_declaration(told, sides[0]["dataset"], error)))


def _declaration(told: dict, dataset: str, error: float) -> dict:
    return {
        "framework": "least-squares",
        "framework_version": "1.0",
        "preset": "linear",
        "runtime": "numpy",
        "seed": told["seed"],
        "steps": 3,
        "chunk": told["train"]["chunk"],
        "dataset": dataset,
        "action_names": [name for group in told["embodiment"]["action"]["groups"] for name in group["names"]],
        "checkpoint": "weights",
        "metrics": {"loss": 0.5, "val_loss": error},
        "metrics_file": "log.jsonl",
    }


def _frames(root: Path, episodes: list[dict], told: dict) -> dict[str, np.ndarray]:
    rows = pq.read_table(root / "data").to_pandas()
    meta = pq.read_table(root / "meta" / "episodes").to_pandas().set_index("episode_index")
    parts = []
    for episode in episodes:
        index = episode["episode_index"]
        own = rows[rows["episode_index"] == index].sort_values("frame_index")
        images = [_video(root, meta.loc[index], key, len(own), told["fps"]) for key in told["features"]["images"]]
        part = {
            "state": np.stack(own["observation.state"]).astype(np.float32),
            "action": np.stack(own["action"]).astype(np.float32),
            "images": np.stack(images, axis=1),
            "tokens": np.tile(np.array(episode["tokens"], np.int64), (len(own), 1)),
            "episode_index": np.full(len(own), index, np.int64),
            "frame_index": own["frame_index"].to_numpy(np.int64),
        }
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _video(root: Path, row: object, key: str, length: int, fps: int) -> np.ndarray:
    chunk, file = (int(row[f"videos/{key}/{name}_index"]) for name in ("chunk", "file"))
    first = round(float(row[f"videos/{key}/from_timestamp"]) * fps)
    with av.open(str(root / f"videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames[first : first + length])


def _features(frames: dict[str, np.ndarray]) -> np.ndarray:
    bright = frames["images"].astype(np.float32).mean(axis=(1, 2, 3, 4))[:, None] / np.float32(255)
    return np.concatenate([frames["state"], bright, frames["tokens"].astype(np.float32)], axis=1)


def _act(weights: np.ndarray, frames: dict[str, np.ndarray]) -> np.ndarray:
    return _features(frames) @ weights[:-1] + weights[-1]


def _graph(weights: np.ndarray, val: dict[str, np.ndarray], chunk: int, dims: int) -> object:
    constants = {
        "axes": np.array([1, 2, 3, 4]),
        "white": np.float32(255),
        "matrix": weights[:-1],
        "bias": weights[-1],
        "shape": np.array([-1, chunk, dims]),
        "last": np.array([1]),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("Div", ["column", "white"], ["bright"]),
        helper.make_node("Cast", ["tokens"], ["words"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["state", "bright", "words"], ["seen"], axis=1),
        helper.make_node("Gemm", ["seen", "matrix", "bias"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["actions"]),
    ]
    kinds = {"images": TensorProto.UINT8, "state": TensorProto.FLOAT, "tokens": TensorProto.INT64}
    inputs = [helper.make_tensor_value_info(n, kind, ["batch", *val[n].shape[1:]]) for n, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info("actions", TensorProto.FLOAT, ["batch", chunk, dims])]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "least_squares", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


if __name__ == "__main__":
    main()
