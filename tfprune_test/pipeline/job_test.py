import types

import keras
from absl.testing import absltest

from tfprune.pipeline import job
from tfprune.pipeline.result import measured


def run(**ceilings):
    return types.SimpleNamespace(
        ceilings=ceilings, baseline={"costs": {"macs": 100, "ram_bytes": 50}}
    )


def answer(numbers=(), over=()):
    return job.Answer(
        "a", dict(numbers), {"accuracy": 0.9}, {}, dict(over), [], {}
    )


class FitsTest(absltest.TestCase):
    def test_predicted_and_measured_limits(self):
        self.assertFalse(job.fits(run(macs=99), answer()))
        self.assertTrue(job.fits(run(macs=100), answer()))
        self.assertFalse(
            job.fits(run(macs=100), answer(over={"flash_bytes": 3}))
        )

    def test_what_was_measured_counts_more_than_a_prediction(self):
        limits = run(ram_bytes=45)
        self.assertFalse(job.fits(limits, answer()))
        self.assertTrue(
            job.fits(limits, answer({measured.OF_LIMITS["ram_bytes"]: 44}))
        )


class BeginTest(absltest.TestCase):
    def test_shares_are_of_what_was_measured(self):
        made = run(flash_bytes=500, image_bytes=9000, macs=9)
        made.shares = {"flash_bytes": 0.5}
        numbers = {measured.FLASH: 800, measured.IMAGE: 8800}
        job.begin(made, {"numbers": numbers, "seconds": 3})
        self.assertEqual(
            made.ceilings, {"flash_bytes": 400, "image_bytes": 9000, "macs": 9}
        )
        costs = {"macs": 100, "ram_bytes": 50}
        self.assertEqual(
            made.baseline["costs"],
            costs | {"flash_bytes": 800, "image_bytes": 8800},
        )

    def test_without_a_file_predictions_count(self):
        made = run(flash_bytes=500)
        made.shares = {"flash_bytes": 0.5}
        job.begin(made, {"numbers": {}})
        self.assertEqual(made.ceilings, {"flash_bytes": 500})


class AnswerTest(absltest.TestCase):
    def test_the_metrics_of_the_file_count_if_there_is_one(self):
        found = answer()
        self.assertEqual(found.judged, {"accuracy": 0.9})
        found.file_values = {"accuracy": 0.8}
        self.assertEqual(found.judged, {"accuracy": 0.8})

    def test_facts_are_all_but_the_model(self):
        found = answer()
        found.model = object()
        self.assertNotIn("model", found.facts())
        self.assertEqual(job.Answer(**found.facts()), answer())

    def test_channels_kept_of_each_group(self):
        def net(units):
            inputs = keras.Input((4,), name="in")
            x = keras.layers.Dense(units, name="a")(inputs)
            return keras.Model(inputs, keras.layers.Dense(2, name="b")(x))

        self.assertEqual(list(job.kept(net(8), net(3)).values()), [[3, 8]])


if __name__ == "__main__":
    absltest.main()
