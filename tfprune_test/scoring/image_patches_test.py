"""Patches times matrix give what the layer gives."""

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.graph import read
from tfprune.graph import values
from tfprune.scoring import image_patches
from tfprune.scoring import probe

layers = keras.layers
CASES = {
    "valid": (layers.Conv2D(5, 3), (7, 6, 4)),
    "same": (layers.Conv2D(5, 3, padding="same"), (7, 6, 4)),
    "stride": (layers.Conv2D(5, 3, 2, padding="same"), (8, 7, 4)),
    "wide_stride": (layers.Conv2D(5, 1, 3, padding="same"), (8, 7, 4)),
    "even_window": (layers.Conv2D(5, (2, 4), padding="same"), (6, 7, 4)),
    "dilation": (
        layers.Conv2D(5, 3, dilation_rate=2, padding="same"),
        (7, 8, 4),
    ),
    "groups": (layers.Conv2D(6, 3, groups=2, padding="same"), (5, 5, 4)),
    "one_axis": (layers.Conv1D(5, 3, 2, padding="same"), (9, 4)),
    "causal": (layers.Conv1D(5, 3, dilation_rate=2, padding="causal"), (9, 4)),
    "three_axes": (layers.Conv3D(5, 2, padding="same"), (4, 5, 3, 4)),
    "dense": (layers.Dense(5), (4,)),
    "dense_on_a_sequence": (layers.Dense(5), (6, 4)),
    "separable": (
        layers.SeparableConv2D(5, 3, 2, depth_multiplier=2, padding="same"),
        (7, 6, 4),
    ),
    "separable_sequence": (layers.SeparableConv1D(5, 3), (7, 4)),
    "transposed": (
        layers.Conv2DTranspose(5, 3, 2, padding="same"),
        (4, 3, 4),
    ),
    "transposed_valid": (layers.Conv2DTranspose(5, 2, 3), (4, 3, 4)),
    "transposed_padded": (
        layers.Conv2DTranspose(5, 3, 2, padding="same", output_padding=1),
        (4, 3, 4),
    ),
    "transposed_sequence": (layers.Conv1DTranspose(5, 4, 2), (5, 4)),
}


def between(layer, shape):
    """The layer, behind one that writes what it reads; and its input."""
    inputs = keras.Input(shape)
    x = layers.Dense(shape[-1])(inputs)
    fresh = type(layer).from_config(layer.get_config())
    model = keras.Model(inputs, layers.Activation("linear")(fresh(x)))
    fresh.bias.assign(np.arange(fresh.bias.shape[0]))
    return model, fresh, read.channel_graph(model)


class PatchesTest(parameterized.TestCase):
    @parameterized.named_parameters(
        (name, *case) for name, case in CASES.items()
    )
    def test_patches_times_matrix_is_the_output(self, layer, shape):
        model, layer, graph = between(layer, shape)
        found, others = image_patches.readers(graph)
        (reader,) = [r for r in found if r.layer is layer]
        inputs = np.random.default_rng(0).normal(size=(2, *shape))
        seen = []
        probe.play(graph, [inputs.astype("float32")], seen.append)
        (event,) = [e for e in seen if e.live is layer]
        rows = reader.patches(event.tensors[0])
        out = np.einsum("rgc,gco->rgo", rows, reader.matrix())
        out = out.reshape(len(out), -1) + np.arange(out.shape[1] * out.shape[2])
        expected = values.numpy(event.output)
        np.testing.assert_allclose(
            out.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4
        )
        self.assertEmpty(others)

    @parameterized.parameters("same", "groups", "dense", "separable", "causal")
    def test_a_layer_over_time_steps_reads_each_of_them(self, name):
        layer, shape = CASES[name]
        inputs = keras.Input((3, *shape))
        x = layers.TimeDistributed(layers.Dense(shape[-1]))(inputs)
        layer = type(layer).from_config(layer.get_config() | {"use_bias": 0})
        over_steps = layers.TimeDistributed(layer)
        graph = read.channel_graph(keras.Model(inputs, over_steps(x)))
        reader = image_patches.readers(graph)[0][-1]
        x = np.random.default_rng(0).normal(size=(2, 3, *shape))
        seen = []
        probe.play(graph, [x.astype("float32")], seen.append)
        rows = reader.patches(seen[-1].tensors[0])
        out = np.einsum("rgc,gco->rgo", rows, reader.matrix())
        expected = values.numpy(seen[-1].output)
        np.testing.assert_allclose(
            out.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4
        )
        once = reader.inputs(seen[-1].tensors[0])
        self.assertEqual(once.shape[1], getattr(layer, "groups", 1))

    @parameterized.named_parameters(
        (name, *case) for name, case in CASES.items()
    )
    def test_a_matrix_goes_back_into_the_kernel(self, layer, shape):
        _, layer, graph = between(layer, shape)
        found, _ = image_patches.readers(graph)
        (reader,) = [r for r in found if r.layer is layer]
        np.testing.assert_array_equal(
            reader.kernel(reader.matrix()), reader.binding.variable
        )

    @parameterized.parameters("same", "dense")
    def test_what_lora_adds_is_part_of_the_weights(self, name):
        model, layer, graph = between(*CASES[name])
        layer.enable_lora(2)
        rng = np.random.default_rng(0)
        layer.lora_kernel_b.assign(rng.normal(size=layer.lora_kernel_b.shape))
        graph = read.channel_graph(model)
        found, others = image_patches.readers(graph)
        (reader,) = [r for r in found if r.layer is layer]
        self.assertEmpty(others)
        matrix = reader.matrix()
        expected = values.numpy(layer.kernel)
        np.testing.assert_allclose(
            matrix, reader.matrix(expected), rtol=1e-6, atol=1e-6
        )
        variable = values.numpy(reader.binding.variable)
        self.assertGreater(np.abs(expected - variable).max(), 0.1)
        np.testing.assert_allclose(reader.kernel(matrix), variable, atol=1e-6)

    def test_columns_belong_to_the_channels_they_are_cut_from(self):
        inputs = keras.Input((4, 4, 3))
        x = layers.Conv2D(2, 1, name="writer")(inputs)
        model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))
        graph = read.channel_graph(model)
        (group,) = [g for g in graph.groups if g.writers == ("writer",)]
        found, _ = image_patches.readers(graph)
        np.testing.assert_array_equal(
            found[-1].labels, np.tile(group.labels, 16)
        )

    def test_drawn_positions_repeat_with_the_seed_and_reach_the_border(self):
        layer = layers.Conv2D(5, 3, padding="same")
        _, _, graph = between(layer, (4, 4, 2))
        found, _ = image_patches.readers(graph)
        x = np.ones((50, 4, 4, 2), "float32")
        draws = [
            found[-1].patches(x, 10, np.random.default_rng(7)) for _ in range(2)
        ]
        np.testing.assert_array_equal(*draws)
        self.assertEqual(draws[0].shape, (500, 1, 18))
        # A corner sees 4 of 9 pixels, an edge 6, the middle 9; 2 channels.
        self.assertEqual(set(draws[0].sum((1, 2))), {8, 12, 18})
