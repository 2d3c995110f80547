"""SynFlow: scores channels by the synaptic flow through their weights.

Tanaka, Kunin, Yamins, Ganguli, "Pruning neural networks without any data by
iteratively conserving synaptic flow", 2020, https://arxiv.org/abs/2006.05467.
With the absolute values of all weights and an input of ones,

    R = sum of the outputs,    score(w) = |w * dR/dw|,

and a channel's score is the sum over the weights that write it. No data are
needed. Flow is conserved: the scores of every layer that carries all of it add
up to the same number.

Biases, shifts, means and added constants are left out, because they would add
to the flow; the authors' code takes the absolute values of the first. Signs are
left out, too: differences become sums. R overflows in deep networks, so the
authors compute in double precision; here the input and R are scaled down until
they fit, which scales all scores alike, and until recurrent layers do not stop
the flow because they saturate.
Channels that a layer writes by weights that are never trained get no score and
stay.

The paper's network is a product of weights. Normalization by averages of the
inputs themselves is none: its outputs do not grow with the inputs, so all that
flows into it adds up to zero. Such layers only multiply by their scales here.

ReLU passes on all of the flow, which is positive. Other activations would hold
it up where they saturate: the gradient of a final softmax or sigmoid is zero.
So R is taken at the logits, and hidden activations are linear. Only gates,
which multiply other tensors, and recurrent layers keep theirs: without limits
their flow would grow beyond all bounds.
"""

import dataclasses
import functools
import numbers

import keras
import numpy as np

from tfprune.costs import counting
from tfprune.graph import channel_graph
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.scoring import adapters
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.scoring import score
from tfprune.sparsity import wrapper as wrapper_lib

_SHIFTS = ("bias", "beta", "mean")  # Moving ones, and of Normalization.
_SCALES = 10.0 ** np.arange(0, -31, -5)
_CONSTANTS = ("__numpy__", "__tensor__")  # As arguments of ops.
# Where a tensor can be the gate of another one.
_PRODUCTS = ("Multiply", "Matmul", "Einsum", "Dot")
# Ops that are activations or turn signs, by what passes positive numbers on in
# their stead.
_OPS = {
    name: stand_in
    for stand_in, names in (
        (
            "Relu",
            "Relu6 Sigmoid SparseSigmoid Softplus Softsign LogSigmoid Silu Elu "
            "Selu Gelu Celu HardSigmoid HardTanh HardSilu Mish Softmax "
            "LogSoftmax Squareplus SparsePlus TanhShrink SoftShrink HardShrink "
            "Threshold Sparsemax",
        ),
        ("Absolute", "Tanh Negative"),
    )
    for name in names.split()
}


@criterion_lib.register(
    "synflow",
    paper="Tanaka et al., Pruning Neural Networks without any Data",
    year=2020,
    url="https://arxiv.org/abs/2006.05467",
    cost="one backward pass",
)
@dataclasses.dataclass(frozen=True)
class SynFlow(criterion_lib.Criterion):
    """Scores channels by the flow through the weights that write them.

    This is one round of scoring. The paper prunes a little in each of many
    rounds; for that, call `tfprune.prune` repeatedly.
    """

    normalize = "none"

    def scores(self, graph, data=None):
        """Returns the flow through each channel, shape `(graph.size,)`.

        Raises:
            ValueError: If the model's inputs have unknown sizes, the flow
                overflows despite the scaling, or there is none.
        """
        del data
        flows = self.flows(graph)
        writes = [b for b in graph.bindings if b.role == channel_graph.WRITES]
        scores = score.summed(
            graph,
            (
                (b, flows[id(b.variable)])
                for b in writes
                if id(b.variable) in flows
            ),
        )
        scores = score.with_unrated(scores, writes, flows)
        if graph.removable.any() and not scores[graph.removable].any():
            raise ValueError(
                "Some of the flow must pass. Received: model="
                f"{graph.model.name!r}, in which it is zero in every channel "
                "that can be removed. A layer on the way has only zeros or "
                "very small weights, or an activation that stops it. Use "
                "another criterion, such as 'l1'."
            )
        return scores

    def flows(self, graph):
        """Returns `|w * dR/dw|` as a `dict` keyed by `id(variable)`."""
        counting.check_sizes(graph)
        shapes = [x.shape[1:] for x in graph.inputs]
        config = _linear(document.copied(graph.config), _gates(graph))
        absolute = rebuild.build(
            graph.model,
            config,
            functools.partial(
                _absolute, _of_methods(graph.model), adapters.merged(graph)
            ),
        )
        copied = read.channel_graph(absolute)
        pairs = zip(graph.model.weights, absolute.weights, strict=True)
        weights = [(id(old), new, values.numpy(new)) for old, new in pairs]
        found, reached = None, -1
        for scale in _SCALES:
            gradients = self._gradients(copied, shapes, scale)
            flows = {
                key: np.abs(gradients[id(new)] * value)
                for key, new, value in weights
                if id(new) in gradients
            }
            if not all(np.isfinite(flow).all() for flow in flows.values()):
                continue
            # Less of it may pass on where more would saturate.
            passed = [
                flows[key].any()
                for key, _, value in weights
                if key in flows and value.any()
            ]
            if sum(passed) <= reached:
                break
            found, reached = flows, sum(passed)
            if all(passed):
                break
        if found is None:
            raise ValueError(
                "The flow must be finite. Received: model="
                f"{graph.model.name!r}, whose flow overflows. Use another "
                "criterion, such as 'l1'."
            )
        return found

    def _gradients(self, graph, shapes, scale):
        x = [np.full((1, *shape), scale, "float32") for shape in shapes]
        x = x[0] if len(x) == 1 else tuple(x)
        zero = np.zeros((1, 1), "float32")

        def flow(_, outputs):
            return scale * keras.ops.sum(
                outputs, tuple(range(1, len(outputs.shape)))
            )

        model = graph.model
        sequential = isinstance(model, keras.Sequential)
        structure = model.outputs[0] if sequential else model.output
        y, losses = (
            keras.tree.map_structure(lambda _, leaf=leaf: leaf, structure)
            for leaf in (zero, flow)
        )
        ((found, _),) = probe.gradients(
            graph, (x, y), "the criterion 'synflow'", losses
        )
        return {k: np.asarray(g, np.float64) for k, g in found.items()}


def _of_methods(model):
    """The `id`s of variables that are no weights: thresholds, gates, masks."""
    return {
        id(variable)
        for wrapper in wrapper_lib.find(model)
        for slot in wrapper.slots.values()
        for variable in slot.variables.values()
    }


def _absolute(others, merged, variable):
    array = values.numpy(variable, exact=True)
    if id(variable) in others:
        return np.array(array)
    if id(variable) in merged:
        whole = merged[id(variable)]
        zeros = np.zeros_like(array)
        array = zeros if whole is None else whole.astype(array.dtype)
    array = np.abs(array)
    name = variable.path.rsplit("/", 1)[-1]
    return np.zeros_like(array) if name.endswith(_SHIFTS) else array


def _gates(graph):
    """The paths of the layers and ops that make a gate of another tensor."""
    readers = {}
    for step in graph.steps:
        for x in step.inputs:
            readers.setdefault(id(x), []).append(step)

    def reaches_product(step):
        for reader in (r for x in step.outputs for r in readers.get(id(x), ())):
            if reader.op in _PRODUCTS and len(reader.inputs) > 1:
                return True
            weights = getattr(graph.layers[reader.layer], "weights", ())
            if not weights and reaches_product(reader):
                return True
        return False

    return {step.layer for step in graph.steps if reaches_product(step)}


def _linear(config, gates, path=""):
    """Takes the activations out of a config, but for those of gates."""
    for entry in config["layers"]:
        inner = entry["config"]
        here = path + (entry.get("name") or inner["name"])
        if isinstance(inner.get("layers"), list):
            _linear(inner, gates, here + "/")
        elif here not in gates:
            _make_linear(entry)
    return config


def _make_linear(entry):
    inner, name = entry["config"], entry["class_name"]
    module = entry.get("module") or ""
    if ".ops." in module and module.startswith("keras."):
        if name in _OPS:
            # In the same module of Keras as the activation.
            entry["class_name"] = entry["registered_name"] = _OPS[name]
            entry["config"] = {"name": inner["name"]}
        elif name in ("Add", "Subtract"):
            _change_constants(entry, np.zeros_like)
            entry["class_name"] = entry["registered_name"] = "Add"
        elif name in ("Multiply", "Divide", "TrueDivide"):
            _change_constants(entry, np.abs)
        return
    if name in ("TimeDistributed", "SpectralNormalization", "PruningWrapper"):
        _make_linear(inner["layer"])
    if module != "keras.layers":
        return
    if name in _NORMALIZERS:
        cls = _NORMALIZERS[name]
        entry["module"], entry["class_name"] = cls.__module__, cls.__name__
        entry["registered_name"] = keras.saving.get_registered_name(cls)
    elif name == "Subtract":
        entry["class_name"] = "Add"
    elif name == "UnitNormalization":
        entry["class_name"] = "Identity"
        inner.pop("axis")
    elif name == "Softmax":
        entry["class_name"] = "ReLU"
        kept = ("name", "trainable", "dtype")
        entry["config"] = {k: v for k, v in inner.items() if k in kept}
        for node in entry.get("inbound_nodes", ()):
            node["kwargs"] = {}  # A mask.
    elif name == "ReLU":
        inner.update(max_value=None, threshold=0.0)
    elif name == "Rescaling":  # To [-1, 1], it would stop the flow.
        inner["scale"] = np.abs(inner["scale"]).tolist()
        inner["offset"] = 0.0
    elif name == "Normalization" and inner.get("mean") is not None:
        inner["mean"] = np.zeros_like(inner["mean"]).tolist()
    elif "activation" in inner and "recurrent_initializer" not in inner:
        inner["activation"] = "linear"


def _change_constants(entry, function):
    """Applies a function of arrays to the constants that an op is given."""

    def changed(argument):
        if isinstance(argument, numbers.Number):
            return type(argument)(function(argument))
        is_dict = isinstance(argument, dict)
        if is_dict and argument.get("class_name") in _CONSTANTS:
            config = argument["config"]
            value = function(np.asarray(config["value"])).tolist()
            return {**argument, "config": {**config, "value": value}}
        return argument

    for node in entry["inbound_nodes"]:
        node["args"] = tuple(map(changed, node["args"]))
        node["kwargs"] = {k: changed(x) for k, x in node["kwargs"].items()}


def _scales(cls):
    """Registers a normalization that only multiplies by its scales."""

    class Scales(cls):
        def call(self, inputs):
            rms = isinstance(self, keras.layers.RMSNormalization)
            weight = self.scale if rms else self.gamma
            if weight is None:
                return inputs
            given = self.axis if isinstance(self.axis, list) else [self.axis]
            rank = len(inputs.shape)
            axes = [axis % rank for axis in given]
            shape = [n if i in axes else 1 for i, n in enumerate(inputs.shape)]
            return inputs * keras.ops.reshape(weight, shape)

    name = f"{cls.__name__}Scales"
    return keras.saving.register_keras_serializable("tfprune", name)(Scales)


_NORMALIZERS = {
    cls.__name__: _scales(cls)
    for cls in (
        keras.layers.GroupNormalization,
        keras.layers.LayerNormalization,
        keras.layers.RMSNormalization,
    )
}
