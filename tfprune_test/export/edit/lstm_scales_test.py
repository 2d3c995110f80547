import pathlib

import keras
import numpy as np
import pytest
from absl.testing import absltest
from absl.testing import parameterized

pytest.importorskip("ai_edge_litert", reason="needs the extra `export`")

from ai_edge_litert import schema_py_generated as schema

from tfprune.export.edit import graph_edits
from tfprune.export.edit import lstm_scales
from tfprune.export.run import interpreter
from tfprune_test.export import hand_made
from tfprune_test.export import small_models

HIDDEN, CELL = 18, 19


class RepairTest(parameterized.TestCase):
    def repaired(self, hidden, effective, made, cell=2.0**-11, dtype="int8"):
        """The graph, its `Place`, and the LSTM op, after the repair."""
        sketch = hand_made.Sketch()

        def tensor(name, steps, dtype=dtype):
            scale, zero = steps
            return sketch.tensor(name, (1, 2), dtype, ([scale], [zero]))

        inputs = [-1] * 24
        inputs[0] = x = tensor("x", (1.0, 0))
        inputs[HIDDEN] = tensor("hidden", hidden)
        inputs[CELL] = tensor("cell", (cell, 0), "int16")
        y = tensor("y", made)
        op = sketch.op("UNIDIRECTIONAL_SEQUENCE_LSTM", inputs, [y])
        op.intermediates = [x, x, x, x, tensor("effective", effective)]
        op.builtinOptions = schema.UnidirectionalSequenceLSTMOptionsT()
        op.builtinOptions.cellClip = 10.0
        sketch.data([x], [y])
        lstm_scales.repair(sketch.model)
        place = graph_edits.Place(schema, sketch.model, sketch.graph)
        return place, op, y

    def test_scales_that_agree_stay(self):
        steps = (0.5, 3)
        place, op, y = self.repaired(steps, steps, steps)
        self.assertLen(place.graph.operators, 1)
        self.assertEqual(list(op.outputs), [y])
        self.assertEqual(place.steps(op.inputs[HIDDEN]), steps)

    def test_the_states_cover_both_ranges(self):
        # [-12.8, 12.7] and [-27.6, 23.4]: 255 steps of 0.2 from -27.6.
        place, op, _ = self.repaired((0.1, 0), (0.2, 10), (0.1, 0))
        for index in (op.inputs[HIDDEN], op.intermediates[4]):
            scale, zero = place.steps(index)
            self.assertAlmostEqual(scale, 0.2, places=6)
            self.assertEqual(zero, 10)

    def test_an_output_on_another_scale_is_requantized(self):
        place, op, y = self.repaired((0.5, 3), (0.5, 3), (0.25, 0))
        lstm, change = place.graph.operators
        self.assertIs(lstm, op)
        self.assertEqual(place.kind(change), "QUANTIZE")
        self.assertEqual(list(change.inputs), list(op.outputs))
        self.assertEqual(list(change.outputs), [y])
        self.assertEqual(place.steps(op.outputs[0]), (0.5, 3))
        self.assertEqual(place.steps(y), (0.25, 0))

    def test_a_rounding_error_needs_no_op(self):
        place, op, y = self.repaired((0.5, 3), (0.5, 3), (0.5 * (1 + 1e-7), 3))
        self.assertLen(place.graph.operators, 1)
        self.assertEqual(place.steps(y), (0.5, 3))

    @parameterized.parameters((2.0**-18, 2.0**-15), (2.0**-11, 2.0**-11))
    def test_cell_states_have_no_finer_scale_than_the_tables(self, cell, found):
        steps = (0.5, 3)
        place, op, _ = self.repaired(steps, steps, steps, cell)
        self.assertEqual(place.steps(op.inputs[CELL])[0], found)

    def test_cell_states_are_clipped_where_their_integers_end(self):
        steps = (0.5, 3)
        _, op, _ = self.repaired(steps, steps, steps, 2.0**-10)
        self.assertEqual(op.builtinOptions.cellClip, 32.0)

    def test_other_types_stay(self):
        place, op, y = self.repaired(
            (0.5, 0), (0.25, 0), (0.125, 0), dtype="int16"
        )
        self.assertEqual(place.steps(op.inputs[HIDDEN]), (0.5, 0))
        self.assertLen(place.graph.operators, 1)


class SharedInputTest(parameterized.TestCase):
    @parameterized.parameters("micro", "tflite")
    def test_a_concatenation_reads_the_input_of_an_lstm(self, runtime):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((6, 4))
        shared = keras.ops.relu(inputs)
        joined = keras.ops.concatenate([shared, keras.ops.square(shared)], -1)
        states = keras.layers.LSTM(3, bias_initializer="normal")(shared)
        model = keras.Model(inputs, [states, joined])
        x = np.random.default_rng(0).normal(size=(50, 6, 4)).astype("float32")
        path = pathlib.Path(self.create_tempdir().full_path, "m.tflite")
        small_models.export(model, path, "int8", x)
        found = interpreter.run(path, x, runtime)[0]
        wanted = small_models.predictions(model, [x])[0]
        np.testing.assert_allclose(found, wanted, atol=0.03)


if __name__ == "__main__":
    absltest.main()
