"""What robot and server agree on: names, shapes and the header by which an episode stays with its policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from components.core.errors import ContractError

MODEL = "policy"
# Echoed by the robot from the second request of an episode on; the gateway routes by it.
VERSION_HEADER = "x-policy-version"
# Request parameter: camera names in the order of the image axis, so that swapped cameras are refused, not acted on.
CAMERAS_PARAMETER = "cameras"

# Datatypes of the inputs; shapes are images [B,K,H,W,3], state [B,S], instruction [B,1].
INPUTS = {"images": "UINT8", "state": "FP32", "instruction": "BYTES"}
OUTPUTS = ("actions", "policy_version", "bundle_digest")

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
# No hidden retries: every attempt is the caller's, and counted. A lost gateway is looked for again at once, as a robot
# has only its action chunk to bridge the gap.
CHANNEL_ARGUMENTS: tuple[tuple[str, int], ...] = (
    ("grpc.enable_retries", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
)


@dataclass(frozen=True)
class Answer:
    """`actions` float32 [B,H,A] in physical units; who answered, per request the same for the whole batch."""

    actions: np.ndarray
    version: str
    bundle_digest: str


def connect(url: str) -> triton.InferenceServerClient:
    """A gRPC channel to "host:port"; nothing is sent yet."""
    return triton.InferenceServerClient(url, channel_args=list(CHANNEL_ARGUMENTS))


def stack_images(images: Mapping[str, np.ndarray], cameras: Sequence[str]) -> np.ndarray:
    """{camera: uint8 [B,H,W,3]} -> uint8 [B,K,H,W,3] in the order of `cameras`. Raises `ContractError` for others."""
    if different := sorted(images.keys() ^ set(cameras)):
        raise ContractError(f"camera {different[0]!r} is in only one of images and policy, which takes {list(cameras)}")
    return np.stack([images[camera] for camera in cameras], axis=1)


def request_inputs(images: np.ndarray, state: np.ndarray, instructions: Sequence[str]) -> list[Any]:
    """Request tensors from images uint8 [B,K,H,W,3], raw state float32 [B,S] and B instructions."""
    words = np.array([[text.encode()] for text in instructions], dtype=np.object_)
    arrays = {"images": images, "state": np.asarray(state, dtype=np.float32), "instruction": words}
    tensors = []
    for name, datatype in INPUTS.items():
        tensor = triton.InferInput(name, arrays[name].shape, datatype)
        tensor.set_data_from_numpy(arrays[name])
        tensors.append(tensor)
    return tensors


def read_answer(result: Any) -> Answer:
    """Reads a reply. Raises `ValueError` where a tensor is absent or empty."""
    actions, versions, digests = (result.as_numpy(name) for name in OUTPUTS)
    if actions is None or versions is None or digests is None or not (actions.size and versions.size and digests.size):
        raise ValueError("the reply holds an empty tensor")
    return Answer(np.array(actions), versions.reshape(-1)[0].decode(), digests.reshape(-1)[0].decode())
