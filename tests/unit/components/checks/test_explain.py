"""One episode of the last check explained: as an object, as text and as a page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from beside import UNIT, helpers
from hypothesis import given
from hypothesis import strategies as st

from components.checks.check import check_dataset
from components.checks.explain import explain
from components.checks.explain_page import charts, write_page
from components.checks.explained_text import as_text
from components.checks.named import row_of
from components.core.errors import DatasetError, InputError, UsageError
from components.core.params import load_params
from components.core.records import read_record, write_record
from components.dataset.reader import Dataset

EPISODES = helpers(UNIT / "checks" / "episodes.py")
NAN, GOOD = EPISODES.FAULTS["nan"][0](EPISODES.good(50)), EPISODES.good(3)
OTHERS = EPISODES.FAULTS["action_state_disagree"][0](EPISODES.good(51))


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """A folder with `dataset` and its `checks`; tests only read it."""
    root, params = tmp_path_factory.mktemp("explain"), load_params(project / "params.yaml")
    samples = [EPISODES.good(seed) for seed in range(10)]
    EPISODES.write_dataset(root / "dataset", [*samples, NAN, OTHERS], params.ingest.video)
    check_dataset(root / "dataset", root / "checks", root / "docs", params.checks)
    return root


def explained(root: Path, sample: Any) -> Any:
    return explain(root / "dataset", root / "checks", sample.row["episode_id"])


def test_what_broke_is_said_with_its_place(checked: Path) -> None:
    found = explained(checked, NAN).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["verdict"] == "quarantined"
    broken = next(one for one in found["broken"] if one["code"] == "nan")
    assert (broken["severity"], broken["meaning"]) == ("error", "a number is NaN or infinite")
    assert [(one["column"], one["value"], one["limit"]) for one in broken["numbers"]] == [("nan_count", 4.0, 0.0)]
    (place,) = broken["places"]
    assert (place["kind"], place["name"]) == ("channel", "state/hand_y")
    assert place["ticks"] == [{"first": 5, "last": 8, "from_s": 0.25, "to_s": 0.4}]
    text = as_text(explained(checked, NAN))
    assert "nan (error): a number is NaN or infinite; nan_count is 4, allowed is at most 0" in text
    assert "channel state/hand_y: 4 values are no numbers; frames 5-8 (0.25-0.40 s)" in text


def test_a_code_that_sets_aside_by_one_number_and_warns_by_another_is_an_error(checked: Path) -> None:
    found = explained(checked, OTHERS)
    (broken,) = [one for one in found.broken if one.code == "action_state_disagree"]
    assert (found.verdict, broken.severity) == ("quarantined", "error")
    assert [one.column for one in broken.numbers] == ["action_contradicted", "action_unexplained"]


def test_an_accepted_episode_shows_its_headroom(checked: Path) -> None:
    found = explained(checked, GOOD)
    assert (found.verdict, found.broken) == ("accepted", ())
    used = [judged.used for judged in found.headroom if judged.used is not None]
    assert used == sorted(used, reverse=True)
    assert all(share <= 1 for share in used)
    text = as_text(found)
    assert text.splitlines()[0].endswith(f"{GOOD.row['source_uri']}: accepted")
    assert "closest to their limits:" in text
    reasons = found.not_judged.items()
    assert all(f"not judged: {code}, because {why}" in text for code, why in reasons)


def test_the_page_shades_the_guilty_ticks_and_shows_pictures_there(checked: Path, tmp_path: Path) -> None:
    found = explained(checked, NAN)
    html = write_page(found, tmp_path / "one").read_text()
    assert '<p id="verdict" class="quarantined">' in html
    assert "frame 6, 0.30 s: fixed, wrist" in html
    shades = {name: figure["layout"]["shapes"] for name, figure in charts(found).items()}
    (shaded,) = [shade for shade in shades["state/hand"] if shade["label"]["text"] == "nan"]
    assert (shaded["x0"], shaded["x1"]) == (4.5, 8.5)
    assert not [shade for shade in shades["kept/joints"] if shade["label"]["text"] == "nan"]
    drawn = json.loads(re.findall(r'id="charts">(.*?)</script>', html, re.DOTALL)[0])
    lines = {line["name"]: line["y"] for figure in drawn for line in figure["data"]}
    assert [place for place, value in enumerate(lines["hand_y"]) if value is None] == [5, 6, 7, 8]
    assert write_page(found, tmp_path / "two").read_text() == html


def test_a_page_does_not_go_into_the_dataset(checked: Path) -> None:
    with pytest.raises(UsageError, match="lies in the dataset"):
        write_page(explained(checked, GOOD), checked / "dataset" / "pages")


def test_what_was_not_checked_cannot_be_explained(checked: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no check of the dataset.*Run `gripline check .*dataset` first"):
        explain(checked / "dataset", tmp_path / "checks", "0")


def test_a_check_of_an_older_dataset_explains_nothing(checked: Path, tmp_path: Path) -> None:
    checks = Path(shutil.copytree(checked / "checks", tmp_path / "checks"))
    report = json.loads((checks / "checks.json").read_text())
    (checks / "checks.json").write_text(json.dumps(report | {"dataset_digest": "0" * 64}))
    with pytest.raises(InputError, match=r"judged the dataset 000000000000, which is \w{12} now.*again"):
        explain(checked / "dataset", checks, "0")


@pytest.mark.parametrize("name", ["checks.json", "episodes_table.parquet", "measures.parquet"])
def test_a_damaged_check_says_what_to_do(checked: Path, tmp_path: Path, name: str) -> None:
    checks = Path(shutil.copytree(checked / "checks", tmp_path / "checks"))
    (checks / name).write_bytes(b"PAR1 is not all")
    with pytest.raises(InputError, match=rf"{re.escape(name)}.*`gripline check`"):
        explain(checked / "dataset", checks, "0")


def test_limits_are_those_of_the_check_and_not_of_today(checked: Path, tmp_path: Path) -> None:
    checks = Path(shutil.copytree(checked / "checks", tmp_path / "checks"))
    record = read_record(checks)
    record.params["min_frames"] = 39
    write_record(checks, record)
    found = explain(checked / "dataset", checks, GOOD.row["source_uri"])
    assert next(judged.used for judged in found.headroom if judged.column == "length") == pytest.approx(39 / 40)


IDS = ["12ab" + "0" * 60, "12ac" + "0" * 60, "7" + "0" * 63]
TABLE = pa.table({"episode_id": IDS, "episode_index": [0, 4, 7], "source_uri": ["a.mcap", "b.mcap#1", "b.mcap#1"]})


@pytest.mark.parametrize(
    ("episode", "row"), [("0", 0), ("4", 1), ("7", 2), ("12ab", 0), (IDS[1], 1), ("a.mcap", 0), ("70", 2)]
)
def test_an_episode_is_found_by_what_is_at_hand(episode: str, row: int) -> None:
    assert row_of(TABLE, episode, where="kitchen") == row


@pytest.mark.parametrize(
    ("episode", "said"),
    [
        ("12a", "means more than one episode: 12ab00000000, 12ac00000000"),
        ("b.mcap#1", "means more than one"),
        ("5", "kitchen: no episode '5'"),
        ("", "no episode ''"),
        ("a.mca", "no episode 'a.mca'"),
    ],
)
def test_what_names_none_or_many_is_refused(episode: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        row_of(TABLE, episode, where="kitchen")


@given(st.integers(0, 20), st.integers(1, 64))
def test_every_beginning_that_only_one_has_is_enough(place: int, length: int) -> None:
    ids = [f"{number:02x}" * 32 for number in range(100, 121)]
    table = pa.table({"episode_id": ids, "episode_index": range(21), "source_uri": [""] * 21})
    beginning = ids[place][:length]
    if sum(one.startswith(beginning) for one in ids) == 1 and not re.fullmatch(r"1?[0-9]|20", beginning):
        assert row_of(table, beginning, where="") == place


def test_explaining_opens_the_dataset_that_was_judged(checked: Path) -> None:
    assert explained(checked, GOOD).as_dict()["dataset_digest"] == Dataset.open(checked / "dataset").digest
