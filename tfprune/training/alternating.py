"""Alternating updates in `fit`: the weights, then the methods' variables.

Each has its own part of the data and its own optimizer.
"""

import contextlib
import threading

import keras
import numpy as np

from tfprune.datasets import samples
from tfprune.graph.classes import model_class
from tfprune.sparsity import wrapper as wrapper_lib


@keras.saving.register_keras_serializable("tfprune")
class AlternatingModel(keras.Model):
    """Trains the weights and the indicators of a wrapped model in turn.

    A batch holds training samples at even positions and held-out ones at odd
    positions, as from `Interleaved`. Each step first updates the weights on
    the former with the optimizer passed to `compile`, then the indicators (all
    trainable variables added by methods, such as AutoPrune's indicators or
    thresholds) on the latter with their own optimizer. The first turn
    includes layers' regularizers, the second the penalties of methods. Loss
    and metrics are means over both turns; batch normalization counts both
    batches.

    It trains the given model in place; strip or fine-tune that one
    afterwards. `steps_per_execution`, `jit_compile`, callbacks, mixed
    precision and distribution strategies work as usual, on TensorFlow and
    JAX.

    Args:
        model: a model from `wrap`, with a method that has trainable
            variables.
        indicator_optimizer: a `keras.optimizers.Optimizer` for the
            indicators, or its name; `Adam(1e-3)` by default. Do not use
            weight decay: it would pull indicators to 0.
        **kwargs: arguments of `keras.Model`.

    Raises:
        ValueError: If no method has trainable variables in the model.

    Example:

    >>> wrapped = tfprune.wrap(model, tfprune.methods.AutoPrune())
    >>> alternating = tfprune.training.AlternatingModel(wrapped)
    >>> alternating.compile("sgd", "sparse_categorical_crossentropy")
    >>> batches = tfprune.training.Interleaved(train, held_out)
    >>> alternating.fit(batches, epochs=20)
    >>> small = tfprune.strip(wrapped)
    """

    def __init__(self, model, indicator_optimizer=None, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        indicators = wrapper_lib.learned(model)
        if not indicators:
            raise ValueError(
                "A model whose method has trainable variables is required. "
                f"Received: model={model.name!r}, which has none. "
                "Use `tfprune.wrap(model, tfprune.methods.AutoPrune())`."
            )
        model_class.warn_of_own_training(model, "AlternatingModel")
        optimizer = keras.optimizers.get(
            indicator_optimizer or keras.optimizers.Adam(1e-3)
        )
        scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if model.compute_dtype == "float16" and not scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(indicators)
        self.indicator_optimizer = optimizer
        self._turn = _Turn()
        self.built = True
        if hasattr(model, "input_shape"):
            # Scheduled methods read the model as it is called.
            self.build(model.input_shape)

    def call(self, inputs, training=None):
        return self.model(inputs, training=training)

    @property
    def output_names(self):
        """The model's, by which losses and metrics may be given."""
        return getattr(self.model, "output_names", None)

    def fit(self, *args, **kwargs):
        """As of `keras.Model`; ends with the averages that optimizers keep."""
        optimizer = self.indicator_optimizer
        before = int(optimizer.iterations)
        history = super().fit(*args, **kwargs)
        # Keras does so for the other optimizer. Without a step averages are 0.
        if int(optimizer.iterations) > before:
            optimizer.finalize_variable_values(self._indicators())
        return history

    # Each turn has its own trainable variables and optimizer. Everything else,
    # including the other optimizer, is non-trainable state of that turn.

    @property
    def optimizer(self):
        if self._turn.of_indicators:
            return self.indicator_optimizer
        return vars(self).get("optimizer")

    @optimizer.setter
    def optimizer(self, optimizer):
        vars(self)["optimizer"] = optimizer

    @property
    def trainable_variables(self):
        indicators = self._indicators()
        if self._turn.of_indicators:
            return indicators
        return _without(super().trainable_variables, indicators)

    @property
    def trainable_weights(self):
        return self.trainable_variables

    @property
    def non_trainable_variables(self):
        state = super().non_trainable_variables
        if self._turn.of_indicators:
            return state + self._weights()
        return state + self._indicators() + self.indicator_optimizer.variables

    def _indicators(self):
        return wrapper_lib.learned(self.model)

    def _weights(self):
        return _without(super().trainable_variables, self._indicators())

    @contextlib.contextmanager
    def _indicators_turn(self):
        self._turn.of_indicators = True
        try:
            yield
        finally:
            self._turn.of_indicators = False

    def train_step(self, *args):
        """Runs both turns: on `data`, or on JAX with `state` and `data`."""
        *state, data = args
        first = _first(data)
        train, held_out = _split(data, first), _split(data, 1 - first)
        if not state:
            super().train_step(train)
            with self._indicators_turn():
                return super().train_step(held_out)
        _, state = super().train_step(*state, train)
        with self._indicators_turn():
            logs, swapped = super().train_step(self._swap(state), held_out)
        return logs, self._swap_back(state, swapped)

    def _swap(self, state):
        """The state of a step, rearranged for the indicators' turn."""
        weights, rest, _, metrics = state
        others, indicators, optimizer = self._parts(rest)
        return indicators, others + list(weights), optimizer, metrics

    def _swap_back(self, state, swapped):
        weights, rest, optimizer, _ = state
        indicators, others, own_optimizer, metrics = swapped
        others = list(others)[: len(self._parts(rest)[0])]
        rest = others + list(indicators) + list(own_optimizer)
        return weights, rest, optimizer, metrics

    def _parts(self, rest):
        """The values of `non_trainable_variables`, by owner."""
        rest = list(rest)
        last = len(rest) - len(self.indicator_optimizer.variables)
        first = last - len(self._indicators())
        return rest[:first], rest[first:last], rest[last:]

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "model": serialize(self.model),
            "indicator_optimizer": serialize(self.indicator_optimizer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for key in ("model", "indicator_optimizer"):
            config[key] = keras.saving.deserialize_keras_object(
                config[key], custom_objects=custom_objects
            )
        return cls(**config)


class _Turn(threading.local):
    """The current turn, per thread: a strategy's replicas run in threads."""

    of_indicators = False


def _without(variables, others):
    excluded = {id(v) for v in others}
    return [v for v in variables if id(v) not in excluded]


def _first(data):
    """Where the first training sample is: 0, or 1 in parts of a batch.

    A strategy of TensorFlow cuts a batch for its replicas, after a pair of
    samples or in the midst of one.
    """
    if keras.backend.backend() != "tensorflow":
        return 0
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return 0
    size = tf.shape(keras.tree.flatten(data)[0])[:1]
    sizes = replica.all_gather(size, axis=0)
    return tf.reduce_sum(sizes[: replica.replica_id_in_sync_group]) % 2


def _split(data, start):
    return keras.tree.map_structure(
        lambda values: None if values is None else values[start::2], data
    )


class Interleaved(keras.utils.PyDataset):
    """Interleaves the batches of two data sets, sample by sample.

    An epoch goes through the first data set once and repeats the second as
    needed, repeating or cutting its batches to the size of the first's.

    Args:
        train: arrays `(x, y)` or `(x, y, sample_weight)`, which are shuffled;
            a `keras.utils.PyDataset` (such as `batches.Batches`); or a list
            of batches, tuples of such arrays, used in order.
        held_out: likewise; samples that the weights do not train on, such as
            the second part of `batches.Split.hold_out(0.1, seed)`.
        batch_size: `int`, used if the data are arrays.
        seed: `int`, seed for shuffling arrays.
        **kwargs: arguments of `keras.utils.PyDataset`.

    Raises:
        ValueError: If one of them has no batches, or batches that cannot be
            indexed.

    Example:

    >>> train = [(np.zeros((2, 1)), np.zeros(2))]
    >>> held_out = [(np.ones((1, 1)), np.ones(1))]
    >>> Interleaved(train, held_out)[0][1]
    array([0., 1., 0., 1.])
    """

    def __init__(self, train, held_out, batch_size=128, seed=0, **kwargs):
        super().__init__(**kwargs)
        for name, data in (("train", train), ("held_out", held_out)):
            if isinstance(data, tuple):
                samples.check(data, f"`{name}`", batch_size)
        if isinstance(train, tuple):
            train = samples.for_fit(train, batch_size, seed)
        if isinstance(held_out, tuple):
            held_out = samples.for_fit(held_out, batch_size, seed)
        for name, data in (("train", train), ("held_out", held_out)):
            if not hasattr(data, "__getitem__"):
                raise ValueError(
                    f"`{name}` must be arrays, a PyDataset or a list of "
                    f"batches. Received: {name}={data!r}, whose batches "
                    "cannot be indexed. Make a list of them."
                )
            if not len(data):
                raise ValueError(
                    f"`{name}` must have batches. Received: {name}={data!r} "
                    "of length 0."
                )
        self.train = train
        self.held_out = held_out
        self._first = self._epoch = 0

    @property
    def epoch(self):
        """`int`, the epoch of the data sets that count epochs."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch):
        self._epoch = epoch
        self._first = epoch * len(self) % len(self.held_out)
        for data in (self.train, self.held_out):
            if hasattr(data, "epoch"):
                data.epoch = epoch

    def __len__(self):
        return len(self.train)

    def __getitem__(self, index):
        place = (self._first + index) % len(self.held_out)
        batch, other = self.train[index], self.held_out[place]
        return keras.tree.map_structure(
            _interleave, *map(samples.batch_for_fit, (batch, other))
        )

    def on_epoch_begin(self):
        self._tell("on_epoch_begin")

    def on_epoch_end(self):
        self._first = (self._first + len(self)) % len(self.held_out)
        self._tell("on_epoch_end")

    def _tell(self, event):
        for data in (self.train, self.held_out):
            if isinstance(data, keras.utils.PyDataset):
                getattr(data, event)()


def _interleave(first, second):
    first, second = np.asarray(first), np.asarray(second)
    second = np.take(second, np.arange(len(first)), 0, mode="wrap")
    pairs = np.stack([first, second], 1)
    return pairs.reshape(-1, *first.shape[1:])
