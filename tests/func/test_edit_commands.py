"""gripline dataset delete, renumber, merge, subset, split, verify: what they print and what they end with."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beside import UNIT, helpers

from components.core.files import tree_manifest
from components.core.params import Video
from components.core.spec import SAWYER_CELL
from components.core.workspace import Workspace
from components.dataset.frames import ROW_COLUMNS, EpisodeFrames
from components.dataset.loading.cache import CacheFolder, key_of
from components.dataset.parts import part_of
from components.dataset.reader import Dataset
from components.dataset.writer import DatasetWriter
from flows.cli import main
from flows.commands import edit

VIDEO = Video(codec="h264", crf=30, gop=2, pix_fmt="yuv420p")
PX = SAWYER_CELL.observation.image_px


def episode(number: int) -> EpisodeFrames:
    rng = np.random.default_rng(number)
    pictures = np.full((3, PX, PX, 3), 20 * number, np.uint8)
    row = dict.fromkeys(ROW_COLUMNS, "") | {"embodiment": SAWYER_CELL.name, "site": ("north", "south")[number % 2]}
    return EpisodeFrames(
        episode_id=f"{number:08x}{0:056x}",
        task="drawer-open",
        instruction="open the drawer",
        images=dict.fromkeys(SAWYER_CELL.observation.cameras, pictures),
        state=rng.normal(size=(3, 4)).astype(np.float32),
        action=rng.normal(size=(3, 4)).astype(np.float32),
        time_s=np.arange(3) / 20,
        row=row,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("edit") / "dataset"
    with DatasetWriter(root, SAWYER_CELL, 20, VIDEO) as writer:
        for number in range(1, 7):
            writer.add_frames(episode(number))
        writer.close()
    return root


@pytest.fixture
def tree(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "dataset"))


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


class Gripline:
    """The command line in this process; nobody is there to answer a question."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], log: pytest.LogCaptureFixture
    ):
        self._monkeypatch = monkeypatch
        self._capfd = capfd
        self._log = log

    def __call__(self, *arguments: object) -> Done:
        return self.run("dataset", *arguments)

    def run(self, *arguments: object) -> Done:
        self._monkeypatch.setattr(sys, "argv", ["gripline", *map(str, arguments)])
        self._log.clear()
        self._capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        found = self._capfd.readouterr()
        return Done(ended.value.code, found.out, found.err + self._log.text)

    def told(self, *arguments: object) -> dict[str, Any]:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def gripline(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Gripline:
    return Gripline(monkeypatch, capfd, caplog)


def test_one_json_object_on_stdout_and_nothing_else(tree: Path) -> None:
    command = [sys.executable, "-c", "from flows.cli import main; main()", "dataset", "delete", str(tree)]
    done = subprocess.run([*command, "--episode", "00000002", "--yes", "--json"], capture_output=True, timeout=300)
    assert done.returncode == 0
    assert json.loads(done.stdout)["frames"] == 3


def test_delete_renumber_verify(tree: Path, gripline: Gripline) -> None:
    before = tree_manifest(tree)
    plan = gripline.told("delete", tree, "--episode", "00000002", "--dry-run")
    assert tree_manifest(tree) == before
    assert (plan["dry_run"], plan["frames"], len(plan["replaced"])) == (True, 3, 3)
    alone = gripline("delete", tree, "--episode", "00000002")
    assert alone.returncode == 2
    assert "Add --yes" in alone.stderr
    assert tree_manifest(tree) == before
    done = gripline.told("delete", tree, "--episode", "00000002", "--yes", "--reason", "a bystander")
    assert done["episodes"] == [episode(2).episode_id]
    assert gripline.told("verify", tree) == {"digest": done["digest"], "episodes": 5, "members": ["dataset"]}
    closed = gripline.told("renumber", tree)
    assert (closed["closed"], closed["moved"], closed["digest"]) == (1, 4, done["digest"])
    assert "no gap" in gripline("renumber", tree).stdout
    video = next(tree.rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:-1] + b"x")
    damaged = gripline("verify", tree)
    assert damaged.returncode == 3
    assert "changed" in damaged.stderr


@pytest.mark.parametrize("closed", [False, True])
def test_an_edit_costs_the_next_ingest_nothing(
    gripline: Gripline, monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path, closed: bool
) -> None:
    recordings = helpers(UNIT / "formats/recordings.py")
    shutil.copyfile(project / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRIPLINE_WORKERS", "1")
    for seed in range(4):
        recordings.write_mcap(tmp_path / f"in/{seed}.mcap", recordings.make_demo(seed, steps=5))
    assert gripline.run("ingest", "in", "--out", "out").returncode == 0
    gone = Dataset.open(tmp_path / "out").episode_id(1)
    gripline.told("delete", "out", "--episode", gone, "--yes")
    if closed:
        gripline.told("renumber", "out")
    inodes = {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*")}
    again = gripline.run("ingest", "in", "--out", "out")
    assert "3 of 4 episodes, 15 frames in out (0 new)\nleft out [deleted] 1: " in again.stdout
    assert {path: path.stat().st_ino for path in (tmp_path / "out").rglob("*")} == inodes
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.indices.tolist() == ([0, 1, 2] if closed else [0, 2, 3])
    assert gone not in dataset.table(["episode_id"])["episode_id"].to_pylist()
    assert json.loads(gripline.run("ingest", "in", "--out", "out", "--json").stdout)["deleted"] == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, 6), ("y\n", 0, 3)])
def test_delete_asks(
    tree: Path, monkeypatch: pytest.MonkeyPatch, gripline: Gripline, answer: str, code: int, left: int
) -> None:
    monkeypatch.setattr(edit, "_somebody_is_there", lambda: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    done = gripline("delete", tree, "--where", "site = 'north'")
    assert done.returncode == code
    assert "3 episodes, 9 frames will go" in done.stderr
    assert len(Dataset.open(tree)) == left


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--episode", "ffffffff"], 3, "no episode 'ffffffff'"),
        (["--where", "length > 0"], 3, "all 6 episodes would go"),
        ([], 2, "no episode is named"),
        (["--episode", "00000001", "--where", "length > 0"], 2, "both --episode and --where"),
    ],
)
def test_delete_refuses(tree: Path, gripline: Gripline, options: list[str], code: int, said: str) -> None:
    before = tree_manifest(tree)
    done = gripline("delete", tree, *options, "--yes")
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert tree_manifest(tree) == before


def test_subset_merge_split(tree: Path, gripline: Gripline, tmp_path: Path) -> None:
    few = gripline.told("subset", tree, "--where", "site = 'north'", "--out", tmp_path / "north")
    (tmp_path / "ids.txt").write_text("00000001\n\n00000003\n")
    own = gripline.told("subset", tree, "--list", tmp_path / "ids.txt", "--out", tmp_path / "copy", "--copy")
    assert (few["episodes"], few["kind"], own["episodes"], own["kind"]) == (3, "manifest", 2, "dataset")
    merged = gripline.told("merge", f"lab={tree}", tmp_path / "copy", tmp_path / "north", "--out", tmp_path / "all")
    assert merged["doubles"] == {"copy": 2}
    assert [member["name"] for member in merged["members"]] == ["lab"]
    parts = gripline.told(
        "split", tmp_path / "all", "--out", tmp_path / "split", "--share", "a=0.5", "--share", "b=0.5"
    )
    assert sum(part["episodes"] for part in parts.values()) == 6
    assert gripline.told("verify", tmp_path / "split/a")["digest"] == parts["a"]["digest"]
    refused = gripline("delete", tmp_path / "all", "--episode", "00000001", "--yes")
    assert refused.returncode == 2
    assert "Edit its members: lab (../dataset)" in refused.stderr


def test_the_same_recording_is_held_out_everywhere(tree: Path, gripline: Gripline, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "south", SAWYER_CELL, 20, VIDEO) as writer:
        again = replace(episode(2), episode_id="f" * 64)
        writer.add_frames(again)
        writer.close({again.episode_id: "val"})
    merged = gripline.told("merge", tree, tmp_path / "south", "--out", tmp_path / "all")
    assert merged["moved_to_val"] == 1
    told = gripline("merge", tree, tmp_path / "south", "--out", tmp_path / "again")
    assert "1 episodes are held out now" in told.stdout
    own = gripline.told("subset", tmp_path / "all", "--where", "split = 'val'", "--out", tmp_path / "copy", "--copy")
    assert (own["episodes"], own["moved_to_val"]) == (2, 0)


def test_delete_takes_decoded_frames_out_of_the_workspace(
    tree: Path, gripline: Gripline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lab", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "params.yaml").touch()
    tree = Path(shutil.move(tree, tmp_path / "lab"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    caches = [CacheFolder(Workspace(tmp_path / name).frame_cache, 1 << 30, 0) for name in ("lab", "elsewhere")]
    part = part_of(Dataset.open(tree))
    for cache in caches:
        cache.open(part, 1)
    caches[0].close()
    done = gripline.told("delete", tree, "--episode", "00000002", "--yes")
    assert done["cached"] == [str(tmp_path / "elsewhere/.gripline/cache/frames" / key_of(part))]
    assert [cache.has(part) for cache in caches] == [False, True]
    caches[1].close()


def test_a_member_elsewhere(tree: Path, gripline: Gripline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gripline.told("merge", f"lab={tree}", "--out", tmp_path / "all")
    moved = shutil.move(tree, tmp_path / "archive")
    missing = gripline("verify", tmp_path / "all")
    assert missing.returncode == 3
    assert "'lab' of site north, south is not on this machine" in missing.stderr
    assert gripline.told("verify", tmp_path / "all", "--at", f"lab={moved}")["episodes"] == 6
    monkeypatch.setenv("GRIPLINE_AT", f"lab={moved}")
    assert gripline.told("verify", tmp_path / "all")["episodes"] == 6


@pytest.mark.parametrize("share", ["train", "train=much", "train=0.5", "train=1.5"])
def test_shares_that_make_no_sense(tree: Path, gripline: Gripline, tmp_path: Path, share: str) -> None:
    done = gripline("split", tree, "--out", tmp_path / "split", "--share", share)
    assert done.returncode == 2
    assert "share" in done.stderr
    assert not (tmp_path / "split").exists()
