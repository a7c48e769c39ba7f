"""What a robot runs: one episode after another, each with one policy from its first request to its last."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from tritonclient.utils import InferenceServerException

from components.core.errors import ServerError, UsageError
from components.core.spec import SAWYER_CELL
from deploy.client.wire import (
    CAMERAS_PARAMETER,
    MODEL,
    VERSION_HEADER,
    Answer,
    connect,
    read_answer,
    request_inputs,
    stack_images,
)


class PolicyUnavailable(ServerError):
    """One attempt brought no action chunk; `status` is gRPC's, such as StatusCode.UNAVAILABLE."""

    code = "policy_unavailable"
    status = ""


@dataclass(frozen=True)
class ActionChunk:
    """`actions` float32 [H,A] in physical units, and where they came from; `step` counts answers of the episode."""

    actions: np.ndarray
    version: str
    bundle_digest: str
    episode: str
    step: int
    latency_ms: float


@dataclass(frozen=True)
class EpisodeRecord:
    """What an episode used: `versions` in order; more than one means that the policy changed on the way."""

    episode: str
    instruction: str
    outcome: str
    versions: tuple[str, ...]
    attempts: int
    failures: int


@dataclass
class _Episode:
    episode: str
    instruction: str
    versions: list[str]
    steps: int = 0
    attempts: int = 0
    failures: int = 0


class PolicyClient:
    """Asks the gateway at `url` ("host:port") for actions. One RPC is one attempt; none is repeated in secret.

    `cameras`: names in the policy's order; the server refuses another order. Not for use by several threads at once.
    """

    def __init__(self, url: str, timeout_s: float, *, cameras: Sequence[str] = SAWYER_CELL.observation.cameras) -> None:
        self.url = url
        self.attempts = 0
        self.failures = 0
        self._timeout_s = timeout_s
        self._cameras = tuple(cameras)
        self._channel = connect(url)
        self._episode: _Episode | None = None

    def begin_episode(self, instruction: str, episode: str | None = None) -> str:
        """Opens an episode, whose first request the gateway gives to any version; returns its id."""
        if self._episode is not None:
            raise UsageError(f"episode {self._episode.episode} is open", hint="End it first")
        self._episode = _Episode(episode or uuid.uuid4().hex, instruction, [])
        return self._episode.episode

    def act(self, images: Mapping[str, np.ndarray], state: np.ndarray) -> ActionChunk:
        """One attempt: images {camera: uint8 [H,W,3]}, state [S] physical -> a chunk. Raises `PolicyUnavailable`."""
        episode = self._open()
        batch = stack_images({camera: image[None] for camera, image in images.items()}, self._cameras)
        self.attempts += 1
        episode.attempts += 1
        began = time.perf_counter()
        try:
            answer = self._ask(episode, batch, np.asarray(state, dtype=np.float32)[None])
        except (InferenceServerException, ValueError) as error:
            self.failures += 1
            episode.failures += 1
            raise self._unavailable(error) from error
        latency_ms = (time.perf_counter() - began) * 1e3
        if episode.versions[-1:] != [answer.version]:
            episode.versions.append(answer.version)
        chunk = ActionChunk(
            answer.actions[0], answer.version, answer.bundle_digest, episode.episode, episode.steps, latency_ms
        )
        episode.steps += 1
        return chunk

    def end_episode(self, outcome: str) -> EpisodeRecord:
        """Closes the episode; `outcome` is what the robot knows of it, such as "success" or "failure"."""
        episode, self._episode = self._open(), None
        return EpisodeRecord(
            episode.episode, episode.instruction, outcome, tuple(episode.versions), episode.attempts, episode.failures
        )

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> _Episode:
        if self._episode is None:
            raise UsageError("no episode is open", hint="Call begin_episode first")
        return self._episode

    def _ask(self, episode: _Episode, images: np.ndarray, state: np.ndarray) -> Answer:
        # Before the first answer there is no version to stay with.
        headers = {VERSION_HEADER: episode.versions[-1]} if episode.versions else None
        result = self._channel.infer(
            MODEL,
            request_inputs(images, state, [episode.instruction]),
            request_id=f"{episode.episode}:{episode.steps}",
            headers=headers,
            client_timeout=self._timeout_s,
            parameters={CAMERAS_PARAMETER: ",".join(self._cameras)},
        )
        return read_answer(result)

    def _unavailable(self, error: Exception) -> PolicyUnavailable:
        message = error.message() if isinstance(error, InferenceServerException) else str(error)
        raised = PolicyUnavailable(message or "no answer", where=self.url)
        raised.status = (error.status() or "") if isinstance(error, InferenceServerException) else ""
        return raised
