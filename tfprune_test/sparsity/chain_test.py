import dataclasses
import os

import keras
import numpy as np
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.methods import masked
from tfprune.methods import soft_threshold
from tfprune.sparsity import chain
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy


@keras.saving.register_keras_serializable("tfprune_test")
@dataclasses.dataclass(frozen=True)
class Line(method_lib.Method):
    """`factor * x + shift` of weights, inputs and outputs; both are kept."""

    factor: float = 1.0
    shift: float = 0.0

    def sites(self, layer):
        return ("kernel", method_lib.INPUTS, method_lib.OUTPUTS)

    def build(self, slot):
        for name in ("factor", "shift"):
            value = keras.initializers.Constant(getattr(self, name))
            slot.add_weight(name, initializer=value)

    def _line(self, slot, x):
        return slot["factor"].value * x + slot["shift"].value

    def effective_kernel(self, slot, kernel, training=False):
        return self._line(slot, kernel)

    def read(self, slot, inputs, training=False):
        return self._line(slot, inputs)

    def gate(self, slot, outputs, training=False):
        return self._line(slot, outputs)

    def penalty(self, slot):
        return slot["factor"].value

    def fold(self, slot):
        if slot.name == method_lib.OUTPUTS:
            return to_numpy(slot["factor"])
        return super().fold(slot)


@dataclasses.dataclass(frozen=True)
class Gain(method_lib.Method):
    """Multiplies outputs."""

    factor: float

    def sites(self, layer):
        return (method_lib.OUTPUTS,)

    def gate(self, slot, outputs, training=False):
        return self.factor * outputs

    def fold(self, slot):
        return np.full(slot.shape[-1:], self.factor, "float32")


FIRST, SECOND = Line(2.0, 1.0), Line(10.0, 3.0)


def wrapped(method):
    inputs = keras.Input((1,))
    dense = layers.Dense(1, use_bias=False, name="dense")
    model = keras.Model(inputs, dense(inputs))
    dense.kernel.assign([[1.0]])
    return wrapping.wrap(model, method)


class ChainTest(parameterized.TestCase):
    @parameterized.parameters(
        # 10 (2 x + 1) + 3 of 1 is 33; that of 33 * 33 ends the first case.
        ((FIRST, SECOND), 10 * (2 * 33 * 33 + 1) + 3),
        ((SECOND, FIRST), 2 * (10 * 27 * 27 + 3) + 1),
    )
    def test_methods_act_one_after_the_other(self, methods, expected):
        model = wrapped(chain.Chain(methods))
        found = to_numpy(model(np.ones((1, 1))))
        np.testing.assert_allclose(found, [[expected]])

    @parameterized.parameters(False, True)
    def test_outputs_are_scaled_after_the_weight_is_folded(self, outputs_first):
        methods = masked.Masked(), Gain(0.5)
        model = wrapped(
            chain.Chain(methods[::-1] if outputs_first else methods)
        )
        plain = wrapping.unwrap(model)
        x = np.ones((1, 1))
        np.testing.assert_array_equal(to_numpy(plain(x)), to_numpy(model(x)))

    def test_penalties_add_up(self):
        model = wrapped(chain.Chain((FIRST, masked.Masked(), SECOND)))
        self.assertAlmostEqual(float(sum(model.losses)), 3 * (2 + 10))

    def test_without_penalties_there_is_none(self):
        model = wrapped(chain.Chain((masked.Masked(), masked.Masked("n_m"))))
        self.assertEmpty(model.losses)

    def test_factors_of_outputs_multiply(self):
        (wrapper,) = wrapper_lib.find(wrapped(chain.Chain((FIRST, SECOND))))
        folded = wrapper.folded()
        self.assertCountEqual(folded, ["kernel", "outputs"])
        self.assertEqual(folded["outputs"], 20)
        np.testing.assert_array_equal(folded["kernel"], [[33]])

    def test_each_method_has_variables_of_its_own(self):
        inner = chain.Chain((FIRST, SECOND))
        (wrapper,) = wrapper_lib.find(
            wrapped(chain.Chain((masked.Masked(), inner)))
        )
        self.assertEqual(
            list(wrapper.slots["kernel"].variables),
            ["0.mask", "1.0.factor", "1.0.shift", "1.1.factor", "1.1.shift"],
        )
        names = [v.name for v in wrapper.non_trainable_variables]
        self.assertIn("kernel_0_mask", names)
        self.assertNotIn("0.mask", wrapper.slots["inputs"].variables)

    def test_schedules_find_the_methods_inside(self):
        method = chain.Chain((masked.Masked(), FIRST))
        model = wrapped(method)
        self.assertTrue(method.is_scheduled)
        self.assertFalse(chain.Chain((FIRST, SECOND)).is_scheduled)
        self.assertEqual(
            [
                (m, [slot.name for slot in s])
                for m, s in wrapper_lib.groups(model)
            ],
            [
                (masked.Masked(), ["kernel"]),
                (FIRST, ["kernel", "inputs", "outputs"]),
            ],
        )
        callback_lib.prune_now(model, 1.0, step=7)
        (wrapper,) = wrapper_lib.find(model)
        self.assertEqual(int(wrapper.updated), 7)
        np.testing.assert_array_equal(wrapper.folded()["kernel"], [[1.0]])

    def test_other_methods_take_over_what_has_the_same_name(self):
        model = wrapped(chain.Chain((masked.Masked(), FIRST)))
        callback_lib.prune_now(model, 1.0, step=7)
        seen = []

        def change(method):
            seen.append(method)
            return SECOND if method == FIRST else method

        new = wrapping.exchange(model, change)
        self.assertEqual(seen, [masked.Masked(), FIRST])
        (wrapper,) = wrapper_lib.find(new)
        self.assertEqual(wrapper.method, chain.Chain((masked.Masked(), SECOND)))
        slot = wrapper.slots["kernel"]
        self.assertFalse(to_numpy(slot["0.mask"]).any())
        self.assertEqual(float(slot["1.factor"]), 2)
        self.assertEqual(int(wrapper.updated), 7)

    def test_what_layers_share_is_shared_in_a_chain_too(self):
        model = keras.Sequential(
            [keras.Input((3,)), layers.Dense(4), layers.Dense(2)]
        )
        threshold = soft_threshold.SoftThreshold(
            -3.0, granularity="global", decay=0.5
        )
        both = wrapping.wrap(model, chain.Chain((threshold, masked.Masked())))
        renewed = wrapping.exchange(both, lambda method: method)
        for found in (both, renewed):
            first, second = wrapper_lib.find(found)
            shared = [w.slots["kernel"]["0.s"] for w in (first, second)]
            self.assertIs(shared[0], shared[1])
            self.assertLen(wrapper_lib.learned(found), 1)
            # Once, though two layers have it: 0.5 / 2 * (-3)^2.
            self.assertAlmostEqual(float(sum(found.losses)), 2.25, places=5)
        callback_lib.prune_now(renewed, 0.5)
        self.assertAlmostEqual(wrapper_lib.sparsity(renewed), 0.5, delta=0.2)
        path = os.path.join(self.create_tempdir(), "chain.keras")
        renewed.save(path)
        first, second = wrapper_lib.find(keras.saving.load_model(path))
        self.assertIs(
            first.slots["kernel"]["0.s"], second.slots["kernel"]["0.s"]
        )

    def test_one_method_is_no_chain(self):
        for methods in ((masked.Masked(),), masked.Masked(), ("masked", 3)):
            with self.assertRaisesRegex(ValueError, "at least two.*Received"):
                chain.Chain(methods)
