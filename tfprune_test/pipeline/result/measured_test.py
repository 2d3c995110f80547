import pathlib
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune import reports
from tfprune.deploy import file_evaluation
from tfprune.export.convert import tflite
from tfprune.pipeline.result import measured


class MeasuredTest(parameterized.TestCase):
    def test_what_the_graph_tells(self):
        inputs = keras.Input((4, 4, 2))
        x = keras.layers.Conv2D(3, 3, padding="same")(inputs)
        model = keras.Model(inputs, keras.layers.Conv2D(5, 1)(x))
        found = measured.predicted(model, None)
        self.assertEqual(found["MACs"], 16 * (9 * 2 * 3 + 3 * 5))
        self.assertEqual(found["parameters"], model.count_params())
        # More than the weights, which are a byte each; more than the tensors
        # of the second layer.
        self.assertGreater(found[measured.FLASH_PREDICTED], 54 + 15)
        self.assertGreater(found[measured.ARENA_PREDICTED], 16 * (3 + 5))
        self.assertEqual({type(value) for value in found.values()}, {int})
        # The report has them already: under the same names they stand once.
        totals = reports.profile(model).totals
        words = {reports.Quantity(name).label for name in totals}
        self.assertLessEqual({*found}, words)

    def test_what_a_killed_process_leaves_is_known_by_its_name(self):
        def export(model, path):
            self.assertRegex(path.parent.name, "tfprune-.*-[0-9]+-")
            return mock.Mock(file_bytes=7)

        with mock.patch.object(measured.tflite, "export_tflite", export):
            self.assertEqual(measured.float_file_bytes(None), 7)

    @parameterized.parameters(
        ({}, {}),
        ({"flash_bytes": 100}, {}),
        ({"flash_bytes": 99}, {"flash_bytes": 1}),
        ({"image_bytes": 250}, {"image_bytes": 50}),
        (
            {"flash_bytes": 90, "ram_bytes": 30},
            {"flash_bytes": 10, "ram_bytes": 20},
        ),
        ({"macs": 1}, {}),  # No number of a file is held to it.
    )
    def test_limits_that_a_file_exceeds(self, ceilings, expected):
        numbers = {
            **{measured.FLASH: 100, measured.ARENA: 10, "MACs": 9},
            measured.IMAGE: 300,
            measured.ARENA_NEEDED: 50,
        }
        self.assertEqual(measured.over(numbers, ceilings), expected)

    def test_a_network_that_was_not_measured_exceeds_nothing(self):
        self.assertEqual(measured.over({"MACs": 9}, {"flash_bytes": 1}), {})

    def test_samples_by_name_reach_the_inputs_of_the_file(self):
        one, two = keras.Input((2,), name="é"), keras.Input((2,), name="e")
        outputs = keras.layers.Subtract()([one, two])
        model = keras.Model({"é": one, "e": two}, outputs)
        path = pathlib.Path(self.create_tempdir().full_path, "a.tflite")
        tflite.export_tflite(model, path)
        data = {"e": np.full((1, 2), 1.0), "é": np.full((1, 2), 3.0)}
        task = mock.Mock(evaluate=lambda outputs_of, data: outputs_of(data))
        found = measured.values(path, model, task, data, "tflite")
        np.testing.assert_array_equal(found, [[2, 2]])
        truth = np.full((1, 2), 2.5)
        (error,) = file_evaluation.qualities(
            path, model, (data, truth)
        ).values()
        self.assertEqual(error, 0.5)

    def test_each_place_where_a_file_runs_has_a_title(self):
        titles = [
            measured.title(runtime)
            for runtime in ("micro", "reference", "builtin")
        ]
        self.assertLen(set(titles), 3)
        self.assertEqual(titles[0], "int8 on TFLite Micro")


if __name__ == "__main__":
    absltest.main()
