from __future__ import annotations

import json
from pathlib import Path

import pytest

from components.core.errors import ServerError
from deploy.gateway import config
from deploy.gateway.gateway import Gateway, GatewayFiles
from deploy.gateway.routes import Routes, SlotAddress
from deploy.process import ServerProcess, free_ports

SLOTS = {"a": SlotAddress("1", 1001, 1002)}


@pytest.fixture
def files(tmp_path: Path) -> GatewayFiles:
    return GatewayFiles(tmp_path / "gateway", timeout_s=5.0)


def test_files_are_a_function_of_the_state(files: GatewayFiles) -> None:
    revision = files.write(Routes("a"), SLOTS)
    written = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.folder.iterdir()}
    assert set(written) == {
        "routes.json",
        *(f"slot_{slot}_{protocol}.json" for slot in "ab" for protocol in ("grpc", "http")),
    }
    assert files.write(Routes("a"), SLOTS) == revision
    assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in files.folder.iterdir()} == written
    assert json.loads(written["routes.json"][0]) == config.route_resource(Routes("a"), SLOTS, 5.0)[1]


def test_only_what_differs_is_written(files: GatewayFiles) -> None:
    files.write(Routes("a"), SLOTS)
    before = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    files.write(Routes("a"), SLOTS | {"b": SlotAddress("2", 2001, 2002)})
    after = {path.name: path.read_bytes() for path in files.folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {
        "routes.json",
        "slot_b_grpc.json",
        "slot_b_http.json",
    }


def test_the_reason_of_a_refusal_is_the_one_of_this_table(files: GatewayFiles) -> None:
    files.folder.mkdir()
    files.log.write_text(
        '[warning] update rejected:\n  body: "revision 1111"\n}\n: an older reason\n'
        '[warning] update rejected:\n  body: "revision 2222"\n}\n: value does not match\n[info] more\n'
    )
    assert files._refusal("2222") == "value does not match"
    assert files._refusal("1111") == "an older reason"
    assert files._refusal("3333") == ""


def test_a_dead_gateway_does_not_take_routes(files: GatewayFiles) -> None:
    dead = Gateway(ServerProcess(4_000_000, 1, "boot"), *free_ports(2))
    assert not dead.ready
    with pytest.raises(ServerError, match="the gateway died"):
        files.apply(dead, Routes("a"), SLOTS)
