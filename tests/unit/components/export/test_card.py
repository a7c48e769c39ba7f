from dataclasses import replace

from components.bundle.contract import Contract
from components.core.records import Record
from components.export.card import card

PARITY = {
    "reference": "torch",
    "candidate": "onnxruntime",
    "samples": 7,
    "max_abs": 2.5e-7,
    "limit": 1e-4,
    "per_batch": {"1": {"max_abs": {"dx": 2.5e-7}, "rms": {"dx": 1e-8}}},
}
RECORD = Record(
    "bundle",
    "d" * 64,
    {"checkpoint": "c" * 64},
    counts={"parameters": 279520, "nodes": 133},
    attrs={"episodes": {"task": {"drawer-open": 45, "handle-pull": 44}, "site": {"site-north": 89}}},
)


def test_the_card_says_what_the_records_say(contract: Contract):
    text = card("seed-1", contract, RECORD, PARITY)
    for line in (
        "# Policy `seed-1`",
        "| camera `wrist` | RGB uint8, 32 x 32 px |",
        "| `dz` | normalised (1 = 0.01 m a physics frame) | step_delta | world | -1 .. 1 |",
        f"| checkpoint | `{'c' * 64}` |",
        f"| policy.onnx | `{'d' * 64}` |",
        "| parameters | 279,520 |",
        "| task | drawer-open | 45 |",
        "| 1 | `dx` | 2.50e-07 | 1.00e-08 |",
    ):
        assert line in text.splitlines()
    assert "Degraded" not in text


def test_a_card_without_episodes_says_so(contract: Contract):
    bare = Record("bundle", "d" * 64, {"checkpoint": "c" * 64})
    assert "does not list its episodes" in card("x", contract, bare, PARITY)


def test_a_degraded_policy_is_marked_at_the_top(contract: Contract):
    attrs = {"derived_from": "a" * 64, "degradation": {"kind": "action_lag", "steps": 2}}
    lines = card("drill", contract, Record("bundle", "d" * 64, attrs=attrs), PARITY).splitlines()
    assert lines[2].startswith("**Degraded on purpose, for a rollback drill.**")
    assert "a" * 64 in lines[2]


def test_the_card_says_which_end_of_a_flow_is_noise(contract: Contract):
    assert "`gripline-tiny` (chunk_regression) for" in card("seed-1", contract, RECORD, PARITY)
    flow = replace(contract, kind="flow_matching", flow_convention="pi0")
    assert "(flow_matching, flow convention pi0) for" in card("seed-1", flow, RECORD, PARITY)
