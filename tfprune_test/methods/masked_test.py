import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.methods import bitpruning
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.methods import rigl
from tfprune.patterns import weight_patterns
from tfprune.sparsity import chain
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping as wrap_lib

pytestmark = pytest.mark.any_backend

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy

KERNEL = np.array([[4.0, -1.0], [-0.5, 3.0], [2.0, 0.25]])


def wrapped(method, kernel=KERNEL, **compile_args):
    """A wrapped model of one dense layer without bias, and its slot."""
    inputs = keras.Input((len(kernel),))
    dense = layers.Dense(kernel.shape[1], use_bias=False, name="dense")
    model = keras.Model(inputs, dense(inputs))
    dense.kernel.assign(kernel)
    model = wrap_lib.wrap(model, method)
    # The gradient of the effective kernel is 1 everywhere.
    model.compile(
        keras.optimizers.SGD(1.0, **compile_args),
        lambda y, outputs: keras.ops.sum(outputs, -1),
    )
    (wrapper,) = wrapper_lib.find(model)
    return model, wrapper.slots["kernel"]


def train(model):
    x = np.ones((1, model.input_shape[1]))
    model.train_on_batch(x, np.zeros((1, model.output_shape[1])))


class CriteriaTest(parameterized.TestCase):
    def test_magnitude(self):
        np.testing.assert_array_equal(masked.magnitude(KERNEL), np.abs(KERNEL))

    def test_lamp_has_the_published_values(self):
        found = masked.lamp(np.array([1.0, -2.0, 3.0]))
        np.testing.assert_allclose(found, [0.071429, 0.307692, 1], atol=1e-6)

    def test_lamp_gives_equal_weights_equal_scores(self):
        found = masked.lamp(np.array([[2.0, -1.0], [1.0, 1.0]]))
        np.testing.assert_allclose(found, [[1, 1 / 7], [1 / 7, 1 / 7]])
        np.testing.assert_array_equal(masked.lamp(np.zeros(3)), np.zeros(3))

    def test_lamp_never_empties_a_layer(self):
        weak, strong = np.full((2, 2), 0.01), np.full((2, 2), 5.0)
        masks = weight_patterns.Unstructured("global").masks(
            [masked.lamp(weak), masked.lamp(strong)], 0.75, [None] * 2
        )
        self.assertEqual([mask.sum() for mask in masks], [1, 1])


class MaskedTest(parameterized.TestCase):
    def test_the_smallest_weights_become_zero(self):
        _, slot = wrapped(masked.Masked())
        method = masked.Masked()
        method.update(None, [slot], 0.5)
        np.testing.assert_array_equal(
            method.fold(slot), [[4, 0], [0, 3], [2, 0]]
        )
        np.testing.assert_array_equal(to_numpy(slot.kernel), KERNEL)

    @parameterized.parameters(
        (masked.Masked(), [[3, -1], [-0.5, 2], [1, 0.25]]),
        (masked.Masked(gradient="straight_through"), KERNEL - 1),
        # The loss gets decay / 2 * w^2 of the masked weights.
        (masked.Masked(decay=0.5), [[3, -0.5], [-0.25, 2], [1, 0.125]]),
        (
            masked.Masked(gradient="straight_through", decay=0.5),
            [[3, -1.5], [-1.25, 2], [1, -0.875]],
        ),
    )
    def test_what_masked_weights_learn(self, method, expected):
        model, slot = wrapped(method)
        method.update(None, [slot], 0.5)
        train(model)
        np.testing.assert_allclose(to_numpy(slot.kernel), expected, rtol=1e-5)

    def test_weights_come_back_when_masks_are_renewed(self):
        model, slot = wrapped(masked.Masked(gradient="straight_through"))
        slot_method = masked.Masked()
        slot_method.update(None, [slot], 0.5)
        for _ in range(6):
            train(model)  # Takes 1 from every weight.
        slot_method.update(None, [slot], 0.5)
        np.testing.assert_array_equal(
            to_numpy(slot["mask"]), [[0, 1], [1, 0], [0, 1]]
        )

    def test_kernels_share_a_global_budget(self):
        inputs = keras.Input((4,))
        x = layers.Dense(4, name="weak")(inputs)
        model = keras.Model(inputs, layers.Dense(4, name="strong")(x))
        strong = model.get_layer("strong")
        strong.kernel.assign(strong.kernel + 10)
        method = masked.Masked(weight_patterns.Unstructured("global"))
        model = wrap_lib.wrap(model, method)
        ((_, slots),) = wrapper_lib.groups(model)
        method.update(None, slots, 0.5)
        counts = [int(to_numpy(slot["mask"]).sum()) for slot in slots]
        self.assertEqual(counts, [1, 15])
        self.assertEqual(wrapper_lib.sparsity(model), 0.5)

    def test_names_stand_for_patterns(self):
        method = masked.Masked("n_m")
        self.assertEqual(method.pattern, weight_patterns.NM(2, 4))
        self.assertEqual(masked.Masked.from_config(method.get_config()), method)

    @parameterized.parameters(
        (dict(pattern="rings"), "Unknown pattern.*'rings'"),
        (dict(criterion="l7"), "Unknown criterion.*'l7'"),
        (dict(gradient="none"), "gradient='none'"),
        (dict(decay=-2e-4), "decay=-0.0002"),
    )
    def test_errors(self, arguments, message):
        with self.assertRaisesRegex(ValueError, message):
            masked.Masked(**arguments)

    def test_a_pattern_says_how_sparse_it_can_be(self):
        with self.assertRaisesRegex(ValueError, "2:4 can be 0.5"):
            masked.Masked(weight_patterns.NM(2, 4)).check(0.8)


SPARSE = np.where(np.abs(KERNEL) < 1.5, 0, KERNEL)
AGAIN = {
    "masked": masked.Masked(),
    "channels": masked_channels.MaskedChannels(),
    "rigl": rigl.RigL(),
    "bits": chain.Chain((masked.Masked(), bitpruning.BitPruning())),
    "masked_last": chain.Chain((bitpruning.BitPruning(), masked.Masked())),
}


class WrappedAgainTest(parameterized.TestCase):
    @parameterized.named_parameters(*AGAIN.items())
    def test_zeros_stay_zero(self, method):
        model, slot = wrapped(method, SPARSE)
        x, y = np.ones((4, 3)), np.ones((4, 1))
        model.fit(x, y, verbose=0)
        moved = to_numpy(slot.kernel) != SPARSE
        self.assertTrue(moved.any())
        plain = wrap_lib.unwrap(model)
        np.testing.assert_array_equal(
            to_numpy(plain.layers[-1].kernel) == 0, SPARSE == 0
        )

    @parameterized.parameters(0.0, 0.25)
    def test_a_schedule_that_begins_below_takes_no_zero_back(self, sparsity):
        model, slot = wrapped(masked.Masked(), SPARSE)
        slot_method = masked.Masked()
        slot_method.update(model, [slot], sparsity)
        np.testing.assert_array_equal(to_numpy(slot["mask"]), SPARSE != 0)

    def test_a_kernel_of_nothing_but_zeros_is_learned(self):
        model, slot = wrapped(masked.Masked(), np.zeros((3, 2)))
        self.assertTrue(to_numpy(slot["mask"]).all())
