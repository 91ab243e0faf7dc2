"""A network as an ONNX file, for whoever runs policies with another runtime.

The graph does what `MlpPolicy.act` does: observation in, bounded action out, normalisation
inside. Built with onnx's own helpers, so that no torch is needed.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from gridhash import __version__
from gridhash.agents.numpy_policy import ACTION_HIGH, MlpPolicy, OutputKind
from gridhash.agents.policy import Policy
from gridhash.errors import PolicyError

OPSET = 17
IR_VERSION = 8
"""Old enough for runtimes since 2022; nothing newer is used."""
INPUT, OUTPUT = "observation", "action"


def to_onnx(policy: Policy) -> ModelProto:
    """Return a network as a checked ONNX model: (N, F) float32 to (N, G) float32.

    Raises
    ------
    PolicyError
        If the policy is no network.
    """
    if not isinstance(policy, MlpPolicy):
        raise PolicyError(
            f"{policy.name} is no network: ONNX holds networks only; a rule or table is a line of "
            "Python to call"
        )
    graph = _Graph()
    limits = (graph.constant("low", -policy.clip), graph.constant("high", policy.clip))
    weights = {name: graph.constant(name, array) for name, array in policy.weights.items()}
    x = graph.node("Sub", INPUT, weights["normalise.center"])
    x = graph.node("Div", x, weights["normalise.scale"])
    x = graph.node("Clip", x, *limits)
    for k in range(len(policy.hidden)):
        x = graph.node(
            "Gemm", x, weights[f"layer.{k}.weight"], weights[f"layer.{k}.bias"], transB=1
        )
        x = graph.node("Relu", x)
    x = graph.node("Gemm", x, weights["output.weight"], weights["output.bias"], transB=1)
    low, high = policy.action_kind.low, ACTION_HIGH
    if policy.output is OutputKind.TANH:
        x = graph.node("Tanh", x)
        x = graph.node("Mul", x, graph.constant("half_range", (high - low) / 2.0))
        x = graph.node("Add", x, graph.constant("middle", (low + high) / 2.0))
    bounds = (graph.constant("action_low", low), graph.constant("action_high", high))
    graph.node("Clip", x, *bounds, to=OUTPUT)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            policy.name,
            [_tensor(INPUT, policy.n_features)],
            [_tensor(OUTPUT, policy.n_groups)],
            initializer=graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="gridhash",
        producer_version=__version__,
        doc_string=f"one {policy.action_kind.name.lower()} per rig group, {low:g} to {high:g}",
    )
    checker.check_model(model, full_check=True)
    return model


def write_onnx(policy: Policy, path: Path) -> None:
    """Write a network as an ONNX file.

    Raises
    ------
    PolicyError
        If the policy is no network, or the file exists or cannot be written.
    """
    content = to_onnx(policy).SerializeToString()
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as err:
        raise PolicyError(f"{path} exists already; choose another name or remove it") from err
    except OSError as err:
        raise PolicyError(f"{path}: cannot be written: {err.strerror}") from err


class _Graph:
    """Nodes one after the other, and the constants that they read."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32), name))
        return name

    def node(self, kind: str, *inputs: str, to: str | None = None, **attributes: Any) -> str:
        name = to or f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name


def _tensor(name: str, width: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
