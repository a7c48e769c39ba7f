"""The route table is read here as Envoy reads it: the first route that matches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.client.wire import VERSION_HEADER
from deploy.gateway import config
from deploy.gateway.routes import Routes, SlotAddress

SLOTS = {"a": SlotAddress("v1", 1001, 1002), "b": SlotAddress("v2", 2001, 2002)}
_INFER = {"grpc": "/inference.GRPCInferenceService/ModelInfer", "http": "/v2/models/policy/infer"}


def _matches(match: dict[str, Any], path: str, version: str | None) -> bool:
    if "prefix" in match and not path.startswith(match["prefix"]):
        return False
    if "path" in match and match["path"] != path:
        return False
    for header in match.get("headers", ()):
        assert header["name"] == VERSION_HEADER
        if "string_match" in header and header["string_match"]["exact"] != version:
            return False
        if header.get("invert_match") and version is not None:
            return False
    return True


def _route(table: dict[str, Any], path: str, version: str | None) -> dict[str, Any]:
    (resource,) = table["resources"]
    (host,) = resource["virtual_hosts"]
    return next(route for route in host["routes"] if _matches(route["match"], path, version))


def _shares(route: dict[str, Any]) -> dict[str, int]:
    """Slot -> share of 10000."""
    action = route["route"]
    if "cluster" in action:
        return {action["cluster"].split("_")[1]: 10_000}
    entries = action["weighted_clusters"]["clusters"]
    return {entry["name"].split("_")[1]: entry["weight"] for entry in entries if entry["weight"]}


@st.composite
def _routes(draw: st.DrawFn) -> Routes:
    incumbent = draw(st.sampled_from("ab"))
    other = "b" if incumbent == "a" else "a"
    candidate = draw(st.sampled_from([None, other]))
    if candidate is None:
        return Routes(incumbent, pinned=draw(st.booleans()))
    return Routes(incumbent, candidate, draw(st.floats(0, 1)), draw(st.booleans()), draw(st.booleans()))


@given(routes=_routes(), protocol=st.sampled_from(["grpc", "http"]))
def test_new_episodes_by_lot_running_ones_stay_strangers_to_the_incumbent(routes: Routes, protocol: str) -> None:
    _, table = config.route_resource(routes, SLOTS, 5.0)
    new, stale = (_route(table, _INFER[protocol], version) for version in (None, "v0"))
    expected = round(routes.candidate_share * 10_000)
    assert _shares(new).get(str(routes.candidate), 0) == expected
    assert sum(_shares(new).values()) == 10_000
    assert _shares(stale) == {routes.incumbent: 10_000}
    for slot, address in SLOTS.items():
        kept = slot if routes.pinned else routes.incumbent
        assert _shares(_route(table, _INFER[protocol], address.version)) == {kept: 10_000}


@given(routes=_routes())
def test_only_requests_of_the_incumbent_are_copied(routes: Routes) -> None:
    _, table = config.route_resource(routes, SLOTS, 5.0)
    for version in (None, "v0", "v1", "v2"):
        action = _route(table, _INFER["grpc"], version)["route"]
        if "request_mirror_policies" in action:
            assert routes.mirror
            assert action["cluster"] == f"slot_{routes.incumbent}_grpc"
            assert action["request_mirror_policies"][0]["cluster"] == f"slot_{routes.candidate}_grpc"
    kept = _route(table, _INFER["grpc"], SLOTS[routes.incumbent].version)["route"]
    assert ("request_mirror_policies" in kept) == routes.mirror


@given(routes=_routes())
def test_nothing_is_retried_and_everything_times_out(routes: Routes) -> None:
    _, table = config.route_resource(routes, SLOTS, 2.5)
    assert "retry" not in json.dumps(table)
    found = [route["route"] for route in table["resources"][0]["virtual_hosts"][0]["routes"] if "route" in route]
    assert {action["timeout"] for action in found} == {"2.5s"}


@pytest.mark.parametrize("routes", [None, Routes("a")])
def test_without_an_incumbent_requests_are_refused(routes: Routes | None) -> None:
    _, table = config.route_resource(routes, {"b": SLOTS["b"]}, 5.0)
    for path in _INFER.values():
        assert _route(table, path, "v2")["direct_response"]["status"] == 503


@pytest.mark.parametrize(
    "path",
    [
        "/inference.GRPCInferenceService/RepositoryModelLoad",
        "/inference.GRPCInferenceService/SystemSharedMemoryRegister",
        "/v2/repository/index",
        "/v2/models/other/infer",
        "/",
    ],
)
def test_only_inference_and_readiness_pass(path: str) -> None:
    _, table = config.route_resource(Routes("a"), SLOTS, 5.0)
    assert _route(table, path, None)["direct_response"]["status"] == 403


def test_the_gateway_tells_which_table_is_in_force() -> None:
    revision, table = config.route_resource(Routes("a", "b", 0.1), SLOTS, 5.0)
    body = json.loads(_route(table, config.STATUS_PATH, None)["direct_response"]["body"]["inline_string"])
    assert body["revision"] == revision == table["version_info"]
    assert body["slots"] == {"a": "v1", "b": "v2"}
    assert body["routes"]["candidate_share"] == 0.1


def test_revisions_differ_where_tables_differ() -> None:
    tables = [
        config.route_resource(routes, slots, timeout_s)
        for routes in (None, Routes("a"), Routes("b"), Routes("a", "b"), Routes("a", pinned=False))
        for slots in (SLOTS, {"a": SLOTS["a"]})
        for timeout_s in (1.0, 2.0)
    ]
    revisions = [revision for revision, _ in tables]
    # Where the incumbent serves nothing, three times here, no request is passed on that could time out.
    assert len(set(revisions)) == len(revisions) - 3


def test_endpoints_of_an_empty_slot_are_empty() -> None:
    full = config.endpoint_resource("a", "grpc", 1001)
    empty = config.endpoint_resource("a", "grpc", None)
    assert empty["resources"][0]["endpoints"] == []
    assert full["resources"][0]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] == {
        "socket_address": {"address": "127.0.0.1", "port_value": 1001}
    }
    assert full["version_info"] != empty["version_info"]


def test_everything_listens_on_loopback_and_follows_files_of_the_folder(tmp_path: Path) -> None:
    text = json.dumps(config.bootstrap(tmp_path, 10, 11))
    assert text.count('"address": "127.0.0.1"') == 2
    for slot in "ab":
        for protocol in ("grpc", "http"):
            assert str(config.endpoints_file(tmp_path, slot, protocol)) in text
    assert str(config.routes_file(tmp_path)) in text
