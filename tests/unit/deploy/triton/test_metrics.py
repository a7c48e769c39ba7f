from __future__ import annotations

import pytest

from components.core.errors import ServerError
from deploy.process import free_ports
from deploy.triton.metrics import SlotStats, parse_metrics, read_metrics

# As tritonserver 2.51 writes it.
_TEXT = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="policy",version="1"} 41
nv_inference_request_success{model="policy",version="2"} 1
nv_inference_request_success{model="other",version="1"} 1000
nv_inference_request_failure{model="policy",reason="OTHER",version="1"} 1
nv_inference_request_failure{model="policy",reason="BACKEND",version="1"} 2
nv_inference_request_failure{model="policy",reason="CANCELED",version="1"} 0
nv_inference_pending_request_count{model="policy",version="1"} 3
gripline_requests{outcome="failure"} 2
gripline_requests{outcome="success"} 39
nv_cpu_memory_total_bytes 25276514304
nv_cpu_utilization 1
"""


def test_the_models_own_count_and_what_never_reached_it() -> None:
    assert parse_metrics(_TEXT) == SlotStats(success=39, failure=5, pending=3)


def test_a_server_without_the_policy_counts_nothing() -> None:
    assert parse_metrics("nv_cpu_utilization 1\n") == SlotStats(0, 0, 0)


def test_counting_starts_where_one_says() -> None:
    assert SlotStats(10, 3, 1).since(SlotStats(8, 3)) == SlotStats(2, 0, 1)


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(ServerError, match="no metrics"):
        read_metrics(free_ports(1)[0])
