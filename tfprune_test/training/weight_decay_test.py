import warnings

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.graph import compile_state
from tfprune.methods import autoprune
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.training import weight_decay
from tfprune_test import small_nets

to_numpy = keras.ops.convert_to_numpy


class WeightDecayTest(parameterized.TestCase):
    @parameterized.parameters(False, True)
    @pytest.mark.slow  # Compiles each.
    def test_it_spares_what_methods_learn_and_what_else_is_named(self, scaled):
        model = wrapping.wrap(small_nets.mixed(), autoprune.AutoPrune(mu=0.0))
        optimizer = keras.optimizers.SGD(0.1, weight_decay=0.5)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        found = weight_decay.exclude_from_weight_decay(
            optimizer, model, var_names=["gamma"]
        )
        self.assertIs(found, optimizer)
        variables = model.trainable_variables
        before = [to_numpy(v) for v in variables]
        model.compile(optimizer, lambda y, x: 0 * keras.ops.mean(x, -1))
        model.train_on_batch(*small_nets.samples(8))
        spared = {id(v) for v in wrapper_lib.learned(model)}
        self.assertNotEmpty(spared)
        for variable, value in zip(variables, before):
            kept = id(variable) in spared or variable.name == "gamma"
            np.testing.assert_allclose(
                to_numpy(variable), value * (1 if kept else 0.95), rtol=1e-6
            )

    def test_all_optimizers_of_several_spare(self):
        if not hasattr(keras.optimizers, "MultiOptimizer"):
            self.skipTest("Keras has no MultiOptimizer yet.")
        model = wrapping.wrap(small_nets.chain(), autoprune.AutoPrune())
        slow, quick = (
            keras.optimizers.SGD(0.1, weight_decay=0.5, name=name)
            for name in ("slow", "quick")
        )
        several = keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(slow, {".*indicator": quick})
        )
        learned = wrapper_lib.learned(model)[0]
        self.assertTrue(compile_state.decays(several, learned))
        weight_decay.exclude_from_weight_decay(several, model)
        before = [to_numpy(v) for v in model.trainable_variables]
        several.apply([0 * v for v in before], model.trainable_variables)
        for variable, value in zip(
            model.trainable_variables, before, strict=True
        ):
            kept = compile_state.decays(several, variable)
            np.testing.assert_allclose(
                to_numpy(variable), value * (0.95 if kept else 1), rtol=1e-6
            )
        self.assertFalse(compile_state.decays(several, learned))

    def test_training_that_goes_on_from_a_file_is_told_again(self):
        path = self.create_tempdir().full_path + "/model.keras"
        model = wrapping.wrap(small_nets.chain(), autoprune.AutoPrune())
        sgd = keras.optimizers.SGD(0.1, weight_decay=0.5)
        weight_decay.exclude_from_weight_decay(sgd, model)
        model.compile(sgd, "mse")
        model.save(path)
        x = np.zeros((1, *model.input_shape[1:]))

        def told(model):
            model(x, training=False)
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                model(x, training=True)
            return len({str(w.message) for w in found})

        copy = wrapping.exchange(model, lambda method: method)
        self.assertEqual([told(model), told(copy)], [0, 0])
        for _ in range(2):
            loaded = keras.models.load_model(path)
            loaded.save(path)
            self.assertEqual(told(loaded), 1)
        loaded = keras.models.load_model(path)
        weight_decay.exclude_from_weight_decay(loaded.optimizer, loaded)
        self.assertEqual(told(loaded), 0)
        for each in (model, copy, loaded):
            decayed = [
                compile_state.decays(each.optimizer, v)
                for v in wrapper_lib.learned(each)
            ]
            self.assertFalse(any(decayed))

    def test_there_must_be_something_to_spare(self):
        with self.assertRaisesRegex(ValueError, "tfprune.wrap"):
            weight_decay.exclude_from_weight_decay(
                keras.optimizers.SGD(), small_nets.chain()
            )
