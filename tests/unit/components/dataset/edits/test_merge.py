"""Manifests: what they name, that they copy no frame, and that they notice when a member changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import DatasetError, UsageError
from components.core.files import tree_manifest
from components.core.records import read_record
from components.dataset.edits.delete import delete
from components.dataset.edits.merge import merge
from components.dataset.edits.renumber import renumber
from components.dataset.edits.subset import subset
from components.dataset.frames import EpisodeFrames
from components.dataset.manifest import MANIFEST, is_manifest, read_manifest
from components.dataset.parts import Part, digest_of, parts_of
from components.dataset.reader import Dataset

AtSite = Callable[[int, str], EpisodeFrames]


def ids_of(parts: list[Part]) -> list[str]:
    return [part.dataset.episode_id(number) for part in parts for number in part.indices.tolist()]


@pytest.fixture
def own_sites(sites: Path, tmp_path: Path) -> Path:
    """Copies of the two datasets to change."""
    return Path(shutil.copytree(sites, tmp_path / "sites"))


def test_each_episode_counts_once_and_the_first_wins(sites: Path, tmp_path: Path, at_site: AtSite) -> None:
    done = merge([sites / "north", sites / "south"], tmp_path / "all")
    assert done.doubles == {"south": 1}
    parts = parts_of(tmp_path / "all")
    assert [(part.name, len(part)) for part in parts] == [("north", 4), ("south", 3)]
    assert sorted(ids_of(parts)) == sorted(at_site(seed, "").episode_id for seed in range(7))
    for part in parts:
        assert ids_of([part]) == sorted(ids_of([part]))
        for number in part.indices.tolist():
            assert len(part.dataset.images(number, "wrist")) == 5
    north, south = read_manifest(tmp_path / "all").members
    assert (north.sites, north.whole, north.frames) == (("north",), True, 20)
    assert (south.sites, south.whole, south.frames) == (("south",), False, 15)


def test_it_copies_no_frame_and_names_members_relative_to_itself(sites: Path, tmp_path: Path) -> None:
    before = tree_manifest(sites)
    merge([sites / "north", sites / "south"], tmp_path / "all")
    assert tree_manifest(sites) == before
    assert {path.suffix for path in (tmp_path / "all").rglob("*") if path.is_file()} == {".json", ".parquet"}
    assert not [path for path in (tmp_path / "all").rglob("*") if path.parent.name == "data"]
    for member in read_manifest(tmp_path / "all").members:
        assert not Path(member.uri).is_absolute()
        assert (tmp_path / "all" / member.uri).resolve() == sites / member.name


def test_the_digest_is_that_of_one_tree_and_knows_no_order(
    sites: Path, tmp_path: Path, at_site: AtSite, write_tree: Callable[..., str]
) -> None:
    one = merge([sites / "north", sites / "south"], tmp_path / "one").manifest.digest
    other = merge([sites / "south", sites / "north"], tmp_path / "other").manifest.digest
    whole = write_tree(
        tmp_path / "tree", [at_site(seed, "north" if seed < 4 else "south") for seed in (6, 0, 5, 1, 4, 2, 3)]
    )
    assert one == other == whole == digest_of(tmp_path / "one") == digest_of(tmp_path / "tree")
    assert merge([sites / "north"], tmp_path / "few").manifest.digest == Dataset.open(sites / "north").digest
    record = read_record(tmp_path / "one", kind="manifest")
    assert (record.digest, record.counts) == (one, {"episodes": 7, "frames": 35})
    assert record.inputs == {name: Dataset.open(sites / name).digest for name in ("north", "south")}


def test_the_same_merge_gives_the_same_bytes(own_sites: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        merge([own_sites / "north", own_sites / "south"], tmp_path / name)
    assert tree_manifest(tmp_path / "one") == tree_manifest(tmp_path / "two")


def test_a_manifest_of_manifests_names_their_datasets(sites: Path, tmp_path: Path) -> None:
    merge([sites / "north", sites / "south"], tmp_path / "all")
    subset(sites / "north", [0, 2], tmp_path / "few")
    done = merge([tmp_path / "few", tmp_path / "all", sites / "south"], tmp_path / "again")
    assert done.manifest.digest == digest_of(tmp_path / "all")
    assert [(member.name, member.episodes, member.whole) for member in done.manifest.members] == [
        ("north", 4, True),
        ("south", 4 - 1, False),
    ]


def test_several_embodiments_are_grouped(sites: Path, other_robot: Path, tmp_path: Path) -> None:
    done = merge([sites / "north", other_robot, sites / "south"], tmp_path / "all")
    groups = {one["name"]: (one["episodes"], one["frames"]) for one in done.manifest.totals["embodiments"].values()}
    assert groups == {"sawyer-cell": (7, 35), "other-cell": (1, 4)}
    assert done.manifest.totals["sites"] == {"": 1, "north": 4, "south": 3}
    assert done.manifest.digest not in {Dataset.open(sites / "north").digest, Dataset.open(other_robot).digest}
    assert {part.dataset.embodiment.name for part in parts_of(tmp_path / "all")} == set(groups)


def test_members_of_one_name_are_told_apart_and_can_be_named(sites: Path, tmp_path: Path) -> None:
    for site in ("north", "south"):
        shutil.copytree(sites / site, tmp_path / site / "dataset")
    paths = [tmp_path / "north/dataset", tmp_path / "south/dataset"]
    assert [member.name for member in merge(paths, tmp_path / "all").manifest.members] == ["dataset", "dataset-2"]
    named = merge([("lab-a", paths[0]), ("lab-b", paths[1])], tmp_path / "named")
    assert [member.name for member in named.manifest.members] == ["lab-a", "lab-b"]


def test_a_member_that_changed_is_refused(own_sites: Path, tmp_path: Path) -> None:
    merge([own_sites / "north", own_sites / "south"], tmp_path / "all")
    dataset = Dataset.open(own_sites / "south")
    delete(own_sites / "south", [dataset.episode_id(2)])
    with pytest.raises(DatasetError, match=r"the member 'south' has changed since: 1 of the .*Make the manifest"):
        parts_of(tmp_path / "all")


def test_a_member_may_be_numbered_anew(own_sites: Path, tmp_path: Path) -> None:
    delete(own_sites / "south", [Dataset.open(own_sites / "south").episode_id(1)])
    merge([own_sites / "north", own_sites / "south"], tmp_path / "all")
    before = ids_of(parts_of(tmp_path / "all"))
    renumber(own_sites / "south")
    assert ids_of(parts_of(tmp_path / "all")) == before


def test_a_manifest_that_was_tampered_with_is_refused(sites: Path, tmp_path: Path) -> None:
    merge([sites / "north", sites / "south"], tmp_path / "all")
    table = next((tmp_path / "all/members/south").rglob("episodes.parquet"))
    table.write_bytes(table.read_bytes()[:-1])
    with pytest.raises(DatasetError, match="differs from what the manifest was made with"):
        parts_of(tmp_path / "all")
    table.unlink()
    with pytest.raises(DatasetError, match="there is no members/south/"):
        parts_of(tmp_path / "all")


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not a manifest"), ("{}", "'kind'"), ('{"kind": "manifest", "version": 9}', "version 9")],
)
def test_what_is_no_manifest_is_told(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(DatasetError, match=said):
        read_manifest(tmp_path)


def test_a_folder_that_is_there_is_kept(sites: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is there already"):
        merge([sites / "north"], tmp_path)
    assert not is_manifest(tmp_path)


class TestElsewhere:
    """A member that is not on this machine."""

    @pytest.fixture
    def away(self, own_sites: Path, tmp_path: Path) -> Path:
        """A manifest whose member `south` was moved; the new place."""
        merge([own_sites / "north", own_sites / "south"], tmp_path / "all")
        return Path(shutil.move(own_sites / "south", tmp_path / "archive"))

    def test_it_can_be_counted_and_selected(self, away: Path, tmp_path: Path) -> None:
        part = parts_of(tmp_path / "all")[1]
        assert (len(part), len(part.dataset)) == (3, 3)
        assert part.dataset.lengths.tolist() == [5, 5, 5]
        assert part.dataset.table(["site"])["site"].to_pylist() == ["south"] * 3
        assert part.dataset.episodes["split"].tolist() == ["val", "train", "train"]
        assert ids_of([part]) == sorted(part.dataset.episodes["episode_id"])
        assert part.dataset.row(int(part.indices[0]))["collector_id"].startswith("person-")
        with pytest.raises(DatasetError, match="no episode 99"):
            part.dataset.row(99)

    def test_its_frames_are_an_error_that_says_where_it_lay(self, away: Path, tmp_path: Path) -> None:
        dataset = parts_of(tmp_path / "all")[1].dataset
        number = int(dataset.indices[0])
        for read in (
            lambda: dataset.frames(number),
            lambda: dataset.images(number, "wrist"),
            lambda: dataset.streams_of(number),
            lambda: dataset.sources,
            lambda: dataset.listed,
            lambda: dataset.stats,
            lambda: dataset.stats_of(dataset.indices.tolist()),
            dataset.verify,
        ):
            with pytest.raises(
                DatasetError, match=r"'south' of site south is not on this machine, it lay at .*south.*--at south=PATH"
            ):
                read()

    def test_it_is_found_again(self, away: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (part,) = parts_of(tmp_path / "all", {"south": away})[1:]
        assert len(part.dataset.frames(int(part.indices[0]))["action"]) == 5
        monkeypatch.setenv("GRIPLINE_AT", f"south={away}")
        (part,) = parts_of(tmp_path / "all")[1:]
        assert part.dataset.root == away
        with pytest.raises(UsageError, match="no folder, given for the member 'south'"):
            parts_of(tmp_path / "all", {"south": away / "nowhere"})
        with pytest.raises(DatasetError, match="the member 'south' has changed since: 3 of the 3 chosen episodes"):
            parts_of(tmp_path / "all", {"south": tmp_path / "sites/north"})

    def test_a_whole_one_still_has_its_statistics(self, own_sites: Path, tmp_path: Path) -> None:
        expected = Dataset.open(own_sites / "north").stats["action"]["mean"]
        merge([own_sites / "north"], tmp_path / "few")
        shutil.rmtree(own_sites / "north")
        dataset = parts_of(tmp_path / "few")[0].dataset
        np.testing.assert_array_equal(dataset.stats_of(dataset.indices.tolist())["action"]["mean"], expected)

    def test_it_can_be_merged_and_chosen_from(self, away: Path, tmp_path: Path, at_site: AtSite) -> None:
        subset(tmp_path / "all", [at_site(5, "south").episode_id], tmp_path / "deep/er/one")
        (member,) = read_manifest(tmp_path / "deep/er/one").members
        assert (member.name, member.episodes, member.whole) == ("south", 1, False)
        assert parts_of(tmp_path / "deep/er/one", {"south": away})[0].indices.tolist() == [2]
        assert (tmp_path / "deep/er/one" / member.uri).resolve() == tmp_path / "sites/south"

    def test_manifests_that_choose_different_episodes_of_it_come_together(self, sites: Path, tmp_path: Path) -> None:
        shutil.copytree(sites / "north", tmp_path / "north")
        expected = subset(tmp_path / "north", [0, 1, 2], tmp_path / "here").digest
        for name, numbers in {"one": [0, 1], "two": [1, 2]}.items():
            subset(tmp_path / "north", numbers, tmp_path / name)
        shutil.move(tmp_path / "north", tmp_path / "archive")
        done = merge([tmp_path / "one", tmp_path / "two"], tmp_path / "all")
        assert (done.manifest.digest, done.doubles) == (expected, {"north": 1})
        assert [(member.name, member.episodes) for member in done.manifest.members] == [("north", 2), ("north-2", 1)]
        shutil.move(tmp_path / "archive", tmp_path / "north")
        parts = parts_of(tmp_path / "all")
        assert sorted(number for part in parts for number in part.indices.tolist()) == [0, 1, 2]
        assert len(merge([tmp_path / "all"], tmp_path / "again").manifest.members) == 1


@pytest.mark.parametrize("pair", ["south", "=path", "so/uth=path", "south="])
def test_a_place_that_makes_no_sense(sites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: str) -> None:
    merge([sites / "north"], tmp_path / "all")
    monkeypatch.setenv("GRIPLINE_AT", pair)
    with pytest.raises(UsageError, match=r"NAME=PATH|cannot name a member"):
        parts_of(tmp_path / "all")


@pytest.mark.parametrize("uri", ["file://{}", "{}"])
def test_absolute_places(sites: Path, tmp_path: Path, uri: str) -> None:
    merge([sites / "north"], tmp_path / "all")
    value = json.loads((tmp_path / "all" / MANIFEST).read_text())
    value["members"][0]["uri"] = uri.format(sites / "north")
    (tmp_path / "all" / MANIFEST).write_text(json.dumps(value))
    assert parts_of(tmp_path / "all")[0].dataset.root == sites / "north"
    value["members"][0]["uri"] = "s3://bucket/north"
    (tmp_path / "all" / MANIFEST).write_text(json.dumps(value))
    with pytest.raises(DatasetError, match="it lay at s3://bucket/north"):
        parts_of(tmp_path / "all")[0].dataset.frames(0)
