import keras
import numpy as np
import pytest
from absl.testing import parameterized

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

    def test_there_must_be_something_to_spare(self):
        with self.assertRaisesRegex(ValueError, "tfprune.wrap"):
            weight_decay.exclude_from_weight_decay(
                keras.optimizers.SGD(), small_nets.chain()
            )
