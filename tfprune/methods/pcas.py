"""PCAS: channels go that attention, learnt for the purpose, turns down.

Yamamoto, Maeno, "PCAS: Pruning Channels with Attention Statistics for Deep
Network Compression", 2018, https://arxiv.org/abs/1806.05382. Gates are put
into a trained network and trained. The gate of a layer multiplies channel `c`
of its outputs `u` by `s_c`, and channels go by the mean of `s_c` over the data:

    z_c = mean of u_c over its positions
    s   = sigmoid(W2 relu(W1 z + b1) + b2)
    u_c <- s_c u_c
    A_c = mean of s_c over all samples

One ratio for the whole network settles how many go: of all channels with a
gate, those of lowest `A_c`. Then the gates are taken out and the network is
trained again.

A reconstruction: no code was published. That the gates stand after the
activation, their hidden units, their start and that they are trained by Adam
is chosen here; so is `(1 + tanh) / 2` as another last activation. A channel
that passes through several gates gets the mean of their `A_c`.
"""

import collections
import dataclasses
import numbers
import typing

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph import document
from tfprune.graph import tensor as tensor_lib
from tfprune.graph import values
from tfprune.methods import gates
from tfprune.scoring import criterion as criterion_lib
from tfprune.scoring import probe
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib

# All in [0, 1]; (1 + tanh(x)) / 2 is sigmoid(2 x).
ACTIVATIONS = {
    "sigmoid": keras.ops.sigmoid,
    "shifted_tanh": lambda x: (1 + keras.ops.tanh(x)) / 2,
}


@method_lib.register("attention_gate")
@dataclasses.dataclass(frozen=True)
class AttentionGate(method_lib.Method):
    """Multiplies the output channels of a layer by what it finds in them.

    Before training, all factors are `activation(bias)`. What `scores` and
    `fold` give is the mean of the factors that `measure` has found.

    Args:
        reduction: `int`, channels for each hidden unit.
        min_hidden: `int`, how many hidden units there are at least.
        activation: `"sigmoid"` or `"shifted_tanh"`, `(1 + tanh) / 2`.
        bias: `float`, at the start, of the last activation's argument.
        axis: `int`, that of the channels in the outputs, batch first; `None`
            takes that of the layer's `data_format`, the last one if the
            layer has none.
        seed: `int`, of the weights of the hidden units.

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
        axis = self._axis(slot)
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

    def _axis(self, slot):
        if self.axis is not None:
            return self.axis
        form = getattr(slot.layer, "data_format", None)
        return 1 if form == "channels_first" else -1

    def attention(self, slot, outputs):
        """The factors of the channels of each sample.

        Args:
            slot: the `Slot`.
            outputs: tensor, what the layer gives.

        Returns:
            float32 tensor, shape `(batch, channels)`.
        """
        axis = self._axis(slot) % len(outputs.shape)
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
        shape[0], shape[self._axis(slot)] = -1, s.shape[-1]
        return outputs * keras.ops.cast(
            keras.ops.reshape(s, shape), outputs.dtype
        )

    def scores(self, slot):
        return self.fold(slot)

    def fold(self, slot):
        if not int(values.numpy(slot["samples"])):
            raise ValueError(
                "A gate must be measured before it is folded or scored. "
                f"Received: that of layer {slot.layer.name!r}. Call "
                "`tfprune.methods.pcas.measure(model, data)`, or unwrap with "
                "`fold=False`."
            )
        return np.array(values.numpy(slot["mean"]))


def measure(model, data, batch_size=128, limit=None):
    """Measures the mean factors of all gates; each sample counts once.

    Args:
        model: a model wrapped with `AttentionGate`, whose variables `mean`
            and `samples` are set.
        data: inputs, as for `tfprune.datasets.batches`, without augmentation.
            Labels are not used.
        batch_size: `int`, for arrays.
        limit: `int`, samples that are looked at; `None` for all.
    """
    slots = {
        id(w): w.slots[method_lib.OUTPUTS]
        for w in wrapper_lib.find(model)
        if isinstance(w.method, AttentionGate)
    }
    sums = collections.defaultdict(float)
    counts = collections.defaultdict(int)

    def apply(site, args, kwargs):
        args, kwargs = keras.tree.map_structure(_plain, (args, kwargs))
        wrapper = site.live
        slot = slots.get(id(wrapper))
        if slot is None:
            return wrapper(*args, **kwargs)
        outputs = wrapper.layer(*args, **kwargs)
        s = wrapper.method.attention(slot, outputs)
        s = values.numpy(s).astype(np.float64)
        sums[id(wrapper)] += s.sum(0)
        counts[id(wrapper)] += len(s)
        return wrapper.method.gate(slot, outputs)

    config = model.get_config()
    for x, _ in samples.batches(
        data, "the mean attention", batch_size, limit, model=model
    ):
        with keras.StatelessScope():
            document.run(config, model, x, apply)
    for key, slot in slots.items():
        slot["mean"].assign(sums[key] / counts[key])
        slot["samples"].assign(counts[key])


def _plain(leaf):
    return leaf.value if isinstance(leaf, tensor_lib.Constant) else leaf


def mean_attention(graph, model, skip=()):
    """The score of each channel: the mean over its gates.

    Args:
        graph: a `ChannelGraph` of the model without gates.
        model: what `gates.attach` made of that model, measured.
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
        model: the wrapped model; it stays frozen but for the gates.
        data: as for `samples.for_fit`, with labels.
        compile_args: `dict`, the arguments of `compile`; without `optimizer`
            it is Adam with a learning rate of 1e-3.
        joint: `bool`, whether all weights are trained with the gates, and
            nothing is frozen.
        batch_size, seed: as for `samples.for_fit`.
        **fit_args: those of `fit`.
    """
    trained = model if joint else gates.frozen(model)
    optimizer = compile_args.get("optimizer") or keras.optimizers.Adam(1e-3)
    trained.compile(**{**compile_args, "optimizer": optimizer})
    batches = samples.for_fit(data, batch_size, seed)
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
    """Mean attention of gates that are trained on the data.

    A channel after which no gate can stand (see `gates.sites`) scores
    infinity: it stays. `tfprune.recipes.pcas` does the paper's three stages.

    Args:
        gate: the `AttentionGate` of all layers.
        loss: as for `keras.Model.compile`; `None` takes the loss that the
            model is compiled with.
        epochs: `int`, of training the gates, everything else frozen.
        learning_rate: `float`, of Adam.
        batch_size: `int`, for arrays.
        seed: `int`, of the order of arrays in training.

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

    def scores(self, graph, data):
        """`A_c` for each channel, shape `(graph.size,)`."""
        purpose = "the criterion 'pcas'"
        compile_args = checked(graph, data, purpose, self.loss, self.batch_size)
        model = gates.attach(graph, self.gate)
        compile_args["optimizer"] = keras.optimizers.Adam(self.learning_rate)
        # On a CPU, XLA takes longer to compile than the whole run.
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


def checked(graph, data, purpose, loss=None, batch_size=128):
    """Raises a `ValueError` where data or loss do not do, before any work.

    Args:
        graph: a `ChannelGraph`.
        data, batch_size: as for `samples.batches`.
        purpose: `str`, what the data are for, in the words of an error.
        loss: as for `probe.loss_settings`.

    Returns:
        `dict`, the arguments of `compile` that say what the loss is.
    """
    samples.check(data, purpose, batch_size, graph.model, loss)
    return probe.loss_settings(graph.model, purpose, loss)
