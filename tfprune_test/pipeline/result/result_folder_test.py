import types

import keras
from absl.testing import absltest

from tfprune.pipeline.result import result_folder


class FirmwareTest(absltest.TestCase):
    def test_one_score_has_no_largest(self):
        inputs = keras.Input((3,))
        for units, expected in ((1, ()), (2, ("no", "yes"))):
            model = keras.Model(inputs, keras.layers.Dense(units)(inputs))
            names = result_folder.of_firmware(("no", "yes"), model)
            self.assertEqual(names, expected)


class NamedTest(absltest.TestCase):
    def named(self, runtime):
        job = types.SimpleNamespace(runtime=runtime)
        facts = {
            "values": {"accuracy": 0.9, "loss": 0.3},
            "file_values": {"accuracy": 0.8},
            "numbers": {"MACs": 7},
        }
        return result_folder.named(job, facts)

    def test_a_metric_says_of_what_it_is(self):
        self.assertEqual(
            self.named("micro"),
            {
                **{"accuracy, float32": 0.9, "loss, float32": 0.3},
                **{"accuracy, int8 on TFLite Micro": 0.8, "MACs": 7},
            },
        )

    def test_without_a_file_there_are_no_metrics_of_one(self):
        self.assertEqual(
            self.named(None),
            {"accuracy, float32": 0.9, "loss, float32": 0.3, "MACs": 7},
        )


if __name__ == "__main__":
    absltest.main()
