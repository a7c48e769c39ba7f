"""How much of a GPU training uses: transformers of three sizes, eager and compiled, from memory and from our loader.

    python tests/bench/train_gpu.py 20 TREE

prints a table and, as the last line, the same as JSON. Without a GPU it says that nothing was run. bf16 arithmetic on
float32 weights, fused AdamW. MFU: 6 operations a parameter and token, and those of attention, over what the data sheet
promises for dense bf16.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gpu_model import ACTIONS, CAMERAS, CHUNK, MODELS, PX, STATE, Trunk, TrunkSize, flops_per_sample, parameters

PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
WARM_UP = 3
# (attention, compiled, batches from the loader)
WAYS = (("sdpa", False, False), ("sdpa", True, False), ("flex", True, False), ("sdpa", True, True))
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Measured:
    model: str
    attention: str
    compiled: bool
    loader: bool
    samples_per_s: float
    mfu: float | None

    def line(self) -> str:
        mfu = "unknown" if self.mfu is None else f"{self.mfu:.1%}"
        how = f"{self.attention}, {'compiled' if self.compiled else 'eager'}"
        return f"{self.model:<8}{how:<18}{'loader' if self.loader else 'memory':<9}{self.samples_per_s:>10.1f}{mfu:>10}"


def synthetic(batch_size: int, device: torch.device) -> Iterator[Batch]:
    """The same batch, over and over, where the model is."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (batch_size, CAMERAS, PX, PX, 3), generator=generator, dtype=torch.uint8)
    batch = {"images": images, "state": torch.randn(batch_size, STATE, generator=generator)}
    batch["actions"] = torch.randn(batch_size, CHUNK, ACTIONS, generator=generator)
    return itertools.repeat({name: value.to(device) for name, value in batch.items()})


@contextmanager
def loaded(tree: Path, batch_size: int, steps: int, device: torch.device) -> Iterator[Iterator[Batch]]:
    """Batches of our training stream, frames from its cache."""
    from train_runs import inputs_of, params_of

    from components.train.augment import Augmentation
    from components.train.data import TrainingStream, Windows

    params = params_of("act", steps).model_copy(update={"batch_size": batch_size})
    with tempfile.TemporaryDirectory() as cache:
        inputs = inputs_of(tree, tree, Path(cache), cached=True)
        with inputs.train.loader(params, seed=1) as loader:
            windows = Windows(loader, inputs.transforms)
            stream = TrainingStream(windows, Augmentation.of(params), seed=1, steps=steps, batch_size=batch_size)
            yield ({name: value.to(device, non_blocking=True) for name, value in batch.items()} for batch in stream)


def samples_per_s(model: torch.nn.Module, batches: Iterator[Batch], steps: int, device: torch.device) -> float:
    """Of `steps` training steps after `WARM_UP` others."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    began, samples = 0.0, 0
    for step, batch in enumerate(itertools.islice(batches, WARM_UP + steps)):
        if step == WARM_UP:
            _wait(device)
            began = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16):
            loss = torch.nn.functional.l1_loss(model(batch["images"], batch["state"]), batch["actions"])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        samples += len(batch["state"]) * (step >= WARM_UP)
    _wait(device)
    return samples / (time.perf_counter() - began)


def measure(
    name: str, size: TrunkSize, way: tuple[str, bool, bool], tree: Path, steps: int, device: torch.device
) -> Measured:
    attention, compiled, from_loader = way
    torch.manual_seed(0)
    with device:
        model = Trunk(size, attention)
    if compiled:
        model.compile()
    if from_loader:
        with loaded(tree, size.batch, WARM_UP + steps, device) as batches:
            rate = samples_per_s(model, batches, steps, device)
    else:
        rate = samples_per_s(model, synthetic(size.batch, device), steps, device)
    done = rate * flops_per_sample(size)
    return Measured(name, *way, rate, None if (peak := peak_flops(device)) is None else done / peak)


def peak_flops(device: torch.device) -> float | None:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for part, peak in PEAK_FLOPS.items() if part in name), None)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    steps, tree = int(sys.argv[1]), Path(sys.argv[2])
    rows: list[dict[str, Any]] = []
    if not torch.cuda.is_available():
        print("no GPU: the figures of a GPU (MFU, compiled against eager, loader against memory) were not measured")
    else:
        device = torch.device("cuda")
        print(f"{torch.cuda.get_device_name(device)}\n{'model':<8}{'how':<18}{'from':<9}{'samples/s':>10}{'MFU':>10}")
        for name, size in MODELS.items():
            print(f"{name}: {parameters(size) / 1e9:.2f} B parameters, batches of {size.batch}")
            for way in WAYS:
                found = measure(name, size, way, tree, steps, device)
                print(found.line(), flush=True)
                rows.append(vars(found))
                torch.cuda.empty_cache()
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
