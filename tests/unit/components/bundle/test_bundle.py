import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.bundle.bundle import Bundle, load_bundle
from components.bundle.contract import read_contract, write_contract
from components.bundle.warmup import read_warmup, write_warmup
from components.core.errors import BundleError, ContractError, RecordError
from components.core.files import sha256_file
from components.core.records import Record, read_record, write_record
from components.core.spec import SAWYER_CELL
from components.transforms.chain import PolicyTransforms

ROOT = Path(__file__).parents[4]
SERVING_PYTHON = ROOT / ".venv-serving" / "bin" / "python"
MakeBundle = Callable[..., Path]


def observe(batch: int) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    rng = np.random.default_rng(batch)
    images = {name: rng.integers(0, 256, (batch, 96, 96, 3), dtype=np.uint8) for name in ("wrist", "fixed")}
    return images, rng.normal(size=(batch, 4)), ["open the drawer"] * batch


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_bundle_acts_within_the_limits(bundle: Bundle, batch: int):
    actions = bundle.act(*observe(batch))
    assert actions.shape == (batch, 8, 4)
    assert actions.dtype == np.float32
    assert np.abs(actions).max() <= 1.0


def test_a_batch_gives_what_its_rows_give_alone(bundle: Bundle):
    images, state, instructions = observe(3)
    together = bundle.act(images, state, instructions)
    for row in range(3):
        alone = bundle.act({name: image[[row]] for name, image in images.items()}, state[[row]], instructions[:1])
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


def test_what_loading_says_about_a_bundle(bundle: Bundle):
    assert bundle.digest == sha256_file(bundle.folder / "manifest.json")
    assert bundle.contract.embodiment == SAWYER_CELL
    assert bundle.record.inputs == {"checkpoint": "0" * 64}
    assert bundle.warm_up() == 0.0


def test_the_warm_up_measures_how_far_the_values_are_off(make_bundle: MakeBundle):
    def shift(folder: Path) -> None:
        warmup = read_warmup(folder)
        write_warmup(folder, replace(warmup, actions=warmup.actions - np.float32(0.25)))

    assert load_bundle(make_bundle(touch=shift)).warm_up() == pytest.approx(0.25, abs=1e-6)


def test_observations_that_do_not_fit_are_refused(bundle: Bundle):
    images, state, instructions = observe(2)
    with pytest.raises(ContractError, match="no image of camera 'fixed'"):
        bundle.act({"wrist": images["wrist"]}, state, instructions)


def test_a_changed_file_is_refused(make_bundle: MakeBundle):
    folder = make_bundle()
    (folder / "card.md").write_text("# Other\n")
    with pytest.raises(BundleError, match=r"card\.md is not what was sealed"):
        load_bundle(folder)


def test_another_embodiment_is_refused_by_field(make_bundle: MakeBundle):
    arm = replace(SAWYER_CELL.action.groups[0], high=(0.5, 1.0, 1.0))
    other = replace(SAWYER_CELL, action=replace(SAWYER_CELL.action, groups=(arm, SAWYER_CELL.action.groups[1])))
    folder = make_bundle()
    assert load_bundle(folder, expect=SAWYER_CELL).digest
    with pytest.raises(BundleError, match=r"contract\.json: sawyer-cell\.action\.groups\[0\]\.high\[0\] is 1\.0"):
        load_bundle(folder, expect=other)


def _other_transforms(folder: Path) -> None:
    other = replace(SAWYER_CELL, observation=replace(SAWYER_CELL.observation, image_px=64))
    PolicyTransforms.fit(other, [0.0] * 4, [1.0] * 4, ["open"], 6).save(folder)


@pytest.mark.parametrize(
    ("touch", "match"),
    [
        (_other_transforms, r"transforms\.json: sawyer-cell\.observation\.image_px is 64, expected 96"),
        (
            lambda f: PolicyTransforms.fit(SAWYER_CELL, [0.0] * 4, [1.0] * 4, ["open"], 7).save(f),
            r"tokenizer\.json: text length 7, the contract says 6",
        ),
        (lambda f: (f / "tokenizer.json").write_text("{"), r"tokenizer\.json: not JSON"),
        (
            lambda f: write_contract(f, replace(read_contract(f), chunk=9)),
            r"tensor 'actions' is tensor\(float\) .* the contract says .*9, 4",
        ),
        (
            lambda f: write_contract(f, replace(read_contract(f), outputs=("moves",))),
            "'actions' is in only one of graph and contract",
        ),
        (
            lambda f: write_warmup(f, replace(read_warmup(f), actions=read_warmup(f).actions[:, :2])),
            r"answers \[3, 8, 4\], its example expects \[3, 2, 4\]",
        ),
        (
            lambda f: write_warmup(f, replace(read_warmup(f), actions=read_warmup(f).actions * np.float32(np.nan))),
            "'actions' holds NaN",
        ),
        (lambda f: (f / "policy.onnx").write_bytes(b"\x08\x0a"), r"policy\.onnx: an ONNX file without a weight"),
        (
            lambda f: write_record(f, Record("bundle", "0" * 64)),
            r"record\.json: the record is not of this policy\.onnx",
        ),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(make_bundle: MakeBundle, touch: Callable, match: str):
    with pytest.raises(BundleError, match=match):
        load_bundle(make_bundle(touch=touch))


def test_a_record_of_another_kind_is_refused(make_bundle: MakeBundle):
    def other(folder: Path) -> None:
        write_record(folder, replace(read_record(folder), kind="checkpoint"))

    with pytest.raises(RecordError, match="of kind 'checkpoint', expected 'bundle'"):
        load_bundle(make_bundle(touch=other))


def test_nan_weights_nan_answers_and_a_fixed_batch_are_refused(make_bundle: MakeBundle, hand_made: Callable):
    with pytest.raises(BundleError, match="weight 'b' holds NaN"):
        load_bundle(make_bundle("weights", model=hand_made(b=np.full(32, np.nan, np.float32))))
    # The logarithm of a negative number: sound weights, and no answer.
    with pytest.raises(BundleError, match=r"warmup\.safetensors: on its own example: action .* is nan"):
        load_bundle(make_bundle("answers", model=hand_made(last="Log")))
    with pytest.raises(BundleError, match="has a fixed batch of 3"):
        load_bundle(make_bundle("batch", model=hand_made(batch=3)))


def test_a_graph_that_onnxruntime_does_not_know_is_refused(make_bundle: MakeBundle, hand_made: Callable):
    with pytest.raises(BundleError, match="onnxruntime cannot load it"):
        load_bundle(make_bundle(model=hand_made(last="NoSuchOperator")))


_PROBE = """
import sys
from pathlib import Path
import numpy as np
from components.bundle.bundle import load_bundle
bundle = load_bundle(Path(sys.argv[1]), threads=1)
images = {name: np.full((2, 96, 96, 3), 90, np.uint8) for name in ("fixed", "wrist")}
assert bundle.act(images, np.zeros((2, 4)), ["open the drawer"] * 2).shape == (2, 8, 4)
heavy = sorted({"torch", "pydantic", "onnx", "pandas", "yaml"} & set(sys.modules))
sys.stdout.write(f"{np.__version__} {bundle.warm_up()} {heavy}")
"""


def _probe(python: Path, folder: Path) -> list[str]:
    done = subprocess.run(
        [python, "-c", _PROBE, folder], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(maxsplit=2)


def test_a_fresh_process_loads_nothing_heavy(make_bundle: MakeBundle):
    _, off, heavy = _probe(Path(sys.executable), make_bundle())
    assert (float(off), heavy) == (0.0, "[]")


@pytest.mark.serving
@pytest.mark.skipif(not shutil.which(str(SERVING_PYTHON)), reason="no serving environment")
def test_the_serving_environment_gives_the_same_values(make_bundle: MakeBundle):
    version, off, heavy = _probe(SERVING_PYTHON, make_bundle())
    assert version.startswith("1.26")
    assert float(off) <= 1e-6
    assert heavy == "[]"
