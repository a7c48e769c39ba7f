from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from components.core.errors import InputError
from components.policy.foreign.layout import Directory
from components.policy.foreign.words import pieces, word_table
from components.transforms.steps import WordTokens

TOKENS = WordTokens(("close", "drawer", "zebra"), 16)


def test_words_in_pieces(tmp_path: Path) -> None:
    known = {"<unk>": 0, "close": 1, "drawer": 2}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    # Padding, unknown, and the words in the order of their numbers.
    assert pieces(Directory(tmp_path), TOKENS) == ((), (0,), (1,), (2,), (0,))


def test_without_a_tokenizer_and_with_a_broken_one(tmp_path: Path) -> None:
    assert pieces(Directory(tmp_path), TOKENS) is None
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer"):
        pieces(Directory(tmp_path), TOKENS)


def test_what_becomes_of_the_table() -> None:
    rules, left_out, fresh = word_table("theirs", "ours", ((), (1,)), 2, whole=False)
    assert (rules[0].theirs, left_out, fresh) == (("theirs",), (), ())
    rules, left_out, fresh = word_table("theirs", "ours", None, 2, whole=False)
    assert (rules, left_out[0].theirs, fresh[0].ours) == ((), "theirs", "ours")
    rules, left_out, fresh = word_table("theirs", "ours", None, 2, whole=True)
    assert (len(rules), left_out, fresh) == (1, (), ())
