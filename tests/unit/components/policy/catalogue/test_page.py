"""The page of the catalogue, and the facts it is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import UsageError
from components.policy.catalogue.facts import card_of, facts_of, families
from components.policy.catalogue.families import CARDS, PRESETS
from components.policy.catalogue.page import COMMAND, millions, page, reads


@pytest.fixture(scope="module")
def found():
    return families()


def test_the_page_in_the_docs_is_what_the_command_writes(found, project: Path):
    committed = (project / "docs" / "models" / "README.md").read_text()
    assert committed == page(found), f"run: {COMMAND}"


def test_every_preset_of_every_family_is_on_it(found):
    assert [preset["preset"] for one in found for preset in one["presets"]] == list(PRESETS)
    assert {one["family"] for one in found} == {card.family for card in CARDS}


def test_every_family_has_its_page(found, project: Path):
    missing = [one["page"] for one in found if not (project / "docs" / "models" / one["page"]).is_file()]
    assert missing == []


def test_a_published_size_is_counted_for_the_robot_of_its_publication():
    found = facts_of("act")
    assert found["counted_for"] == {"cameras": 2, "image_px": 224, "state": 14, "action": 14, "chunk": 50}
    assert found["published"]["parameters"] == 51_600_000
    assert found["parameters"] == sum(found["by_part"].values()) == 51_587_982


def test_a_small_size_is_counted_for_the_cell():
    found = facts_of("oft-small")
    assert found["published"] is None
    assert found["counted_for"]["image_px"] == 96
    assert found["takes_weights"]["trunk"] == "LlamaModel"
    assert (found["kind"], found["flow_convention"], found["learning_rate"]) == ("chunk_regression", "", None)


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match=r"no preset 'oft-smal'.*Did you mean 'oft-small'"):
        facts_of("oft-smal")
    assert card_of("act-small").family == "act"


@pytest.mark.parametrize(
    ("count", "written"), [(279_520, "0.28 M"), (51_587_982, "51.59 M"), (7_541_237_184, "7,541 M")]
)
def test_numbers_are_written_in_millions(count, written):
    assert millions(count) == written


def test_the_difference_to_the_publication_has_a_sign(found):
    act = next(one for one in found if one["family"] == "act")
    less = act | {"presets": [act["presets"][0] | {"parameters": 50_000_000}]}
    assert "| `act` | 50.00 M |  | 51.60 M | -3.10% | LeRobot 0.4.4" in page([less])


def test_what_is_not_built_counts_as_published(found):
    smolvla = next(one for one in found if one["family"] == "smolvla")["presets"][0]
    assert sum(smolvla["published"]["unbuilt"].values()) > 40e6
    (row,) = [line for line in page(found).splitlines() if line.startswith("| `smolvla` ")]
    assert "47.31 M: output layer over the vocabulary" in row
    assert "| +0.01% |" in row


def test_what_is_read_is_said_in_words():
    assert reads({"cameras": 1, "image_px": 32, "state": False, "instructions": True}) == "cameras, instructions"
