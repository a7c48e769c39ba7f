"""ONNX graphs as bytes: the same graph gives the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Iterator

import onnx


def serialise(model: onnx.ModelProto) -> bytes:
    """Checks the graph and takes out what depends on the machine or may be stale: source paths, notes, value_info.

    And constants that no node reads, which loops are left with: every runtime would say so at every start.
    """
    _strip(model.graph)
    _drop_unread(model.graph)
    for part in (model, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def node_count(graph: onnx.GraphProto) -> int:
    """Nodes of the graph and of all graphs within it."""
    return len(graph.node) + sum(node_count(inner) for inner in _inner_graphs(graph))


def _strip(graph: onnx.GraphProto) -> None:
    # The exporter leaves shapes here that no longer hold; quantisation and merging trip over them.
    graph.ClearField("value_info")
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for inner in _inner_graphs(graph):
        _strip(inner)


def _drop_unread(graph: onnx.GraphProto) -> None:
    read = _read(graph)
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)
    for inner in _inner_graphs(graph):
        _drop_unread(inner)


def _read(graph: onnx.GraphProto) -> set[str]:
    """Names that nodes of the graph and of all graphs within it take in, and its outputs."""
    names = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    return names.union(*map(_read, _inner_graphs(graph)))


def _inner_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
            yield from attribute.graphs
