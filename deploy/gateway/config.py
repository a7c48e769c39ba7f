"""Envoy's configuration: a fixed bootstrap, and what changes, routes and endpoints, in files of their own.

Envoy watches those files and takes a renamed-in one within milliseconds; they also outlive it, so that a gateway that
was killed comes back with the routes that were in force. gRPC carries the model's version in the message body, where no
proxy looks: each slot serves one version, and the header decides the slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.core.files import canonical_json, digest_json
from deploy.client.wire import MODEL, VERSION_HEADER
from deploy.gateway.routes import SLOTS, Routes, SlotAddress

Json = dict[str, Any]

STATUS_PATH = "/gripline/routes"
ROUTES_NAME = "policies"
PROTOCOLS = ("grpc", "http")
_SHARE_TOTAL = 10_000
_GRPC = "/inference.GRPCInferenceService"
_REST = f"/v2/models/{MODEL}"
_INFER = {"grpc": f"{_GRPC}/ModelInfer", "http": f"{_REST}/infer"}
# What may be asked besides; nothing else passes. Triton's other calls (shared memory, trace and log settings) are none
# of a robot's business.
_READ = {
    "grpc": tuple(f"{_GRPC}/{call}" for call in ("ServerLive", "ServerReady", "ModelReady", "ModelMetadata")),
    "http": ("/v2/health/live", "/v2/health/ready", _REST, f"{_REST}/ready"),
}


def cluster_name(slot: str, protocol: str) -> str:
    return f"slot_{slot}_{protocol}"


def bootstrap(folder: Path, port: int, admin_port: int) -> Json:
    """What Envoy starts with; routes and endpoints are read from files in `folder`."""
    rds = {"config_source": _watched(routes_file(folder)), "route_config_name": ROUTES_NAME}
    return _bootstrap(folder, port, admin_port, {"rds": rds})


def validation_bootstrap(folder: Path, port: int, admin_port: int, routes: Json) -> Json:
    """The same with the routes inline: `envoy --mode validate` does not follow files."""
    inline = {name: value for name, value in routes["resources"][0].items() if name != "@type"}
    return _bootstrap(folder, port, admin_port, {"route_config": inline})


def routes_file(folder: Path) -> Path:
    return folder / "routes.json"


def endpoints_file(folder: Path, slot: str, protocol: str) -> Path:
    return folder / f"{cluster_name(slot, protocol)}.json"


def route_resource(routes: Routes | None, slots: Mapping[str, SlotAddress], timeout_s: float) -> tuple[str, Json]:
    """The route table and its revision, which the gateway answers at `STATUS_PATH` once the table is in force."""
    table = [route for protocol in PROTOCOLS for route in _policy_routes(protocol, routes, slots, timeout_s)]
    shown = {
        "routes": None if routes is None else vars(routes),
        "slots": {slot: address.version for slot, address in slots.items()},
    }
    revision = digest_json([table, shown])[:16]
    status = _say(200, canonical_json({"revision": revision, **shown})) | {"match": {"path": STATUS_PATH}}
    refuse = _say(403, "not served here") | {"match": {"prefix": "/"}}
    resource = {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": ROUTES_NAME,
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [status, *table, refuse]}],
    }
    return revision, {"version_info": revision, "resources": [resource]}


def endpoint_resource(slot: str, protocol: str, port: int | None) -> Json:
    """Where a slot listens; no port: nobody does, and requests fail at once."""
    endpoints = [] if port is None else [{"lb_endpoints": [{"endpoint": {"address": _loopback(port)}}]}]
    assignment = {
        "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster_name(slot, protocol),
        "endpoints": endpoints,
    }
    return {"version_info": digest_json(assignment)[:16], "resources": [assignment]}


def _policy_routes(
    protocol: str, routes: Routes | None, slots: Mapping[str, SlotAddress], timeout_s: float
) -> list[Json]:
    """In order: running episodes by their version, new episodes by lot, whoever is left to the incumbent."""
    path = {"path": _INFER[protocol]}
    if routes is None or routes.incumbent not in slots:
        return [_say(503, "no policy is loaded") | {"match": match} for match in (path, *_reads(protocol))]
    incumbent = _to_slot(protocol, routes.incumbent, routes, slots, timeout_s)
    found: list[Json] = []
    if routes.pinned:
        for slot, address in slots.items():
            same = {"name": VERSION_HEADER, "string_match": {"exact": address.version}}
            found.append({"match": path | {"headers": [same]}} | _to_slot(protocol, slot, routes, slots, timeout_s))
    if routes.candidate in slots and routes.candidate_share > 0:
        absent = {"name": VERSION_HEADER, "present_match": True, "invert_match": True}
        found.append({"match": path | {"headers": [absent]}} | _lottery(protocol, routes, slots, timeout_s))
    return [*found, *({"match": match} | incumbent for match in (path, *_reads(protocol)))]


def _to_slot(protocol: str, slot: str, routes: Routes, slots: Mapping[str, SlotAddress], timeout_s: float) -> Json:
    action: Json = {"cluster": cluster_name(slot, protocol), "timeout": f"{timeout_s:g}s"}
    if routes.mirror and slot == routes.incumbent and routes.candidate in slots:
        action["request_mirror_policies"] = [_mirror(protocol, routes)]
    return {"route": action, "response_headers_to_add": [_version_header(slots[slot].version)]}


def _lottery(protocol: str, routes: Routes, slots: Mapping[str, SlotAddress], timeout_s: float) -> Json:
    """New episodes by weight. Mirroring is a property of a whole route: it would copy the candidate's own share too."""
    candidate = round(routes.candidate_share * _SHARE_TOTAL)
    weights = {routes.incumbent: _SHARE_TOTAL - candidate, str(routes.candidate): candidate}
    clusters = [
        {
            "name": cluster_name(slot, protocol),
            "weight": weight,
            "response_headers_to_add": [_version_header(slots[slot].version)],
        }
        for slot, weight in weights.items()
    ]
    return {"route": {"weighted_clusters": {"clusters": clusters}, "timeout": f"{timeout_s:g}s"}}


def _mirror(protocol: str, routes: Routes) -> Json:
    return {
        "cluster": cluster_name(str(routes.candidate), protocol),
        "runtime_fraction": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
    }


def _reads(protocol: str) -> list[Json]:
    return [{"path": path} for path in _READ[protocol]]


def _version_header(version: str) -> Json:
    # "%" begins a command of Envoy's header formatter.
    header = {"key": VERSION_HEADER, "value": version.replace("%", "%%")}
    return {"header": header, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _say(status: int, text: str) -> Json:
    return {"direct_response": {"status": status, "body": {"inline_string": text}}}


def _bootstrap(folder: Path, port: int, admin_port: int, routes: Json) -> Json:
    clusters = [_cluster(folder, slot, protocol) for slot in SLOTS for protocol in PROTOCOLS]
    return {
        "node": {"id": "gripline-gateway", "cluster": "gripline"},
        "admin": {"address": _loopback(admin_port)},
        "static_resources": {"listeners": [_listener(port, routes)], "clusters": clusters},
    }


def _listener(port: int, routes: Json) -> Json:
    """HTTP/1.1 and HTTP/2 without TLS on one port. Ports are not shared: a second gateway there must fail."""
    filters = "envoy.extensions.filters"
    router = f"type.googleapis.com/{filters}.http.router.v3.Router"
    manager = {
        "@type": f"type.googleapis.com/{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "server_name": "gripline",
        "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
        **routes,
    }
    return {
        "name": "gateway",
        "address": _loopback(port),
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _cluster(folder: Path, slot: str, protocol: str) -> Json:
    options = "http2_protocol_options" if protocol == "grpc" else "http_protocol_options"
    extension = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {
        "name": cluster_name(slot, protocol),
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": _watched(endpoints_file(folder, slot, protocol))},
        "typed_extension_protocol_options": {
            extension: {"@type": f"type.googleapis.com/{extension}", "explicit_http_config": {options: {}}}
        },
    }


def _watched(path: Path) -> Json:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _loopback(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
