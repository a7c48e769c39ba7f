"""What a running Envoy says of itself: the routes in force, requests under way, known endpoints."""

from __future__ import annotations

import http.client
import json
from typing import Any

from deploy.gateway.config import STATUS_PATH, cluster_name

_TIMEOUT_S = 2.0


def fetch(port: int, path: str) -> str:
    """GET from a loopback port. Raises `OSError` where nobody answers, also for an answer that is not 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        body = reply.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise OSError(f"{path} answers {reply.status}: {body[:200]}")
    return body


def routes_in_force(port: int) -> dict[str, Any]:
    """Revision, routes and slots as the listener itself answers them: what its worker thread routes by right now."""
    return dict(json.loads(fetch(port, STATUS_PATH)))


def stats(admin_port: int, pattern: str) -> dict[str, int]:
    """Counters and gauges whose name matches the regular expression."""
    found = json.loads(fetch(admin_port, f"/stats?format=json&filter={pattern}"))["stats"]
    return {entry["name"]: entry["value"] for entry in found if "value" in entry}


def requests_under_way(admin_port: int, slot: str) -> int:
    """Requests that the gateway sent to the slot, copies included, and that are not answered yet."""
    return sum(stats(admin_port, rf"^cluster\.slot_{slot}_.*\.upstream_rq_(active|pending_active)$").values())


def endpoint(admin_port: int, slot: str, protocol: str) -> int | None:
    """Port of the slot that the gateway knows; `None` for nobody there."""
    clusters = json.loads(fetch(admin_port, "/clusters?format=json"))["cluster_statuses"]
    hosts = {cluster["name"]: cluster.get("host_statuses", []) for cluster in clusters}
    found = hosts.get(cluster_name(slot, protocol), [])
    return int(found[0]["address"]["socket_address"]["port_value"]) if found else None
