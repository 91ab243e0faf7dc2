"""A network as an ONNX file, for whoever runs policies with another runtime.

The graph does what `MlpPolicy.act` does: observation in, bounded action out, normalisation
inside. Of a network that acts by levels it does what `Network.outputs` does: one logit per level
and group out; the mask and the choice stay with whoever runs it. Built with onnx's own helpers, so
that no torch is needed.
"""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

from gridhash import __version__
from gridhash.agents.level_policy import LevelPolicy
from gridhash.agents.numpy_policy import ACTION_HIGH, MlpPolicy, OutputKind
from gridhash.agents.policy import Policy
from gridhash.agents.relative_policy import RelativePolicy
from gridhash.errors import PolicyError

OPSET = 17
IR_VERSION = 8
"""Old enough for runtimes since 2022; nothing newer is used."""
INPUT, OUTPUT, LOGITS = "observation", "action", "logits"


def to_onnx(policy: Policy) -> ModelProto:
    """Return a network as a checked ONNX model: (N, F) float32 to (N, G) float32, or logits (N, M).

    Raises
    ------
    PolicyError
        If the policy is no network.
    """
    if isinstance(policy, RelativePolicy):
        raise PolicyError(
            f"{policy.name} adds a network to the rule {policy.rule.name}, which ONNX cannot hold: "
            "export a policy of levels, or one that began at the plan"
        )
    if not isinstance(policy, MlpPolicy | LevelPolicy):
        raise PolicyError(
            f"{policy.name} is no network: ONNX holds networks only; a rule or table is a line of "
            "Python to call"
        )
    output, width = result_of(policy)
    graph, network = _Graph(), policy.network
    limits = (graph.constant("low", -network.clip), graph.constant("high", network.clip))
    weights = {name: graph.constant(name, array) for name, array in network.weights.items()}
    x = graph.node("Sub", INPUT, weights["normalise.center"])
    x = graph.node("Div", x, weights["normalise.scale"])
    x = graph.node("Clip", x, *limits)
    for k in range(len(network.hidden)):
        x = graph.node(
            "Gemm", x, weights[f"layer.{k}.weight"], weights[f"layer.{k}.bias"], transB=1
        )
        x = graph.node("Relu", x)
    last = (x, weights["output.weight"], weights["output.bias"])
    if isinstance(policy, LevelPolicy):
        graph.node("Gemm", *last, to=output, transB=1)
        says = (
            "logits of each group's levels, off first: mask, then take the greatest of each group"
        )
    else:
        says = _bounded(graph, graph.node("Gemm", *last, transB=1), policy)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            policy.name,
            [_tensor(INPUT, network.n_features)],
            [_tensor(output, width)],
            initializer=graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="gridhash",
        producer_version=__version__,
        doc_string=says,
    )
    checker.check_model(model, full_check=True)
    return model


def result_of(policy: Policy) -> tuple[str, int]:
    """Return the name of what comes out of a network's graph, and how many numbers it is."""
    name = LOGITS if isinstance(policy, LevelPolicy) else OUTPUT
    return name, policy.network.n_outputs if isinstance(policy, MlpPolicy | LevelPolicy) else 0


def _bounded(graph: "_Graph", x: str, policy: MlpPolicy) -> str:
    """Add what makes an action of linear outputs; return what it says."""
    low, high = policy.action_kind.low, ACTION_HIGH
    if policy.output is OutputKind.TANH:
        x = graph.node("Tanh", x)
        x = graph.node("Mul", x, graph.constant("half_range", (high - low) / 2.0))
        x = graph.node("Add", x, graph.constant("middle", (low + high) / 2.0))
    bounds = (graph.constant("action_low", low), graph.constant("action_high", high))
    graph.node("Clip", x, *bounds, to=OUTPUT)
    return f"one {policy.action_kind.name.lower()} per rig group, {low:g} to {high:g}"


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
