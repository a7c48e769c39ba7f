import onnx
import pytest
from onnx import TensorProto, helper

from components.export.graph import node_count, serialise


def noisy_model(path: str) -> onnx.ModelProto:
    """`If` with two branches, and in every corner a note that names a place on a machine."""
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1], doc_string=path)
    branches = []
    for value in (1.0, 2.0):
        constant = helper.make_node(
            "Constant", [], ["y"], value=helper.make_tensor("v", TensorProto.FLOAT, [1], [value]), doc_string=path
        )
        branches.append(helper.make_graph([constant], "branch", [], [out], doc_string=path))
        branches[-1].value_info.append(helper.make_tensor_value_info("stale", TensorProto.FLOAT, [384]))
    chosen = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    chosen.metadata_props.add(key="stack_trace", value=path)
    graph = helper.make_graph(
        [chosen], "g", [helper.make_tensor_value_info("c", TensorProto.BOOL, [])], [out], doc_string=path
    )
    graph.value_info.append(helper.make_tensor_value_info("stale", TensorProto.FLOAT, [384]))
    graph.metadata_props.add(key="from", value=path)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10, doc_string=path)
    model.metadata_props.add(key="source", value=path)
    return model


def test_two_machines_give_the_same_bytes():
    first, second = serialise(noisy_model("/home/one/policy.py")), serialise(noisy_model("/srv/two/policy.py"))
    assert first == second
    assert b"policy.py" not in first
    assert b"stale" not in first


def test_what_the_graph_computes_stays():
    model = onnx.load_from_string(serialise(noisy_model("/x")))
    branches = {a.name: onnx.numpy_helper.to_array(a.g.node[0].attribute[0].t) for a in model.graph.node[0].attribute}
    assert {name: value.tolist() for name, value in branches.items()} == {"then_branch": [1.0], "else_branch": [2.0]}


def test_nodes_of_inner_graphs_count():
    assert node_count(noisy_model("/x").graph) == 3


def test_constants_that_no_node_reads_are_dropped_and_those_of_inner_graphs_stay():
    model = noisy_model("/x")
    branch = model.graph.node[0].attribute[0].g
    branch.node[0].CopyFrom(helper.make_node("Identity", ["outer"], ["y"]))
    for graph, name in ((model.graph, "outer"), (model.graph, "unread"), (branch, "unread_inside")):
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [1], [3.0]))
    found = onnx.load_from_string(serialise(model)).graph
    assert [tensor.name for tensor in found.initializer] == ["outer"]
    assert not found.node[0].attribute[0].g.initializer


def test_a_graph_that_is_not_valid_is_refused():
    model = noisy_model("/x")
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(onnx.checker.ValidationError, match="nowhere"):
        serialise(model)
