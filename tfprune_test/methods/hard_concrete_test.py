"""Gates of the hard concrete distribution."""

import keras
import numpy as np
import pytest
from absl.testing import absltest

from tfprune.methods import hard_concrete
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import stripping
from tfprune_test import small_nets

pytestmark = pytest.mark.any_backend

to_numpy = keras.ops.convert_to_numpy


def wrapped(**options):
    model = small_nets.pair([[1], [2], [3]], [[3, 4, 5]])
    return wrapping.wrap(model, hard_concrete.HardConcrete(**options))


def slot(model, name):
    (found,) = [w for w in wrapper_lib.find(model) if w.layer.name == name]
    return found.slots["kernel"]


class DistributionTest(absltest.TestCase):
    def test_an_even_gate(self):
        zero = keras.ops.zeros(1)
        self.assertAlmostEqual(
            float(hard_concrete.open_probability(zero)[0]), 0.831822, places=6
        )
        self.assertAlmostEqual(float(hard_concrete.gate(zero)[0]), 0.5)

    def test_a_gate_is_closed_where_the_sigmoid_is_a_twelfth(self):
        # sigmoid(x) * 1.2 - 0.1 = 0 at sigmoid(x) = 0.08333.
        at = np.log(np.array([0.083, 0.084]) / (1 - np.array([0.083, 0.084])))
        z = to_numpy(hard_concrete.gate(at.astype("float32")))
        self.assertEqual(z[0], 0)
        self.assertGreater(z[1], 0)

    def test_draws_are_open_as_often_as_foretold(self):
        log_alpha = np.repeat([-2.0, 0.0, 2.0], 20_000).astype("float32")
        u = np.random.default_rng(0).uniform(size=60_000).astype("float32")
        z = to_numpy(hard_concrete.gate(log_alpha, u)).reshape(3, -1)
        expected = to_numpy(hard_concrete.open_probability(log_alpha))
        np.testing.assert_allclose(
            (z > 0).mean(1), expected[::20_000], atol=0.01
        )
        self.assertTrue(((z >= 0) & (z <= 1)).all())
        self.assertGreater((z == 1).mean(), 0.1)


class HardConcreteTest(absltest.TestCase):
    def test_wrapping_changes_nothing_in_inference(self):
        model = small_nets.mixed()
        x, _ = small_nets.samples(4)
        found = wrapping.wrap(model, hard_concrete.HardConcrete())
        np.testing.assert_array_equal(
            to_numpy(found(x, training=False)), to_numpy(model(x))
        )

    def test_the_price_counts_the_gates_of_removable_channels(self):
        model = wrapped(strength=0.5, drop_rate=0.5)
        # `second` reads three channels; the input of `first` cannot go, and
        # the dense layer reads one channel at sixteen places.
        self.assertAlmostEqual(
            float(sum(model.losses)), 0.5 * (3 + 1) * 0.831822, places=5
        )

    @pytest.mark.slow  # Trains.
    def test_draws_differ_from_step_to_step_and_repeat_with_the_seed(self):
        def draws():
            keras.utils.clear_session()  # The names of layers begin anew.
            keras.utils.set_random_seed(0)
            model = wrapped(drop_rate=0.5, seed=3)
            place = slot(model, "second")
            method = hard_concrete.HardConcrete(drop_rate=0.5, seed=3)
            kernel = place.kernel.value
            found = [
                method.effective_kernel(place, kernel, training=True)
                for _ in range(8)
            ]
            return np.array([to_numpy(k).ravel() for k in found])

        first = draws()
        self.assertGreater(len(np.unique(first, axis=0)), 4)
        np.testing.assert_array_equal(draws(), first)

    def test_closed_gates_are_stripped_exactly(self):
        model = wrapped()
        closed = slot(model, "second")["log_alpha"]
        closed.assign([-4.0, 4.0, -4.0])
        small = stripping.strip(model)
        self.assertEqual(small.get_layer("first").filters, 1)
        x = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
        np.testing.assert_allclose(
            to_numpy(small(x)), to_numpy(model(x, training=False)), rtol=1e-5
        )

    @pytest.mark.slow  # Trains for long.
    def test_a_high_price_closes_gates_in_fit(self):
        model = wrapping.wrap(
            small_nets.mixed(), hard_concrete.HardConcrete(1.0, seed=0)
        )
        model.compile(
            keras.optimizers.Adam(0.1),
            keras.losses.SparseCategoricalCrossentropy(True),
        )
        model.fit(*small_nets.samples(64), epochs=20, batch_size=16, verbose=0)
        small = stripping.strip(model)
        self.assertLess(small.count_params(), 0.5 * model.count_params())
        for wrapper in wrapper_lib.find(model):
            log_alpha = to_numpy(wrapper.slots["kernel"]["log_alpha"])
            self.assertLessEqual(np.abs(log_alpha).max(), np.log(100) + 1e-5)

    def test_errors_name_what_was_received(self):
        with self.assertRaisesRegex(ValueError, "strength=-1"):
            hard_concrete.HardConcrete(-1)
        with self.assertRaisesRegex(ValueError, "drop_rate=1"):
            hard_concrete.HardConcrete(drop_rate=1)


if __name__ == "__main__":
    absltest.main()
