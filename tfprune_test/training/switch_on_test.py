import math

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.training import switch_on


def warm_cosine(peak, warm_up, epochs, steps):
    """Linear warm-up, then a cosine, constant within an epoch."""

    def rate(step):
        epoch = int(step) // steps
        if epoch < warm_up:
            return peak * (epoch + 1) / warm_up
        done = (epoch - warm_up) / (epochs - warm_up)
        return peak / 2 * (1 + math.cos(math.pi * done))

    return rate


class SwitchOnTest(parameterized.TestCase):
    @parameterized.parameters(
        # s at the start, decay, rate, momentum, steps per epoch, epochs.
        (-100, 5e-4, 0.1, 0.9, 391, 11.8),
        (-3200, 2.251757813e-5, 0.256, 0.875, 5005, 25.0),
    )
    def test_published_settings(
        self, initial, decay, rate, momentum, steps, epochs
    ):
        found = switch_on.switch_on_epoch(initial, decay, rate, steps, momentum)
        self.assertAlmostEqual(found, epochs, places=1)
        scheduled = switch_on.switch_on_epoch(
            initial, decay, lambda step: rate, steps, momentum
        )
        self.assertAlmostEqual(scheduled, found, places=6)

    def test_imagenet_settings_never_prune_on_cifar(self):
        found = switch_on.switch_on_epoch(
            -3200, 2.251757813e-5, 0.256, 196, momentum=0.875
        )
        self.assertEqual(math.ceil(found), 639)

    @parameterized.parameters(
        # The paper's training of ResNet-50: s passes these in these epochs.
        (-1601, 4, 5),
        (-506, 9, 10),
        (-103, 17, 18),
        (-53, 19, 20),
        (-20, 24, 25),
        (-10, 27, 28),
    )
    def test_a_schedule_of_the_learning_rate(self, until, after, before):
        found = switch_on.switch_on_epoch(
            -3200,
            2.251757813e-5,
            warm_cosine(0.256, 5, 100, 5004),
            5004,
            momentum=0.875,
            until=until,
        )
        self.assertBetween(found, after - 0.5, before + 0.5)

    def test_a_start_too_far_away_is_never_reached(self):
        rate = keras.optimizers.schedules.CosineDecay(0.1, 1000)
        found = switch_on.switch_on_epoch(-1e6, 1e-4, rate, 100, epochs=20)
        self.assertEqual(found, math.inf)

    @parameterized.parameters(0.0, 0.1, 0.3)
    def test_the_start_value_is_the_inverse(self, fraction):
        rate = keras.optimizers.schedules.CosineDecay(0.1, 3910)
        for learning_rate in (0.1, rate):
            initial = switch_on.start_value(
                fraction, 3910, 5e-3, learning_rate, momentum=0.9
            )
            epoch = switch_on.switch_on_epoch(
                initial, 5e-3, learning_rate, 391, momentum=0.9
            )
            self.assertAlmostEqual(epoch, 10 * fraction, places=2)
        if not fraction:
            self.assertEqual(initial, -10)

    @parameterized.parameters(-0.1, 0.0, math.nan, "0.1", None)
    def test_a_learning_rate_is_above_zero(self, rate):
        for compute in (
            lambda: switch_on.switch_on_epoch(-100, 5e-4, rate, 10),
            lambda: switch_on.start_value(0.1, 100, 5e-4, rate),
        ):
            with self.assertRaisesRegex(ValueError, f"learning_rate={rate!r}"):
                compute()

    @parameterized.parameters(-1, 0, math.nan, "9", None)
    def test_steps_are_above_zero(self, steps):
        with self.assertRaisesRegex(ValueError, f"per_epoch={steps!r}"):
            switch_on.switch_on_epoch(-100, 5e-4, 0.1, steps)
        with self.assertRaisesRegex(ValueError, f"total_steps={steps!r}"):
            switch_on.start_value(0.1, steps, 5e-4, 0.1)

    def test_an_independent_sum(self):
        rates = np.linspace(0.2, 0.0, 1000)
        found = switch_on.start_value(
            0.5, 1000, 0.01, lambda step: rates[step], momentum=0.9
        )
        expected = -10 * np.exp(0.1 * rates[:500].sum())
        self.assertAlmostEqual(found / expected, 1, places=2)

    @parameterized.parameters(
        ({"initial": -5.0}, "initial=-5.0"),
        ({"decay": 0.0}, "decay=0.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"until": 0.0}, "until=0.0"),
    )
    def test_bad_arguments(self, arguments, message):
        right = {
            "initial": -100.0,
            "decay": 1e-3,
            "learning_rate": 0.1,
            "steps_per_epoch": 10,
        }
        with self.assertRaisesRegex(ValueError, message):
            switch_on.switch_on_epoch(**{**right, **arguments})

    def test_a_fraction_is_one(self):
        with self.assertRaisesRegex(ValueError, "fraction=1"):
            switch_on.start_value(1, 1000, 1e-3, 0.1)
