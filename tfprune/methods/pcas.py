"""PCAS: scores channels by the attention that trained gates give them.

Yamamoto, Maeno, "PCAS: Pruning Channels with Attention Statistics for Deep
Network Compression", 2018, https://arxiv.org/abs/1806.05382. Gates are inserted
into a trained network and trained. The gate of a layer multiplies channel `c`
of its outputs `u` by `s_c`, and the mean of `s_c` over the data is its score:

    z_c = mean of u_c over its positions
    s   = sigmoid(W2 relu(W1 z + b1) + b2)
    u_c <- s_c u_c
    A_c = mean of s_c over all samples

One ratio for the whole network sets how many gated channels are removed, those
of lowest `A_c`. Then the gates are removed and the network is retrained.

A reconstruction: no code was published. The position of the gates after the
activation, their hidden units, initialization, training by Adam and the
alternative activation `(1 + tanh) / 2` are our choices. A channel that passes
through several gates gets the mean of their `A_c`.
"""

import collections
import contextlib
import dataclasses
import numbers
import typing

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph import document
from tfprune.graph import read
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.methods import gates
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping

# All in [0, 1]; (1 + tanh(x)) / 2 is sigmoid(2 x).
ACTIVATIONS = {
    "sigmoid": keras.ops.sigmoid,
    "shifted_tanh": lambda x: (1 + keras.ops.tanh(x)) / 2,
}


@method_lib.register("attention_gate")
@dataclasses.dataclass(frozen=True)
class AttentionGate(method_lib.Method):
    """Multiplies a layer's output channels by input-dependent attention.

    Before training, all factors are `activation(bias)`. `scores` and `fold`
    use the mean factors found by `measure`.

    Args:
        reduction: `int`, channels per hidden unit.
        min_hidden: `int`, minimum number of hidden units.
        activation: `"sigmoid"` or `"shifted_tanh"`, `(1 + tanh) / 2`.
        bias: `float`, initial bias of the last activation.
        axis: `int`, channel axis of the outputs, counting the batch axis;
            `None` follows the layer's `data_format`, takes that which batch
            normalization acts along, or uses the last axis of other layers.
        seed: `int`, seed of the hidden units' weights.

    Raises:
        ValueError: If a field is out of range.

    Example:

    >>> gate = tfprune.methods.AttentionGate()
    >>> gated = tfprune.wrap(model, gate, where="relu*")
    """

    reduction: int = 8
    min_hidden: int = 4
    activation: str = "sigmoid"
    bias: float = 2.0
    axis: int | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("reduction", "min_hidden"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(
                    f"`{name}` must be a positive int. Received: "
                    f"{name}={value!r}."
                )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {', '.join(ACTIVATIONS)}. "
                f"Received: activation={self.activation!r}."
            )

    def sites(self, layer):
        return (method_lib.OUTPUTS,)

    def build(self, slot):
        axis = self.channel_axis(slot)
        rank = len(slot.shape)
        fits = -rank < axis < rank and axis != 0
        channels = slot.shape[axis] if fits else None
        if not isinstance(channels, numbers.Integral):
            raise ValueError(
                "A gate needs outputs with a fixed number of channels along "
                f"its axis. Received: outputs of shape {slot.shape} of layer "
                f"{slot.layer.name!r}, axis={axis}. Give another `axis`, or "
                "choose other layers."
            )
        hidden = max(channels // self.reduction, self.min_hidden)
        slot.add_weight(
            "reduce_kernel",
            (channels, hidden),
            initializer=keras.initializers.GlorotUniform(self.seed),
        )
        slot.add_weight("reduce_bias", (hidden,), initializer="zeros")
        slot.add_weight(
            "expand_kernel", (hidden, channels), initializer="zeros"
        )
        slot.add_weight(
            "expand_bias",
            (channels,),
            initializer=keras.initializers.Constant(self.bias),
        )
        found = {"initializer": "zeros", "trainable": False}
        slot.add_weight("mean", (channels,), **found)
        slot.add_weight("samples", dtype="int32", **found)

    def channel_axis(self, slot):
        return super().channel_axis(slot) if self.axis is None else self.axis

    def attention(self, slot, outputs):
        """Computes the channel factors of each sample.

        Args:
            slot: the `Slot`.
            outputs: tensor, the layer's outputs.

        Returns:
            float32 tensor, shape `(batch, channels)`.
        """
        axis = self.channel_axis(slot) % len(outputs.shape)
        positions = [i for i in range(1, len(outputs.shape)) if i != axis]
        z = keras.ops.cast(outputs, "float32")
        if positions:
            z = keras.ops.mean(z, positions)
        e = keras.ops.matmul(z, slot["reduce_kernel"].value)
        e = keras.ops.relu(e + slot["reduce_bias"].value)
        s = keras.ops.matmul(e, slot["expand_kernel"].value)
        return ACTIVATIONS[self.activation](s + slot["expand_bias"].value)

    def gate(self, slot, outputs, training=False):
        s = self.attention(slot, outputs)
        shape = [1] * len(outputs.shape)
        shape[0], shape[self.channel_axis(slot)] = -1, s.shape[-1]
        return outputs * keras.ops.cast(
            keras.ops.reshape(s, shape), outputs.dtype
        )

    def scores(self, slot):
        return self.fold(slot)

    def fold(self, slot):
        if not int(values.numpy(slot["samples"])):
            raise ValueError(
                "A gate must be measured before it is folded or scored. "
                f"Received: layer={slot.layer.name!r}, not measured. Call "
                "`tfprune.methods.pcas.measure(model, data)`, or unwrap with "
                "`fold=False`."
            )
        return np.array(values.numpy(slot["mean"]))


def measure(model, data, batch_size=128, limit=None):
    """Measures the mean factors of all gates; each sample counts once.

    Args:
        model: a model wrapped with `AttentionGate`, also in a `Chain`; sets
            the gates' variables `mean` and `samples`.
        data: inputs, as for `tfprune.datasets.batches`, without augmentation.
            Labels are not used.
        batch_size: `int`, used if the data are arrays.
        limit: `int`, maximum number of samples to use; `None` uses all.
    """
    parts = {
        id(w): w.method.parts(w.slots[method_lib.OUTPUTS])
        for w in wrapper_lib.find(model)
        if method_lib.OUTPUTS in w.slots
    }
    gated = {
        key: [p for p in found if isinstance(p[0], AttentionGate)]
        for key, found in parts.items()
    }
    sums = collections.defaultdict(float)
    counts = collections.defaultdict(int)

    def apply(site, args, kwargs):
        args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
        wrapper = site.live
        if not gated.get(id(wrapper)):
            return wrapper(*args, **kwargs)
        outputs = wrapper.ungated(*args, **kwargs)
        for method, slot in parts[id(wrapper)]:
            if isinstance(method, AttentionGate):
                s = values.numpy(method.attention(slot, outputs))
                key = id(wrapper), slot.prefix
                sums[key] += s.astype(np.float64).sum(0)
                counts[key] += len(s)
            outputs = method.gate(slot, outputs)
        return outputs

    config = document.of(model)
    for x, _ in samples.batches(
        data, "the mean attention", batch_size, limit, model=model
    ):
        with keras.StatelessScope():
            document.run(config, model, x, apply, training=False)
    for each, found in gated.items():
        for _, slot in found:
            key = each, slot.prefix
            slot["mean"].assign(sums[key] / counts[key])
            slot["samples"].assign(counts[key])


def _plain(leaf):
    return leaf.value if isinstance(leaf, tensor_lib.Constant) else leaf


def mean_attention(graph, model, skip=()):
    """Returns the score of each channel: the mean over its gates.

    Args:
        graph: a `ChannelGraph` of the model without gates.
        model: the gated model from `gates.attach`, after `measure`.
        skip: as for `gates.attach`.

    Returns:
        Float array, shape `(graph.size,)`; infinity where there is no gate.
    """
    total, count = np.zeros((2, graph.size))
    for site in gates.sites(graph, skip):
        wrapper = gates.layer_at(model, site.path)
        slot = wrapper.slots[method_lib.OUTPUTS]
        np.add.at(total, site.labels, wrapper.method.fold(slot))
        np.add.at(count, site.labels, 1)
    return np.divide(
        total, count, out=np.full(graph.size, np.inf), where=count > 0
    )


def train(
    model, data, compile_args, joint=False, batch_size=128, seed=0, **fit_args
):
    """Trains the gates of a model from `gates.attach`, in place.

    Args:
        model: the wrapped model; all but the gates stays frozen.
        data: as for `samples.for_fit`, with labels.
        compile_args: `dict`, arguments of `compile`; the default optimizer is
            Adam with a learning rate of 1e-3.
        joint: `bool`, whether to train all weights along with the gates, but
            for those that are frozen.
        batch_size, seed: as for `samples.for_fit`.
        **fit_args: arguments of `fit`.
    """
    optimizer = compile_args.get("optimizer") or keras.optimizers.Adam(1e-3)
    batches = samples.for_fit(data, batch_size, seed)
    with contextlib.ExitStack() as stack:
        if joint:
            stack.enter_context(gates.learning(model))
        trained = model if joint else gates.frozen(model)
        trained.compile(**{**compile_args, "optimizer": optimizer})
        trained.fit(batches, shuffle=False, **fit_args)


@criterion_lib.register(
    "pcas",
    paper="Yamamoto and Maeno, Pruning Channels with Attention Statistics",
    year=2018,
    url="https://arxiv.org/abs/1806.05382",
    data=criterion_lib.LABELS,
    cost=criterion_lib.BACKWARD,
)
@dataclasses.dataclass(frozen=True)
class PCAS(criterion_lib.Criterion):
    """Scores channels by the mean attention of gates trained on the data.

    A channel that cannot have a gate (see `gates.sites`) scores infinity and
    stays. `tfprune.recipes.pcas` runs the paper's three stages.

    Args:
        gate: the `AttentionGate` for all layers.
        loss: as for `keras.Model.compile`; `None` uses the loss that the
            model was compiled with.
        epochs: `int`, epochs of gate training, with everything else frozen.
        learning_rate: `float`, Adam's learning rate.
        batch_size: `int`, used if the data are arrays.
        seed: `int`, seed for shuffling arrays in training.

    Example:

    >>> budget = tfprune.Budget(macs=0.5)
    >>> small = tfprune.prune(model, budget, criterion="pcas", data=(x, y))
    """

    gate: AttentionGate = AttentionGate()
    loss: typing.Any = None
    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 128
    seed: int = 0
    normalize = "none"

    def __post_init__(self):
        check_gate(self.gate)
        count("epochs", self.epochs)

    def scorable(self, graph):
        """Returns which channels a gate can follow, shape `(graph.size,)`."""
        found = np.zeros(graph.size, bool)
        for site in gates.sites(_unwrapped(graph)):
            found[site.labels] = True
        return found

    def scores(self, graph, data):
        """Returns `A_c` for each channel, shape `(graph.size,)`."""
        purpose = "the criterion 'pcas'"
        compile_args = checked(graph, data, purpose, self.loss, self.batch_size)
        graph = _unwrapped(graph)
        model = gates.attach(graph, self.gate)
        compile_args["optimizer"] = keras.optimizers.Adam(self.learning_rate)
        # On a CPU, compiling with XLA takes longer than the whole run.
        compile_args["jit_compile"] = keras.backend.backend() == "jax"
        train(
            model,
            data,
            compile_args,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=self.seed,
            verbose=0,
        )
        measure(model, data, self.batch_size)
        return mean_attention(graph, model)


def _unwrapped(graph):
    """The graph without wrappers, as gates go into wrappers as well.

    The channels are the same.
    """
    if not wrapper_lib.find(graph.model):
        return graph
    return read.channel_graph(wrapping.unwrap(graph.model))


def check_gate(gate):
    """Raises a `ValueError` for what is no `AttentionGate`."""
    if not isinstance(gate, AttentionGate):
        raise ValueError(
            "`gate` must be a tfprune.methods.AttentionGate, such as "
            f"AttentionGate(). Received: gate={gate!r}."
        )


def count(name, value):
    """The number of epochs as an `int`, at least 0, or a `ValueError`."""
    if not isinstance(value, numbers.Integral) or value < 0:
        raise ValueError(
            f"`{name}` must be an int of at least 0. Received: "
            f"{name}={value!r}."
        )
    return int(value)


def checked(graph, data, purpose, loss=None, batch_size=128):
    """Raises a `ValueError` for unusable data or loss, before any work.

    Args:
        graph: a `ChannelGraph`.
        data, batch_size: as for `samples.batches`.
        purpose: `str`, what the data are for, used in error messages.
        loss: as for `probe.loss_settings`.

    Returns:
        `dict`, the arguments of `compile` that define the loss.
    """
    samples.check(data, purpose, batch_size, graph.model, loss)
    return probe.loss_settings(graph.model, purpose, loss)
