import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.bundle.verify import verify
from components.bundle.write import REQUIRED, seal
from components.core.errors import BundleError
from components.core.files import sha256_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sealed"
    (folder / "variants").mkdir(parents=True)
    for name in (*REQUIRED, "variants/int8.onnx"):
        (folder / name).write_text(name)
    return folder


def test_the_digest_is_that_of_the_manifest_and_does_not_change(folder: Path):
    first = seal(folder)
    assert first == sha256_file(folder / "manifest.json") == seal(folder) == verify(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest == {name: sha256_file(folder / name) for name in (*REQUIRED, "variants/int8.onnx")}


@pytest.mark.parametrize("name", REQUIRED)
def test_an_incomplete_folder_is_not_sealed(folder: Path, name: str):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        seal(folder)
    assert not (folder / "manifest.json").exists()


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda f: _flip(f / "policy.onnx"), "policy.onnx is not what was sealed"),
        (lambda f: _flip(f / "variants/int8.onnx"), "variants/int8.onnx is not what was sealed"),
        (lambda f: (f / "card.md").unlink(), "card.md is missing"),
        (lambda f: (f / "run.sh").write_text("x"), "run.sh is not part of the bundle"),
        (lambda f: (f / ".hidden").write_text("x"), ".hidden is not part of the bundle"),
        (lambda f: (f / "link").symlink_to(f / "card.md"), "link is a link"),
        (lambda f: (f / "manifest.json").unlink(), "no manifest.json"),
        (lambda f: (f / "manifest.json").write_text("{"), "not JSON"),
        (lambda f: (f / "manifest.json").write_text("[]"), "not a JSON object"),
        (lambda f: (f / "manifest.json").write_text('{"card.md": "abc"}'), "entry of card.md is not a sha256"),
        (lambda f: (f / "manifest.json").write_text("{}"), "policy.onnx is not listed"),
    ],
)
def test_every_change_after_the_seal_is_named(folder: Path, damage: Callable[[Path], object], match: str):
    seal(folder)
    verify(folder)
    damage(folder)
    with pytest.raises(BundleError, match=match):
        verify(folder)


def test_a_link_is_not_sealed(folder: Path, tmp_path: Path):
    (tmp_path / "outside").write_text("x")
    (folder / "extra").symlink_to(tmp_path / "outside")
    with pytest.raises(BundleError, match="extra is a link"):
        seal(folder)
