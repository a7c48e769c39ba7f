from __future__ import annotations

import h5py
import pytest
from transfer import draw, table
from transfer_robots import SECOND, relabelled

ROWS = [
    {"number": number, "seed": seed, "start": start, "episodes": 2.0 * number, "error": error + 0.1 * seed}
    for number in (5, 10)
    for seed in (1, 2)
    for start, error in (("scratch", 0.4), ("base", 0.2))
]


def test_the_table_holds_both_seeds_of_both_starts():
    lines = table(ROWS, (5, 10), "error").splitlines()
    assert lines[0] == "error, mean of 2 seeds (each)"
    assert lines[2].split() == ["5", "10", "0.550", "(0.500,", "0.600)", "0.350", "(0.300,", "0.400)"]
    assert len(lines) == 4


def test_the_picture_of_the_same_rows_is_the_same(tmp_path):
    for name in ("one.png", "two.png"):
        draw(ROWS, (5, 10), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_the_second_robot_is_of_other_widths():
    assert (len(SECOND.observation.state_names), SECOND.action.dim, SECOND.observation.cameras) == (11, 3, ("wrist",))


@pytest.mark.parametrize("demos", [1, 2])
def test_a_copy_says_that_it_is_of_the_second_robot(tmp_path, demos):
    with h5py.File(tmp_path / "raw.hdf5", "w") as file:
        for number in range(demos):
            file.create_group(f"data/demo_{number}").attrs["embodiment"] = "sawyer-cell"
    copy = relabelled(tmp_path / "raw.hdf5", tmp_path / "copies" / "raw.hdf5", "arm")
    with h5py.File(copy) as file:
        assert [demo.attrs["embodiment"] for demo in file["data"].values()] == ["arm"] * demos
    with h5py.File(tmp_path / "raw.hdf5") as file:
        assert file["data/demo_0"].attrs["embodiment"] == "sawyer-cell"
