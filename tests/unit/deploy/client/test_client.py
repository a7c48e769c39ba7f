from __future__ import annotations

import pickle
import time
from collections.abc import Iterator

import numpy as np
import pytest

from components.core.errors import ContractError, ServerError, UsageError
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.process import free_ports

_IMAGES = {camera: np.zeros((96, 96, 3), np.uint8) for camera in ("fixed", "wrist")}
_STATE = np.zeros(4, np.float32)


@pytest.fixture
def lonely() -> Iterator[PolicyClient]:
    """A client of a port where nobody listens."""
    with PolicyClient(f"127.0.0.1:{free_ports(1)[0]}", 2.0) as client:
        yield client


def test_an_attempt_without_a_server_fails_at_once_and_is_counted_once(lonely: PolicyClient) -> None:
    lonely.begin_episode("open the drawer", episode="e1")
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(PolicyUnavailable, match=r"127\.0\.0\.1") as caught:
            lonely.act(_IMAGES, _STATE)
    assert time.monotonic() - began < 2.0
    assert caught.value.status == "StatusCode.UNAVAILABLE"
    assert isinstance(caught.value, ServerError)
    assert caught.value.exit_code == 4
    record = lonely.end_episode("aborted")
    assert (lonely.attempts, lonely.failures) == (2, 2)
    assert (record.episode, record.attempts, record.failures, record.versions) == ("e1", 2, 2, ())


def test_episodes_do_not_overlap(lonely: PolicyClient) -> None:
    with pytest.raises(UsageError, match="no episode is open"):
        lonely.act(_IMAGES, _STATE)
    first = lonely.begin_episode("open the drawer")
    with pytest.raises(UsageError, match=f"episode {first} is open"):
        lonely.begin_episode("press the button")
    lonely.end_episode("unknown")
    assert lonely.begin_episode("press the button") != first
    assert lonely.attempts == 0


def test_a_missing_camera_is_no_attempt(lonely: PolicyClient) -> None:
    lonely.begin_episode("open the drawer")
    with pytest.raises(ContractError, match="camera 'wrist' is in only one"):
        lonely.act({"fixed": _IMAGES["fixed"]}, _STATE)
    assert lonely.attempts == 0


def test_the_error_crosses_process_borders() -> None:
    error = PolicyUnavailable("no answer", where="127.0.0.1:1")
    found = pickle.loads(pickle.dumps(error))
    assert isinstance(found, PolicyUnavailable)
    assert str(found) == str(error)
