"""Masks of outputs: which steps of a sequence Keras leaves out.

Layers such as `Embedding(mask_zero=True)` mark padding. Keras hands the marks
on beside the tensors, to losses and metrics too; numbers that leave the model,
as those of a file do, have none, and are judged with the masks of the model.
"""

import keras

from tfprune.datasets import masking


class Masked(keras.layers.Layer):
    """Gives the first of its inputs, with the second one as its mask."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs):
        return inputs[0]

    def compute_mask(self, inputs, previous_mask):
        return keras.ops.cast(inputs[1], "bool")


class Masks:
    """Computes the masks of a model's outputs from its inputs.

    Args:
        model: a built `keras.Model`.
        sample: inputs, by which outputs with a mask are found.
    """

    def __init__(self, model, sample):
        # At work, as nested models hide their masks until then.
        outputs = keras.tree.flatten(model(sample, training=False))
        found = map(masking.of_tensor, outputs)
        self._ranks = [None if m is None else len(m.shape) for m in found]
        self._model = None
        if any(self._ranks):
            # A Sequential that was built but never called has no `input`.
            is_list = isinstance(model, keras.Sequential)
            self._model = keras.Model(
                model.inputs[0] if is_list else model.input,
                [
                    _OfOutput(name=f"mask_{number}")(output)
                    for number, output in enumerate(model.outputs)
                    if self._ranks[number]
                ],
            )

    def inputs(self):
        """A `keras.Input` for each mask; `None` where there is none."""
        return [
            None if rank is None else keras.Input((None,) * (rank - 1))
            for rank in self._ranks
        ]

    def of(self, x):
        """The masks for a batch of inputs: a list of arrays."""
        if self._model is None:
            return []
        return keras.tree.flatten(self._model.predict_on_batch(x))


class _OfOutput(keras.layers.Layer):
    """Gives the mask of its input as a tensor of 0 and 1."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x, mask=None):
        if mask is None:  # while the model is built
            return keras.ops.ones(keras.ops.shape(x)[:2], "float32")
        return keras.ops.cast(mask, "float32")

    def compute_mask(self, inputs, previous_mask):
        return None
