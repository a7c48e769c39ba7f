"""The model that tritonserver's Python backend runs: one policy bundle, behind the wire contract.

Copied into the model repository as model.py. Runs in the serving environment; `project_root` of the model's parameters
says where `components` lies, because the backend's embedded Python does not read PYTHONPATH.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as backend


class _Refused(Exception):
    """What one request asks for cannot be done."""


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        """Loads the bundle; an exception here makes the load fail and is shown with its message."""
        entries = json.loads(args["model_config"])["parameters"]
        parameters = {name: entry["string_value"] for name, entry in entries.items()}
        sys.path.insert(0, parameters["project_root"])
        from components.bundle.bundle import load_bundle

        self._bundle = load_bundle(Path(parameters["bundle"]), threads=1)
        if self._bundle.digest != parameters["bundle_digest"]:
            raise RuntimeError(f"bundle is {self._bundle.digest}, expected {parameters['bundle_digest']}")
        self._version = parameters["policy_version"].encode()
        self._digest = self._bundle.digest.encode()
        self._cameras = tuple(json.loads(parameters["cameras"]))
        # tritonserver counts a request that is answered with an error as a success, so the model counts by itself.
        self._family = backend.MetricFamily(
            name=parameters["metric"], description="Requests by outcome", kind=backend.MetricFamily.COUNTER
        )
        self._outcomes = {name: self._family.Metric(labels={"outcome": name}) for name in ("success", "failure")}

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answers a batch of requests in one run of the network; a bad one is refused alone."""
        inputs: list[tuple[dict[str, Any], int] | Exception] = [self._read(request) for request in requests]
        good = [entry for entry in inputs if not isinstance(entry, Exception)]
        answers = iter(self._act(good))
        return [self._respond(entry if isinstance(entry, Exception) else next(answers)) for entry in inputs]

    def _read(self, request: Any) -> tuple[dict[str, Any], int] | Exception:
        images, state, instruction = (
            backend.get_input_tensor_by_name(request, name).as_numpy() for name in ("images", "state", "instruction")
        )
        cameras = json.loads(request.parameters() or "{}").get("cameras")
        if cameras is not None and tuple(cameras.split(",")) != self._cameras:
            return _Refused(f"cameras are {cameras}, the policy takes {','.join(self._cameras)}")
        if not np.isfinite(state).all():
            return _Refused("state is not finite")
        words = [text.decode("utf-8", errors="replace") for text in instruction.reshape(-1)]
        return {"images": images, "state": state, "words": words}, len(state)

    def _act(self, entries: list[tuple[dict[str, Any], int]]) -> list[Any]:
        """One list of output tensors, or the exception, per entry."""
        if not entries:
            return []
        try:
            actions = self._run([observation for observation, _ in entries])
        except Exception as error:
            # Somebody in the batch is to blame: alone, each gets what it deserves.
            return [error] if len(entries) == 1 else [self._act([entry])[0] for entry in entries]
        ends = np.cumsum([rows for _, rows in entries])[:-1]
        return [self._tensors(part) for part in np.split(actions, ends)]

    def _run(self, observations: list[dict[str, Any]]) -> np.ndarray:
        images = np.concatenate([one["images"] for one in observations])
        state = np.concatenate([one["state"] for one in observations])
        words = [text for one in observations for text in one["words"]]
        by_camera = {camera: images[:, index] for index, camera in enumerate(self._cameras)}
        return np.ascontiguousarray(self._bundle.act(by_camera, state, words), dtype=np.float32)

    def _tensors(self, actions: np.ndarray) -> list[Any]:
        rows = (len(actions), 1)
        return [
            backend.Tensor("actions", np.ascontiguousarray(actions)),
            backend.Tensor("policy_version", np.full(rows, self._version, dtype=np.object_)),
            backend.Tensor("bundle_digest", np.full(rows, self._digest, dtype=np.object_)),
        ]

    def _respond(self, answer: list[Any] | Exception) -> Any:
        if not isinstance(answer, Exception):
            self._outcomes["success"].increment(1)
            return backend.InferenceResponse(output_tensors=answer)
        self._outcomes["failure"].increment(1)
        code = backend.TritonError.INVALID_ARG if isinstance(answer, _Refused) else backend.TritonError.INTERNAL
        return backend.InferenceResponse(output_tensors=[], error=backend.TritonError(str(answer), code))
