"""episode.html by its JSON, episode.rrd by reading it back."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from beside import UNIT, helpers
from PIL import Image

from components.core.errors import DatasetError, UsageError
from components.dataset.parts import Part, parts_of
from components.view import episode_page
from components.view.find import Chosen, find_episode
from components.view.recording import write_recording
from components.view.signals import read_signals
from components.view.view import Viewed, view

_VIEW = helpers(UNIT / "view" / "conftest.py")
Page = helpers(UNIT / "view" / "test_card.py").Page


@pytest.fixture(scope="module")
def chosen(parts: list[Part], verdicts: Path) -> Chosen:
    return find_episode(parts, "2", where="kitchen", verdicts=verdicts)


@pytest.fixture(scope="module")
def viewed(chosen: Chosen, tmp_path_factory: pytest.TempPathFactory) -> Viewed:
    return view(chosen, tmp_path_factory.mktemp("view") / "2")


@pytest.fixture(scope="module")
def told(viewed: Viewed) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(Page(viewed.html.read_text()).blocks["episode"])
    return value


def picture(data: bytes) -> npt.NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(data)), np.float64)


def psnr_db(left: Any, right: Any) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.asarray(left, np.float64) - right) ** 2)))


def test_the_page_needs_nothing_else(viewed: Viewed) -> None:
    assert Page(viewed.html.read_text()).links == []


def test_the_page_shows_every_frame(told: dict[str, Any], chosen: Chosen) -> None:
    assert list(told["cameras"]) == ["fixed", "wrist"]
    assert told["ticks"] == list(range(22))
    images = chosen.dataset.images(2, "wrist")
    for image, uri in zip(images, told["cameras"]["wrist"], strict=True):
        assert psnr_db(image, picture(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")))) > 25


def test_the_page_holds_the_numbers_with_names_and_units(told: dict[str, Any], chosen: Chosen) -> None:
    frames = chosen.dataset.frames(2)
    hand, *_ = told["groups"]
    assert (hand["path"], hand["names"], hand["units"]) == ("state/hand", ["hand_x", "hand_y", "hand_z"], "m")
    shown = np.array([column for group in told["groups"][2:4] for column in group["values"]], np.float32)
    np.testing.assert_array_equal(shown.T, frames["action"])
    np.testing.assert_allclose(told["time_s"], frames["observation.time"], atol=1e-4)
    assert told["control"][1] == {"from": 9, "to": 22, "source": "human"}


def test_the_page_says_where_the_episode_comes_from(viewed: Viewed, chosen: Chosen) -> None:
    html = viewed.html.read_text()
    for name, value in (("robot_id", "cell-a"), ("licence", "cc-by-4.0"), ("dataset", chosen.dataset.digest)):
        assert f"<tr><th>{name}</th><td>{value}</td></tr>" in html
    assert "<tr><th>calibration_digest</th><td>not said</td></tr>" in html
    assert '<p id="verdict" class="quarantined">quarantined: black_frames, idle</p>' in html


def test_words_of_a_recording_are_no_markup(parts: list[Part], tmp_path: Path) -> None:
    odd = find_episode(parts, "6", where="kitchen")
    odd = replace(odd, row={**odd.row, "instruction": "</script><script>alert(1)</script>"})
    html = view(odd, tmp_path).html.read_text()
    assert "<script>alert" not in html
    assert "pour &lt;b&gt;|x&lt;/b&gt;" in html
    assert '<p id="verdict">not judged</p>' in html


def test_the_same_episode_gives_the_same_page(viewed: Viewed, chosen: Chosen, tmp_path: Path) -> None:
    assert view(chosen, tmp_path).html.read_bytes() == viewed.html.read_bytes()


def test_a_long_episode_is_thinned_and_says_so(chosen: Chosen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_page, "MOST_FRAMES", 5)
    monkeypatch.setattr("components.view.view.MOST_FRAMES", 5)
    monkeypatch.setattr(episode_page, "MOST_POINTS", 8)
    html = view(chosen, tmp_path).html.read_text()
    told = json.loads(Page(html).blocks["episode"])
    assert told["ticks"] == [0, 5, 10, 16, 21]
    assert len(told["cameras"]["fixed"]) == 5
    assert len(told["groups"][0]["values"][0]) == len(told["point_time_s"]) == 8
    assert "Every picture stands for several frames" in html


def chunks(path: Path) -> dict[str, list[pa.RecordBatch]]:
    """Entity path -> its record batches."""
    from rerun.chunk import RrdReader

    found: dict[str, list[pa.RecordBatch]] = {}
    for chunk in RrdReader(path).stream():
        found.setdefault(chunk.entity_path, []).append(chunk.to_record_batch())
    return found


def column(batches: list[pa.RecordBatch], name: str) -> list[Any]:
    return [value for batch in batches if name in batch.schema.names for value in batch.column(name).to_pylist()]


def test_the_recording_reads_back(viewed: Viewed, chosen: Chosen) -> None:
    frames = chosen.dataset.frames(2)
    found = chunks(viewed.recording)
    hand = found["/state/hand"]
    np.testing.assert_allclose(column(hand, "Scalars:scalars"), frames["observation.state"][:, :3])
    assert column(hand, "SeriesLines:names") == [["hand_x (m)", "hand_y (m)", "hand_z (m)"]]
    assert column(hand, "frame") == list(range(22))
    seconds = [value.total_seconds() for value in column(hand, "sensor_time")]
    np.testing.assert_allclose(seconds, frames["observation.time"], atol=1e-6)
    np.testing.assert_allclose(column(found["/action/arm"], "Scalars:scalars"), frames["action"][:, :3])
    assert column(found["/control_source"], "TextLog:text") == [["policy"], ["human"]]
    assert column(found["/control_source"], "frame") == [0, 9]
    (words,) = column(found["/episode"], "TextDocument:text")[0]
    assert "- robot_id: cell-a" in words
    assert "- verdict: quarantined black_frames idle" in words


def test_the_recording_holds_the_pictures(viewed: Viewed, chosen: Chosen) -> None:
    batches = chunks(viewed.recording)["/cameras/wrist"]
    shown = [bytes(blob) for (blob,) in column(batches, "EncodedImage:blob")]
    images = chosen.dataset.images(2, "wrist")
    assert len(shown) == len(images) == 22
    assert min(psnr_db(image, picture(data)) for image, data in zip(images, shown, strict=True)) > 28


def test_the_recording_is_named_by_its_episode_and_its_content_repeats(
    viewed: Viewed, chosen: Chosen, tmp_path: Path
) -> None:
    from rerun.chunk import RrdReader

    (store,) = RrdReader(viewed.recording).recordings()
    assert (store.application_id, store.recording_id) == ("gripline", chosen.episode_id)
    again, first = chunks(view(chosen, tmp_path).recording), chunks(viewed.recording)
    assert again.keys() == first.keys()
    for path, batches in first.items():
        for name in {name for batch in batches for name in batch.schema.names if "RowId" not in name}:
            assert column(again[path], name) == column(batches, name), (path, name)


def test_depth_is_in_the_page_and_in_the_recording(tmp_path: Path) -> None:
    dataset = helpers(UNIT / "dataset" / "conftest.py")
    cell = replace(dataset.SMALL_CELL, observation=replace(dataset.SMALL_CELL.observation, depth=("ceiling",)))
    depth = np.random.default_rng(0).integers(300, 4000, (23, 12, 16), np.uint16)
    episode = dataset.make_episode(1, embodiment=cell, depth={"ceiling": depth})
    with dataset.DatasetWriter(tmp_path / "tree", cell, dataset.FPS, dataset.VIDEO) as writer:
        writer.add_frames(episode)
        writer.close(dataset.splits_of([episode]))
    viewed = view(find_episode(parts_of(tmp_path / "tree"), "0", where="tree"), tmp_path / "out")
    told = json.loads(Page(viewed.html.read_text()).blocks["episode"])
    assert [len(told["cameras"][name]) for name in ("fixed", "wrist", "ceiling (depth)")] == [23] * 3
    batches = chunks(viewed.recording)["/depth/ceiling"]
    shown = [np.frombuffer(bytes(buffer), np.uint16) for (buffer,) in column(batches, "DepthImage:buffer")]
    np.testing.assert_array_equal(np.stack(shown).reshape(depth.shape), depth)
    assert column(batches, "DepthImage:meter") == [[1000.0]] * 23


def test_an_episode_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    _VIEW.write_tree(tmp_path / "kitchen")
    for path in (tmp_path / "kitchen").rglob("*.mp4"):
        path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DatasetError, match="video cannot be decoded"):
        view(find_episode(parts_of(tmp_path / "kitchen"), "8", where="kitchen"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recording_that_fails_half_way_leaves_nothing(chosen: Chosen, tmp_path: Path) -> None:
    signals = read_signals(chosen.dataset, 2)
    with pytest.raises(ValueError, match="same length"):
        write_recording(tmp_path / "episode.rrd", chosen, signals, {"wrist": [b"one picture of 22"]})
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_none_is_refused(chosen: Chosen, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    for out, message in (
        (tmp_path / "notes", "notes: is a file"),
        (chosen.dataset.root / "meta", "lies in the dataset"),
    ):
        with pytest.raises(UsageError, match=message):
            view(chosen, out)
    assert (tmp_path / "notes").read_text() == "mine"
    assert not (chosen.dataset.root / "meta" / "episode.html").exists()
