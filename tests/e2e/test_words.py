"""What becomes of an instruction that the policy was not made for, as the robot's engineer sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.core.params import Params
from components.core.workspace import Workspace
from deploy.client.client import PolicyClient, PolicyUnavailable
from deploy.gateway.routes import Routes
from deploy.serving import Serving

pytestmark = [pytest.mark.serving, pytest.mark.e2e]

IMAGES = {camera: np.zeros((96, 96, 3), np.uint8) for camera in ("fixed", "wrist")}
STATE = np.array([0.0, 0.6, 0.2, 0.5], np.float32)


def test_unknown_words_stand_in_the_log_once_and_too_many_are_refused(
    serving: Serving, params: Params, workspace: Workspace, tiny_bundle: Path
) -> None:
    serving.ensure_gateway()
    serving.load("a", "1", tiny_bundle)
    serving.set_routes(Routes("a"))
    with PolicyClient(serving.url, params.serving.request_timeout_s) as client:
        for _ in range(3):
            client.begin_episode("open the drawer gently")
            client.act(IMAGES, STATE)
            client.end_episode("unknown")
        client.begin_episode("open " * 17)
        with pytest.raises(PolicyUnavailable, match="instruction of 17 words, the policy takes 16"):
            client.act(IMAGES, STATE)
        client.end_episode("unknown")
    log = (workspace.serving / "slot_a/triton.log").read_text()
    assert log.count("no training episode held 'gently' of 'open the drawer gently'") == 1
