from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from components.core.errors import ContractError, DatasetError, ParamsError, UsageError
from components.core.spec import SAWYER_CELL
from components.policy.catalogue.card import Needs
from components.policy.catalogue.families import PRESETS
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
    monkeypatch.setitem(PRESETS, TINY, replace(PRESETS[TINY], needs=Needs(instructions=False)))
    assert not require_needs(TINY, SAWYER_CELL, [_part("")]).instructions
    require_needs(TINY, SAWYER_CELL, [_part("")], ["instructions"])


@pytest.mark.parametrize(
    ("needs", "unused", "said"),
    [
        (Needs(instructions=False), [], r"never reads instructions, which the dataset has.*`unused: \[instructions\]`"),
        (
            Needs(state=False),
            [],
            r"embodiment sawyer-cell: preset gripline-tiny never reads state.*`unused: \[state\]`",
        ),
        (
            Needs(state=False, instructions=False),
            [],
            r"reads state and instructions.*`unused: \[state, instructions\]`",
        ),
        (Needs(state=False, instructions=False), ["state"], r"reads instructions, .*`unused: \[state, instructions\]`"),
    ],
)
def test_what_is_there_and_never_read_has_to_be_named(monkeypatch, needs, unused, said):
    """One episode with words is enough."""
    monkeypatch.setitem(PRESETS, TINY, replace(PRESETS[TINY], needs=needs))
    parts = [_part("open it")] if needs.instructions else [_part(""), _part("", "open it")]
    with pytest.raises(ParamsError, match=said):
        require_needs(TINY, SAWYER_CELL, parts, unused)
    named = [name for name in ("state", "instructions") if not getattr(needs, name)]
    assert require_needs(TINY, SAWYER_CELL, parts, named) == needs


@pytest.mark.parametrize("modality", ["state", "instructions"])
def test_what_is_read_cannot_be_called_unused(modality):
    with pytest.raises(ParamsError, match=f"train.unused names {modality}, which preset gripline-tiny reads"):
        require_needs(TINY, SAWYER_CELL, [_part("open it")], [modality])


def test_a_robot_without_a_state_needs_no_word_about_it(monkeypatch):
    monkeypatch.setitem(PRESETS, TINY, replace(PRESETS[TINY], needs=Needs(state=False)))
    assert require_needs(TINY, _body(state=()), [_part("open it")]).instructions


def test_an_unknown_preset_is_refused_before_anything_is_read():
    with pytest.raises(UsageError, match="no preset 'huge'"):
        require_needs("huge", SAWYER_CELL, [])
