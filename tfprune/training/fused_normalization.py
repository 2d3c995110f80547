"""Replaces batch normalization by a layer that trains faster.

Keras computes batch normalization from separate ops: mean, variance,
subtraction, product. TensorFlow has a fused op, forward and backward, that
reads the feature maps fewer times.
"""

import keras
import numpy as np

from tfprune.graph import rulebook
from tfprune.graph import values
from tfprune.graph.rules import norm
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.training import reused_memory


@keras.saving.register_keras_serializable("tfprune")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization that trains in one fused TensorFlow op.

    Outputs, gradients and moving statistics equal those of Keras's layer up
    to float rounding, including its biased moving variance. Inference, inputs
    of a shape other than `(batch, height, width, channels)`, masks and other
    backends fall back to Keras's implementation.

    Args: see `keras.layers.BatchNormalization`.
    """

    def call(self, inputs, training=None, mask=None):
        fuses = training and self.trainable and mask is None
        if not (fuses and is_fusible(self, inputs.shape)):
            return super().call(inputs, training=training, mask=mask)
        return self._fused(inputs)

    def _fused(self, x):
        import tensorflow as tf

        x = tf.convert_to_tensor(x)
        count = tf.shape(x)[-1:]
        gamma = tf.ones(count) if self.gamma is None else self.gamma
        beta = tf.zeros(count) if self.beta is None else self.beta
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.cast(gamma, "float32"),
            offset=tf.cast(beta, "float32"),
            mean=tf.zeros((0,)),
            variance=tf.zeros((0,)),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The op returns the unbiased variance; Keras tracks the biased one.
        number = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), "float32")
        variance *= tf.maximum(number - 1.0, 1.0) / number
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return outputs

    def _move(self, variable, value):
        old = keras.ops.cast(variable, value.dtype) * self.momentum
        variable.assign(
            old + keras.ops.stop_gradient(value) * (1 - self.momentum)
        )


rulebook.rule("tfprune>FusedBatchNormalization")(norm.batch_normalization)


def is_fusible(layer, shape):
    """Returns whether a batch normalization can train in the fused op.

    Args:
        layer: a `keras.layers.BatchNormalization`.
        shape: tuple, shape of its inputs.
    """
    return (
        keras.config.backend() == "tensorflow"
        and len(shape) == 4
        and layer.axis in (-1, 3)
        and not layer.synchronized
        and not getattr(layer, "renorm", False)  # not in older Keras
        and layer.compute_dtype != "float64"
    )


def fast(model, dtype=None):
    """Copies a model into one that trains faster on TensorFlow.

    Every batch normalization over the last axis of images, also one that
    `wrap` has wrapped, becomes a `FusedBatchNormalization`. Names, weights and
    outputs stay the same; `plain` converts the copy back to Keras's own
    layers. Compile it again, on a CPU with `jit_compile=False`. Also calls
    `reuse_memory`.

    Args:
        model: a built Functional or Sequential `keras.Model`.
        dtype: `str`, dtype policy of all layers that compute in floats, but
            the output layers, such as `"mixed_bfloat16"`; by default unchanged.
            On a CPU, bfloat16 is faster if the processor has instructions for
            it (AVX512_BF16, AMX), and slower otherwise.

    Returns:
        A `keras.Model`, not compiled.

    Raises:
        TypeError: If the model is not Functional or Sequential.

    Example:

    >>> quick = fast(model)
    >>> quick.compile("sgd", loss, jit_compile=False)
    >>> quick.fit(x, y)
    >>> model = plain(quick)
    """

    ends = set(map(id, _ends(model))) if dtype else set()
    copies = {}

    def cloned(layer):
        cls, config = _changed(
            layer,
            copies,
            keras.layers.BatchNormalization,
            FusedBatchNormalization,
            lambda inner: is_fusible(inner, layer.input.shape),
        )
        is_layer = isinstance(layer, keras.layers.Layer)
        if dtype and is_layer and id(layer) not in ends:
            if _is_of_floats(layer.dtype_policy):
                config["dtype"] = dtype
            _compute_in(config, dtype, _is_of_floats)
        return cls.from_config(config)

    copy = _copy(model, cloned)
    reused_memory.reuse_memory()
    return copy


def plain(model):
    """Copies a model from `fast` back into Keras's own layers.

    Args:
        model: a `keras.Model` from `fast`, or one derived from it.

    Returns:
        A `keras.Model` with the same names and bit-identical weights; layers
        with a mixed dtype policy compute in float32 again.

    Raises:
        TypeError: If the model is not Functional or Sequential.
    """

    copies = {}

    def cloned(layer):
        cls, config = _changed(
            *(layer, copies),
            FusedBatchNormalization,
            keras.layers.BatchNormalization,
        )
        policy = getattr(layer, "dtype_policy", None)  # ops have none
        if policy is not None and policy.name.startswith("mixed_"):
            config["dtype"] = "float32"
        _compute_in(config, "float32", _is_mixed)
        return cls.from_config(config)

    return _copy(model, cloned)


def _ends(model):
    """Yields the layers that make a model's outputs, also in nested models."""
    ends = []
    if isinstance(model, keras.Sequential):
        ends = model.layers[-1:]
    elif isinstance(model, keras.Model):
        names = getattr(model, "output_names", ())
        ends = [layer for layer in model.layers if layer.name in names]
    for layer in ends:
        yield layer
        yield from _ends(layer)


def _changed(layer, copies, old, new, matches=lambda inner: True):
    """`(class, config)` of a copy of a layer, of another class if need be.

    Args:
        layer: a layer or an operation; of a `PruningWrapper`, the layer within
            is changed.
        copies: `dict` of what wrappers share, the same for all of a model.
        old, new: classes.
        matches: function of a layer of the old class: whether to change it.
    """
    cls, config = type(layer), layer.get_config()
    if cls is old and matches(layer):
        return new, config
    if cls is wrapper_lib.PruningWrapper:
        layer.renew_shared(config, copies)
        inner = layer.layer
        if type(inner) is old and matches(inner):
            config["layer"] = keras.saving.serialize_keras_object(
                new.from_config(inner.get_config())
            )
    return cls, config


def _compute_in(config, dtype, matches):
    """Changes the dtype policies of a layer and of those that it holds.

    Args:
        config: `dict`, the layer's config, changed in place.
        dtype: `str`, the new policy.
        matches: function of a policy in a config: whether to replace it.
    """
    if {"name", "trainable", "dtype"} <= config.keys():  # that of a layer
        if matches(config["dtype"]):
            config["dtype"] = dtype
    for value in config.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                _compute_in(each, dtype, matches)


def _is_of_floats(policy):
    """Whether a policy is one of floats alone: neither integers nor texts."""
    policy = keras.dtype_policies.get(policy)
    if isinstance(policy, keras.dtype_policies.QuantizedDTypePolicy):
        return False
    return (policy.compute_dtype or "").startswith(("float", "bfloat"))


def _is_mixed(policy):
    return keras.dtype_policies.get(policy).name.startswith("mixed_")


def _copy(model, cloned):
    if not isinstance(model, keras.Model) or "layers" not in model.get_config():
        raise TypeError(
            "The model must be Functional or Sequential. Received: "
            f"model={model!r}. Apply it to the part of the model that is."
        )
    new = keras.models.clone_model(model, clone_function=cloned, recursive=True)
    for old, copy in zip(model.variables, new.variables, strict=True):
        # On JAX both would own one buffer, which training donates.
        copy.assign(np.array(values.numpy(old, exact=True)))
        copy.trainable = old.trainable
    return new
