"""The words of a dataset in the pieces of a trainer's own tokenizer, so that their rows begin as something known."""

from __future__ import annotations

from components.core.errors import InputError
from components.policy.foreign.layout import Directory
from components.policy.foreign.rules import Fresh, LeftOut, Rule, WordRows, one
from components.transforms.steps import UNKNOWN_ID, WordTokens

TOKENIZER_NAME = "tokenizer.json"
# Of SentencePiece and its kin, whichever a vocabulary has.
_UNKNOWN = ("<unk>", "[UNK]")


def pieces(folder: Directory, tokens: WordTokens) -> tuple[tuple[int, ...], ...] | None:
    """Ids of the pieces of each of our words, padding and unknown first; None without a tokenizer.json.

    Raises `InputError` for one that cannot be read.
    """
    path = folder.path / TOKENIZER_NAME
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"not a tokenizer: {error}", where=str(path)) from error
    unknown = next((number for name in _UNKNOWN if (number := tokenizer.token_to_id(name)) is not None), None)
    first: list[tuple[int, ...]] = [()] * (UNKNOWN_ID + 1)
    first[UNKNOWN_ID] = () if unknown is None else (unknown,)
    # As they stand within a sentence.
    spelled = [tuple(tokenizer.encode(f" {word}", add_special_tokens=False).ids) for word in tokens.vocabulary]
    return (*first, *spelled)


def word_table(
    theirs: str, ours: str, words: tuple[tuple[int, ...], ...] | None, rows: int, *, whole: bool
) -> tuple[tuple[Rule, ...], tuple[LeftOut, ...], tuple[Fresh, ...]]:
    """What becomes of a table of pieces. `whole`: ours has as many rows as theirs, and actions among them."""
    if words is not None:
        return (one(theirs, ours, WordRows(words, rows)),), (), ()
    if whole:
        return (one(theirs, ours),), (), ()
    why = "its rows are pieces of words, ours the words of the dataset, and there is no tokenizer.json to say which"
    return (), (LeftOut(theirs, why),), (Fresh(ours, "words begin anew: the file has no tokenizer.json beside it"),)
