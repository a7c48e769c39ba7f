from __future__ import annotations

import pytest

from components.core.errors import ParamsError
from components.train.names import beside_adapter, covered, is_adapter, plain, require_match

NAMES = ("eyes.0.conv.weight", "eyes.1.conv.weight", "head.mlp.0.weight", "language.words.weight")


def test_a_star_matches_dots_and_case_matters():
    assert covered("eyes.*", NAMES) == list(NAMES[:2])
    assert covered("*.weight", NAMES) == list(NAMES)
    assert covered("eyes.?.conv.weight", NAMES) == list(NAMES[:2])
    assert covered("Eyes.*", NAMES) == covered("conv", NAMES) == []


def test_nothing_found_says_what_is_near():
    require_match("train.freeze", "head.*", NAMES, "parameter")
    with pytest.raises(ParamsError, match=r"^train.freeze: 'lang\.word\*' matches no parameter.*are language\.words"):
        require_match("train.freeze", "lang.word*", NAMES, "parameter")


@pytest.mark.parametrize(
    ("name", "before", "kind"),
    [
        ("head.mlp.0.base_layer.weight", "head.mlp.0.weight", "base"),
        ("head.mlp.0.lora_A.default.weight", "head.mlp.0.lora_A.default.weight", "adapter"),
        ("head.mlp.2.bias", "head.mlp.2.bias", "whole"),
    ],
)
def test_names_beside_adapters(name, before, kind):
    assert plain(name) == before
    assert (beside_adapter(name), is_adapter(name)) == (kind == "base", kind == "adapter")
