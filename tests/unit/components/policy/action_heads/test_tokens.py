from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor
from transformers import LlamaConfig, LlamaModel

from components.core.errors import ContractError
from components.policy.action_heads.tokens import ActionIds, ActionTokens, centres, edges
from components.policy.parts.blocks import BlockTrunk
from components.policy.parts.decoder import Decoder
from components.policy.parts.masks import causal
from components.policy.parts.segments import TEXT, VIEWS, Context, Segment

CHUNK, ACTIONS, END, ROWS, WIDTH = 2, 3, 300, 304, 32
TOTAL = CHUNK * ACTIONS
ids = ActionIds(32_000, CHUNK, ACTIONS)
chunks = hnp.arrays(np.float32, (2, CHUNK, ACTIONS), elements=st.floats(-1.5, 1.5, width=32))


@pytest.fixture(scope="module")
def head() -> ActionTokens:
    torch.manual_seed(2)
    return ActionTokens(trunk(), CHUNK, ACTIONS, end=END, rows=ROWS)


def trunk() -> Decoder:
    config = LlamaConfig(
        vocab_size=ROWS, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, pad_token_id=0, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(1)
    return Decoder(LlamaModel(config)).eval()


def context_of(text: int, padded: int = 0) -> Context:
    """Three patches, `text` words, `padded` times padding; the words are the same whatever follows them."""
    model, generator = trunk(), torch.Generator().manual_seed(3)
    views = Segment.whole(VIEWS, torch.randn(2, 3, WIDTH, generator=generator))
    tokens = torch.cat([torch.arange(1, 1 + 2 * text).view(2, text), torch.zeros(2, padded, dtype=torch.int64)], 1)
    segments = [views, Segment(TEXT, model.embed(tokens), tokens != 0)]
    with torch.no_grad():
        hidden, cache = model(segments, causal((VIEWS, TEXT)))
    read = [Segment(one.name, made, one.seen) for one, made in zip(segments, hidden, strict=True)]
    return Context(tuple(read), torch.zeros(2, 1), tokens, model, cache)


def step_by_step(context: Context, given: Tensor) -> Tensor:
    """Hidden states from which each of `given` is predicted, the cache growing token by token."""
    count = context.seen.sum(1)
    hidden, seen = context.hidden()
    made = [hidden[torch.arange(2), count - 1]]
    cache = context.cache
    for step in range(given.shape[1] - 1):
        seen = torch.cat([seen, torch.ones(2, 1, dtype=torch.bool)], dim=1)
        later, cache = context.trunk.extend(
            context.trunk.embed(given[:, step : step + 1]), cache, seen[:, None, None], (count + step)[:, None]
        )
        made.append(later[:, 0])
    return torch.stack(made, dim=1)


def test_edges_and_centres_are_the_published_ones():
    published = np.linspace(-1, 1, 256)
    np.testing.assert_array_equal(edges(), published)
    np.testing.assert_array_equal(centres(), (published[:-1] + published[1:]) / 2.0)


@given(actions=chunks)
def test_actions_become_the_published_ids(actions):
    expected = 32_000 - np.digitize(np.clip(actions, a_min=-1.0, a_max=1.0), np.linspace(-1, 1, 256))
    found = ids.write(torch.from_numpy(actions))
    np.testing.assert_array_equal(found.numpy(), expected.reshape(2, -1))
    assert ids.first == 31_744
    assert ((found >= ids.first) & (found < 32_000)).all()


def test_an_edge_belongs_to_the_bin_above_it():
    one = ActionIds(32_000, 256, 1)
    written = one.write(torch.from_numpy(edges()).view(1, 256, 1))
    assert written[0].tolist() == list(range(31_999, 31_743, -1))


@given(found=hnp.arrays(np.int64, (2, TOTAL), elements=st.integers(31_500, 32_010)))
def test_ids_are_read_as_published(found):
    place = np.clip(32_000 - found - 1, a_min=0, a_max=254)
    np.testing.assert_array_equal(
        ids.read(torch.from_numpy(found)).numpy(), centres()[place].astype(np.float32).reshape(2, CHUNK, ACTIONS)
    )


@given(actions=chunks)
def test_what_is_written_is_read_within_half_a_bin(actions):
    cut = np.clip(actions, -1.0, 1.0)
    read = ids.read(ids.write(torch.from_numpy(actions))).numpy()
    assert np.abs(read - cut).max() <= 1.0 / 255 + 1e-6


@pytest.mark.parametrize("padded", [0, 2])
def test_teacher_forcing_in_one_pass_is_decoding_step_by_step(head, padded):
    context = context_of(4, padded)
    given = torch.randint(END - 256, END, (2, TOTAL), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        forced = head.forced(context, given)
        torch.testing.assert_close(forced, step_by_step(context, given), atol=1e-5, rtol=1e-5)
        # A later token changes nothing before it.
        other = torch.cat([given[:, :3], given[:, 3:] - 1], dim=1)
        torch.testing.assert_close(head.forced(context, other)[:, :4], forced[:, :4], atol=1e-5, rtol=1e-5)
        assert (head.forced(context, other)[:, 4:] - forced[:, 4:]).abs().max() > 1e-3


@pytest.mark.parametrize("padded", [0, 2])
def test_the_answer_is_the_most_likely_action_each_time(head, padded):
    context = context_of(4, padded)
    with torch.no_grad():
        chosen = head.chosen(context)
        logits = head.forced(context, chosen) @ head.out.weight.T
    assert len(chosen.unique()) > 2
    torch.testing.assert_close(logits[..., END - 256 : END].argmax(2) + END - 256, chosen)
    torch.testing.assert_close(head.answer(context), head.ids.read(chosen))


def test_a_word_is_never_answered(head):
    context = context_of(4)
    loud = ActionTokens(context.trunk, CHUNK, ACTIONS, end=END, rows=ROWS)
    loud.load_state_dict(head.state_dict())
    with torch.no_grad():
        loud.out.weight[: END - 256] *= 100.0
        loud.out.weight[END:] *= 100.0
        chosen = loud.chosen(context)
        free = (loud.forced(context, chosen) @ loud.out.weight.T).argmax(2)
    assert ((free < END - 256) | (free >= END)).all()
    assert ((chosen >= END - 256) & (chosen < END)).all()


def test_padding_behind_the_words_changes_nothing(head):
    with torch.no_grad():
        assert torch.equal(head.chosen(context_of(3)), head.chosen(context_of(3, padded=3)))


def test_what_is_past_the_end_is_not_learnt(head):
    context = context_of(4)
    batch = {"actions": torch.rand(2, CHUNK, ACTIONS) - 0.5, "mask": torch.tensor([[1.0, 1.0], [1.0, 0.0]])}
    changed = batch | {"actions": batch["actions"].clone()}
    changed["actions"][1, 1] = 0.9
    with torch.no_grad():
        total, count, parts = head.loss(context, batch)
        assert head.loss(context, changed).total == total
    assert count == 3 * ACTIONS
    # Nothing is known yet: about as likely as any row.
    assert parts["cross_entropy"] == pytest.approx(np.log(ROWS), rel=0.2)


def test_the_table_of_words_can_be_the_output_layer():
    context = context_of(4)
    tied = ActionTokens(context.trunk, CHUNK, ACTIONS, end=END, scale=0.5)
    assert not list(tied.parameters())
    with torch.no_grad():
        logits = tied.forced(context, tied.chosen(context)) @ context.trunk.model.embed_tokens.weight.T
    torch.testing.assert_close(logits[..., END - 256 : END].argmax(2) + END - 256, tied.chosen(context))


def test_one_number_needs_no_loop():
    context = context_of(4)
    single = ActionTokens(context.trunk, 1, 1, end=END, rows=ROWS)
    batch = {"actions": torch.zeros(2, 1, 1), "mask": torch.ones(2, 1)}
    assert single.answer(context).shape == (2, 1, 1)
    assert torch.isfinite(single.loss(context, batch).total)


def test_a_trunk_without_a_cache_is_refused():
    with pytest.raises(ContractError, match="BlockTrunk keeps no keys and values"):
        ActionTokens(BlockTrunk(WIDTH, []), CHUNK, ACTIONS, end=END, rows=ROWS)
