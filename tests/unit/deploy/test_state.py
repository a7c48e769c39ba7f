from __future__ import annotations

import threading
from pathlib import Path

import pytest

from components.core.errors import Busy, ServerError
from deploy.gateway.gateway import Gateway
from deploy.gateway.routes import Routes
from deploy.process import ServerProcess
from deploy.state import ServingState, SlotState, StateFile
from deploy.triton.metrics import SlotStats
from deploy.triton.server import Ports, TritonServer

_PROCESS = ServerProcess(pid=4_000_000, started=12, boot="boot")


def _slot(version: str) -> SlotState:
    server = TritonServer(_PROCESS, Ports(1, 2, 3))
    return SlotState(version=version, bundle=Path("/b"), digest="d", server=server, counted_from=SlotStats(4, 1))


@pytest.fixture
def state() -> ServingState:
    routes = Routes("a", "b", 0.25, mirror=True)
    return ServingState(gateway=Gateway(_PROCESS, 5, 6), slots={"a": _slot("1"), "b": _slot("2")}, routes=routes)


def test_a_state_comes_back_as_it_was_written(tmp_path: Path, state: ServingState) -> None:
    file = StateFile(tmp_path)
    assert file.read() == ServingState()
    file.write(state)
    assert StateFile(tmp_path).read() == state


@pytest.mark.parametrize("text", ["", "{", '{"slots": {"a": 1}}', '{"unknown": 1}'])
def test_a_damaged_state_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(ServerError, match=r"state\.json: not a serving state"):
        StateFile(tmp_path).read()


def test_a_slot_that_goes_is_a_candidate_no_more(state: ServingState) -> None:
    left = state.without_slot("b")
    assert (list(left.slots), left.routes) == (["a"], Routes("a"))
    assert state.without_slot("a").routes == state.routes


def test_addresses_are_those_of_the_slots(state: ServingState) -> None:
    assert [(slot, address.version) for slot, address in state.addresses.items()] == [("a", "1"), ("b", "2")]


def test_status_of_dead_servers_needs_no_server(state: ServingState) -> None:
    found = state.describe()
    assert found["slots"]["b"]["alive"] is False
    assert found["gateway"]["ready"] is False
    assert found["routes"]["candidate_share"] == 0.25


def test_a_lock_is_for_one_at_a_time(tmp_path: Path) -> None:
    first, second = StateFile(tmp_path), StateFile(tmp_path)
    with first.lock("state", 1.0), second.lock("slot_a", 0.1), pytest.raises(Busy, match="another controller"):
        second.lock("state", 0.1).__enter__()
    with second.lock("state", 0.1):
        assert (tmp_path / "state.lock").exists()


def test_changes_under_the_lock_are_not_lost(tmp_path: Path) -> None:
    file = StateFile(tmp_path)

    def change(number: int) -> None:
        with StateFile(tmp_path).lock("state", 10.0):
            file.write(file.read().with_slot(str(number), _slot(str(number))))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(file.read().slots) == [str(number) for number in range(8)]
