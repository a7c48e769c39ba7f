from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.core.errors import ContractError, DatasetError, UsageError
from components.core.spec import SAWYER_CELL
from components.policy.presets import NEEDS, Needs
from components.train.needs import require_needs

TINY = "gripline-tiny"


def _body(**changed):
    return replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, **changed))


def _part(*instructions: str) -> SimpleNamespace:
    table = pa.table(
        {
            "episode_id": [str(number) * 64 for number in range(len(instructions))],
            "source_uri": [f"{number}.mcap" for number in range(len(instructions))],
            "instruction": list(instructions),
        }
    )
    return SimpleNamespace(
        dataset=SimpleNamespace(table=table.select, root="data/dataset"), rows=np.arange(len(instructions))
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cameras": ()}, "embodiment sawyer-cell: observation.cameras is 0, preset gripline-tiny needs at least 1"),
        ({"image_px": 16}, "observation.image_px is 16, preset gripline-tiny needs at least 32"),
    ],
)
def test_what_the_robot_lacks_is_named_by_field(changed, message):
    with pytest.raises(ContractError, match=message):
        require_needs(TINY, _body(**changed), [_part("open it")])


def test_an_episode_without_words_is_named():
    parts = [_part("open it"), _part("open it", "_!", "open it", "")]
    with pytest.raises(
        DatasetError, match=r"instruction is '_!' in episode 1{12} of 1\.mcap \(and 1 more\).*gripline-tiny"
    ):
        require_needs(TINY, SAWYER_CELL, parts)
    require_needs(TINY, SAWYER_CELL, parts[:1])


def test_a_preset_that_reads_nothing_takes_episodes_without_words(monkeypatch):
    monkeypatch.setitem(NEEDS, TINY, Needs(instructions=False))
    assert not require_needs(TINY, SAWYER_CELL, [_part("")]).instructions


def test_an_unknown_preset_is_refused_before_anything_is_read():
    with pytest.raises(UsageError, match="no preset 'huge'"):
        require_needs("huge", SAWYER_CELL, [])
