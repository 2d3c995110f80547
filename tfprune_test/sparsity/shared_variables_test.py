import types

import keras
import numpy as np
from absl.testing import absltest

from tfprune.sparsity import shared_variables
from tfprune.sparsity import wrapper as wrapper_lib

Shared = shared_variables.Shared


class SharedTest(absltest.TestCase):
    def setUp(self):
        super().setUp()
        self.shared = Shared({"threshold": (2,), "count": ()}, members=2)

    def test_a_variable_is_made_once(self):
        first = self.shared.variable("threshold", initializer="ones")
        self.assertIs(self.shared.variable("threshold"), first)
        self.assertEqual(tuple(first.shape), (2,))
        self.assertEqual(keras.ops.convert_to_numpy(first).tolist(), [1, 1])
        other = self.shared.variable("count", trainable=False)
        self.assertEqual(tuple(other.shape), ())
        self.assertLen(self.shared.weights, 2)
        self.assertLen(self.shared.trainable_weights, 1)

    def test_it_keeps_its_dtype_under_mixed_precision(self):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_float16")
        self.addCleanup(keras.config.set_dtype_policy, before)
        made = Shared({"a": ()}, 1).variable("a")
        self.assertEqual(made.dtype, "float32")
        made.assign(np.float32(1 + 2**-20))
        self.assertEqual(float(made.value), 1 + 2**-20)

    def test_a_name_that_nobody_gave(self):
        with self.assertRaises(KeyError):
            self.shared.variable("other")

    def test_wrappers_that_were_torn_apart(self):
        self.shared.join(keras.layers.Identity())
        with self.assertRaisesRegex(
            ValueError, "Received: 1 of 2 layers around threshold, count. "
        ):
            self.shared.check()
        self.shared.join(keras.layers.Identity())
        self.shared.check()
        self.shared.join(keras.layers.Identity())
        with self.assertRaisesRegex(ValueError, "Received: 3 of 2 layers"):
            self.shared.check()

    def test_it_is_trained_as_long_as_a_wrapper_is(self):
        variable = self.shared.variable("threshold")
        one, other = keras.layers.Identity(), keras.layers.Identity()
        for wrapper in (one, other):
            self.shared.join(wrapper)
        for flags in ((False, True), (False, False), (True, False)):
            one.trainable, other.trainable = flags
            self.shared.trainable = flags[0]  # as a wrapper would
            self.assertEqual(self.shared.trainable, any(flags))
            self.assertEqual(variable.trainable, any(flags))

    def test_its_config_makes_an_empty_one(self):
        self.shared.join(keras.layers.Identity())
        self.shared.variable("threshold")
        config = keras.saving.serialize_keras_object(self.shared)
        again = keras.saving.deserialize_keras_object(config)
        self.assertEqual(again.shapes, {"threshold": (2,), "count": ()})
        self.assertEqual((again.members, again.joined), (2, 0))
        self.assertEqual(again.name, self.shared.name)
        self.assertEmpty(again.weights)


class RenewedTest(absltest.TestCase):
    def test_those_that_shared_one_share_a_new_one(self):
        one, other = Shared({"a": ()}, 2), Shared({"a": ()}, 1)
        wrappers = [
            types.SimpleNamespace(shared=shared)
            for shared in (one, other, one, None)
        ]
        configs, copies = [{"shared": "old"} for _ in wrappers], {}
        renew = wrapper_lib.PruningWrapper.renew_shared
        for wrapper, config in zip(wrappers, configs, strict=True):
            renew(wrapper, config, copies)
        a, b, c, d = (config["shared"] for config in configs)
        self.assertIs(a, c)
        self.assertIsNot(a, one)
        self.assertIsNot(a, b)
        self.assertEqual(a.members, 2)
        self.assertEqual(d, "old")


if __name__ == "__main__":
    absltest.main()
