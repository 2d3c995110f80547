import pathlib

import keras
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from tfprune.costs import core_table
from tfprune.deploy import core_cycles
from tfprune.export.micro import op_sizes
from tfprune.export.micro.arena import flat_ops
from tfprune.graph import read
from tfprune_test.export import hand_made
from tfprune_test.export import small_models

LAYERS = keras.layers
STEPS = ([0.5], [0])


def file(dtype="int8"):
    """A dense layer, an op of one's own, and one without an output."""
    sketch = hand_made.Sketch()
    steps = None if dtype == "float32" else STEPS
    x = sketch.tensor("x", (1, 16), dtype, steps)
    w = sketch.tensor("w", (8, 16), dtype, steps)
    y, z = (sketch.tensor(n, (1, 8), dtype, steps) for n in "yz")
    sketch.op("FULLY_CONNECTED", [x, w, -1], [y])
    sketch.op("mine", [y], [z])
    sketch.op("ASSIGN_VARIABLE", [z, z], [])
    return sketch.data([x], [z])


def attention(x):
    x += LAYERS.MultiHeadAttention(2, 4)(x, x)
    y = LAYERS.Dense(12, activation="gelu")(LAYERS.LayerNormalization()(x))
    return LAYERS.Dense(8)(y)


class CyclesTest(parameterized.TestCase):
    def cycles(self, data, core="cortex-m4"):
        path = self.create_tempfile(content=data, mode="wb").full_path
        return core_cycles.cycles(path, core)

    def test_an_op_without_the_inputs_of_its_kernel(self):
        sketch = hand_made.Sketch()
        x, y = (sketch.tensor(n, (1, 8), "int8", STEPS) for n in "xy")
        sketch.op("FULLY_CONNECTED", [x], [y])
        with self.assertRaisesRegex(ValueError, "file is damaged"):
            self.cycles(sketch.data([x], [y]))

    def test_ops_add_up(self):
        data = file()
        found = self.cycles(data, "Cortex-M4")
        self.assertEqual(found.core, "cortex-m4")
        self.assertEqual(
            [(op.op, op.output) for op in found.ops],
            [("FULLY_CONNECTED", "y"), ("mine", "z"), ("ASSIGN_VARIABLE", "")],
        )
        self.assertAlmostEqual(sum(op.share for op in found.ops), 1.0)
        self.assertAlmostEqual(
            sum(op.instructions for op in found.ops),
            found.instructions,
            delta=len(found.ops),
        )
        table = core_table.of("cortex-m4")
        (graph,) = flat_ops.read(data)
        size = op_sizes.of(graph.ops[0])
        self.assertEqual(
            found.ops[0].instructions, round(table.instructions(size))
        )

    def test_ops_that_were_not_measured_say_so(self):
        found = self.cycles(file(), "cortex-m55")
        self.assertEqual([op.measured for op in found.ops][:2], [True, False])

    @parameterized.named_parameters(
        ("attention", (12, 8), attention),
        ("lstm", (12, 4), LAYERS.LSTM(8)),
        ("gru", (6, 4), LAYERS.Bidirectional(LAYERS.GRU(8))),
        ("transposed", (6, 6, 4), LAYERS.Conv2DTranspose(8, 3, 2)),
        ("grouped", (8, 8, 8), LAYERS.Conv2D(16, 3, groups=4)),
        ("bilinear", (6, 6, 4), LAYERS.UpSampling2D(2, None, "bilinear")),
    )
    def test_a_model_is_predicted_as_its_file(self, shape, layer):
        inputs = keras.Input(shape)
        model = keras.Model(inputs, layer(inputs))
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        data = small_models.samples(model, 8)
        small_models.export(model, path, "int8", data)
        for core in ("cortex-m0plus", "cortex-m55"):
            predicted = core_table.of(core).predict(read.channel_graph(model))
            found = core_cycles.cycles(path, core)
            measured = sum(op.share for op in found.ops if op.measured)
            self.assertGreater(measured, 0.9)
            self.assertAlmostEqual(
                predicted / found.instructions, 1, delta=0.25
            )

    def test_files_in_float_are_refused(self):
        with self.assertRaisesRegex(ValueError, 'quantize="int8"'):
            self.cycles(file("float32"))

    def test_cores_that_were_not_measured_are_refused(self):
        with self.assertRaises(ValueError):
            self.cycles(file(), "esp32")


if __name__ == "__main__":
    absltest.main()
