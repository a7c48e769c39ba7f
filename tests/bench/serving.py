"""How fast serving is: starts, latency by way of the gateway, straight to the slot and in this process, route changes.

Run with: python tests/bench/serving.py BUNDLE [REQUESTS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.bundle.bundle import Bundle, load_bundle
from components.core.params import load_params
from components.core.workspace import Workspace
from deploy.client.client import PolicyClient
from deploy.gateway.routes import Routes
from deploy.serving import Serving

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def timed_ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def show(name: str, samples_ms: list[float]) -> None:
    p50, p99 = np.percentile(samples_ms, [50, 99])
    print(f"{name:<28} n={len(samples_ms):<5} p50 {p50:8.2f} ms   p99 {p99:8.2f} ms")


def latencies(url: str, bundle: Bundle, requests: int) -> list[float]:
    example = bundle.warmup
    cameras = bundle.contract.embodiment.observation.cameras
    images = {camera: example.images[0, index] for index, camera in enumerate(cameras)}
    with PolicyClient(url, 5.0, cameras=cameras) as client:
        client.begin_episode(example.instructions[0])
        return [client.act(images, example.state[0]).latency_ms for _ in range(requests)]


def in_process(bundle: Bundle, requests: int) -> list[float]:
    example = bundle.warmup
    images = {
        name: frames[:1] for name, frames in example.by_camera(bundle.contract.embodiment.observation.cameras).items()
    }
    return [timed_ms(lambda: bundle.act(images, example.state[:1], example.instructions[:1])) for _ in range(requests)]


def main(folder: Path, requests: int) -> None:
    bundle = load_bundle(folder)
    with tempfile.TemporaryDirectory() as root:
        serving = Serving.attach(Workspace(Path(root)), load_params(PARAMS))
        try:
            show("start of the gateway", [timed_ms(serving.ensure_gateway)])
            show("load of a slot", [timed_ms(lambda slot=slot: serving.load(slot, slot, folder)) for slot in "ab"])
            print("warm-up                     ", serving.warm_up("a"))
            serving.set_routes(Routes("a"))
            show("in this process", in_process(bundle, requests))
            show("straight to the slot", latencies(serving.status()["slots"]["a"]["url"], bundle, requests))
            show("through the gateway", latencies(serving.url, bundle, requests))
            shares = [Routes("a", "b", number / 100) for number in range(1, 51)]
            show("route change, in force", [timed_ms(lambda r=routes: serving.set_routes(r)) for routes in shares])
            status = serving.status()
            for name, found in (("gateway", status["gateway"]), *status["slots"].items()):
                print(f"memory of {name:<18} {found['rss_bytes'] / 1e6:8.1f} MB")
            serving.set_routes(Routes("a"))
            show("unload of a slot", [timed_ms(lambda: serving.unload("b"))])
        finally:
            show("stop of everything", [timed_ms(serving.stop)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 500)
