import dataclasses
import unittest
from unittest import mock

import keras
import numpy as np
from absl.testing import absltest

from tfprune.core import records
from tfprune.patterns import weight_patterns
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import shared_variables

to_numpy = keras.ops.convert_to_numpy


@dataclasses.dataclass(frozen=True)
class Halving(method_lib.Method):
    factor: float = 0.5

    def effective_kernel(self, slot, kernel, training=False):
        return -self.factor * kernel


def setUpModule():
    """Registers `Halving` for these tests alone."""
    known = mock.patch.dict(method_lib.METHODS._objects)
    known.start()
    unittest.addModuleCleanup(known.stop)
    method_lib.register("method_test.halving")(Halving)


class Wrapper(keras.layers.Layer):
    """As much of a wrapper as a slot wants."""

    def __init__(self, layer, shared=None):
        super().__init__()
        self.layer, self.shared = layer, shared
        self.method = Halving()


def slot(name="kernel", shared=None):
    layer = keras.layers.Dense(3, name="dense")
    layer.build((None, 2))
    layer.kernel.assign([[1.0, 0, 3], [0, 0, 6]])
    return method_lib.Slot(name, Wrapper(layer, shared), (2, 3))


class SlotTest(absltest.TestCase):
    def test_of_a_weight(self):
        made = slot()
        self.assertIs(made.kernel, made.layer.kernel)
        self.assertEqual(made.axes, weight_patterns.Axes((0,), (1,)))
        self.assertEqual(made.path, "dense/kernel")

    def test_of_inputs(self):
        made = slot("inputs")
        self.assertIsNone(made.kernel)
        self.assertIsNone(made.axes)

    def test_what_is_added_is_found(self):
        made = slot()
        weight = made.add_weight("scale", (2,), initializer="ones")
        self.assertIs(made["scale"], weight)
        self.assertEqual(weight.name, "kernel_scale")
        self.assertEqual(weight.dtype, "float32")
        self.assertIs(made._wrapper.weights[0], weight)
        with self.assertRaises(KeyError):
            made["other"]

    def test_parts_have_names_of_their_own(self):
        made = slot()
        first, second = made.part("0"), made.part("1")
        inner = second.part("a")
        for part in (first, second, inner):
            part.add_weight("scale")
        self.assertEqual(
            list(made.variables), ["0.scale", "1.scale", "1.a.scale"]
        )
        self.assertIs(second["scale"], made["1.scale"])
        self.assertIs(inner["scale"], made["1.a.scale"])
        self.assertEqual(list(second.own), ["1.scale", "1.a.scale"])
        self.assertEqual(list(first.own), ["0.scale"])
        self.assertEqual(inner["scale"].name, "kernel_1_a_scale")

    def test_a_mask_begins_with_what_was_pruned_before(self):
        made = slot()
        made.add_mask()
        self.assertTrue(to_numpy(made["mask"]).all())
        self.assertEqual(made["mask"].dtype, "bool")
        self.assertFalse(made["mask"].trainable)
        made.mask_zeros()
        np.testing.assert_array_equal(
            made["mask"], [[True, False, True], [False, False, True]]
        )
        # One that is not full stays.
        made.kernel.assign(np.ones((2, 3)))
        made.mask_zeros()
        self.assertEqual(to_numpy(made["mask"]).sum(), 3)

    def test_a_weight_that_is_still_to_be_learned(self):
        made = slot()
        made.kernel.assign(np.zeros((2, 3)))
        self.assertTrue(made.nonzero.all())
        made.add_mask()
        made.mask_zeros()
        self.assertTrue(to_numpy(made["mask"]).all())

    def test_noise_of_each_place(self):
        draws = []
        for name, key, seed in (
            *(("kernel", "0", 7), ("kernel", "0", 7), ("kernel", "1", 7)),
            *(("inputs", "0", 7), ("kernel", "0", 8)),
        ):
            part = slot(name).part(key)
            source = part.add_noise(seed)
            self.assertIs(part.noise, source)
            draws.append(to_numpy(keras.random.uniform((4,), seed=source)))
        np.testing.assert_array_equal(draws[0], draws[1])
        different = {draw.tobytes() for draw in draws}
        self.assertLen(different, 4)

    def test_a_shared_variable_needs_all_layers(self):
        with self.assertRaisesRegex(
            ValueError, "layer 'dense', wrapped on its own with Halving.*wrap"
        ):
            slot().add_shared("threshold")
        shared = shared_variables.Shared({"0.threshold": (2,)}, 2)
        first, second = slot(shared=shared), slot(shared=shared)
        made = [
            part.part("0").add_shared("threshold") for part in (first, second)
        ]
        self.assertIs(made[0], made[1])
        self.assertIs(first["0.threshold"], made[0])
        self.assertEqual(tuple(made[0].shape), (2,))


class MethodTest(absltest.TestCase):
    def test_unless_they_are_overridden_hooks_change_nothing(self):
        plain, made = method_lib.Method(), slot()
        kernel = to_numpy(made.kernel)
        self.assertIs(plain.effective_kernel(made, kernel), kernel)
        self.assertIs(plain.read(made, kernel), kernel)
        self.assertIs(plain.gate(made, kernel), kernel)
        self.assertIsNone(plain.penalty(made))
        self.assertEqual(plain.figures(None, []), {})
        self.assertEqual(plain.sites(made.layer), ("kernel",))
        self.assertEqual(plain.parts(made), [(plain, made)])
        np.testing.assert_array_equal(plain.fold(made), kernel)

    def test_weights_matter_by_what_the_layer_computes_with(self):
        made = slot()
        np.testing.assert_array_equal(
            Halving().fold(made), [[-0.5, 0, -1.5], [0, 0, -3]]
        )
        np.testing.assert_array_equal(
            Halving().scores(made), [[0.5, 0, 1.5], [0, 0, 3]]
        )

    def test_one_that_learns_its_sparsity_wants_no_schedule(self):
        self.assertFalse(Halving().is_scheduled)
        with self.assertRaisesRegex(
            ValueError, "Received: Halving, which learns its own"
        ):
            Halving().update(None, [], 0.5)

        class Scheduled(Halving):
            def update(self, *args, **kwargs):
                pass

        self.assertTrue(Scheduled().is_scheduled)

    def test_it_is_saved_by_its_name(self):
        spec = records.serialize(Halving(0.25), method_lib.METHODS)
        self.assertEqual(spec["name"], "method_test.halving")
        again = records.deserialize(spec, method_lib.METHODS)
        self.assertEqual(again, Halving(0.25))
        self.assertEqual(
            keras.saving.get_registered_name(Halving), "tfprune>Halving"
        )


if __name__ == "__main__":
    absltest.main()
