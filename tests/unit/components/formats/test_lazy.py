from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import FormatError
from components.formats.lazy import ForwardFrames, FrameView, LazyFrames


class Squares(LazyFrames[int]):
    def __len__(self) -> int:
        return 5

    def _frame(self, number: int) -> int:
        return number * number


class Film(ForwardFrames[str]):
    """Frames that know how often they were begun and whether the last pass is closed."""

    def __init__(self, count: int, *, there: int) -> None:
        super().__init__(count)
        self.there, self.begun, self.open = there, 0, False

    def _begin(self) -> Iterator[str]:
        self.begun += 1
        self.open = True
        try:
            for number in range(self.there):
                yield f"frame {number}"
        finally:
            self.open = False

    def _too_few(self, found: int) -> FormatError:
        return FormatError(f"{found} of {len(self)} frames", code="bad_video")


@given(st.integers(-5, 4), st.slices(5))
def test_indices_and_slices_mean_what_they_mean_for_a_list(index: int, some: slice) -> None:
    plain = [0, 1, 4, 9, 16]
    assert Squares()[index] == plain[index]
    assert Squares()[some] == plain[some]
    assert FrameView(Squares(), range(5)[some])[:] == plain[some]


@pytest.mark.parametrize("beyond", [5, -6])
def test_a_frame_beyond_the_end_is_named(beyond: int) -> None:
    with pytest.raises(IndexError, match=f"frame {beyond} of 5"):
        Squares()[beyond]
    assert list(Squares()) == [0, 1, 4, 9, 16]


def test_front_to_back_is_one_pass_that_ends_with_the_last_frame() -> None:
    film = Film(4, there=4)
    assert film.begun == 0
    assert [film[0], film[0], film[2]] == ["frame 0", "frame 0", "frame 2"]
    assert (film.begun, film.open) == (1, True)
    assert [film[-1], film[3]] == ["frame 3", "frame 3"]
    assert (film.begun, film.open) == (1, False)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_frames_in_any_order_are_the_same_and_only_going_back_begins_again(order: list[int]) -> None:
    film = Film(6, there=6)
    assert [film[number] for number in order] == [f"frame {number}" for number in order]
    backwards = sum(after < before for before, after in pairwise(order))
    assert film.begun == bool(order) + backwards


def test_a_pass_that_ends_early_is_closed_and_says_so_every_time() -> None:
    film = Film(4, there=2)
    for _ in range(2):
        assert film[1] == "frame 1"
        with pytest.raises(FormatError, match="2 of 4 frames"):
            film[2]
        assert not film.open
