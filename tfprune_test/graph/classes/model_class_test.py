"""Subclassed and compiled models keep what they are."""

import warnings

import keras
import numpy as np
from absl.testing import parameterized

import tfprune

LAYERS = keras.layers
X = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 32)


def my_loss(y, scores):
    return keras.losses.sparse_categorical_crossentropy(y, scores)


class Share(keras.metrics.SparseCategoricalAccuracy):
    """A metric whose config does not tell all."""

    def __init__(self, power=1.0, **kwargs):
        super().__init__(**kwargs)
        self.power = power


class Descent(keras.optimizers.SGD):
    """An optimizer that is not registered."""


class Stepping:
    """A step of training of its own, and a setting."""

    rate = 1.0

    def train_step(self, data):
        self.traced = True
        return super().train_step(data)


class Counting(Stepping, keras.Model):
    """From inputs to outputs."""


class Holding(Stepping, keras.Model):
    """Takes the network that it trains."""

    def __init__(self, network, rate=1.0, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.rate = rate

    def call(self, x):
        return self.network(x)


class Saved(Holding):
    """One that can be saved."""

    def get_config(self):
        network = keras.saving.serialize_keras_object(self.network)
        return {"network": network, "rate": self.rate}

    @classmethod
    def from_config(cls, config):
        network = keras.saving.deserialize_keras_object(config["network"])
        return cls(network, config["rate"])


class Writing(Stepping, keras.Model):
    """Writes its own layers, in sizes of its own."""

    def __init__(self):
        super().__init__()
        self.wide = LAYERS.Dense(16, "relu")
        self.scores = LAYERS.Dense(3, "softmax")

    def call(self, x):
        return self.scores(self.wide(x))


class Block(LAYERS.Layer):
    """A layer that is opened."""

    def build(self, shape):
        self.dense = LAYERS.Dense(16)
        self.dense.build(shape)

    def call(self, x):
        return keras.ops.relu(self.dense(x))


def functional(cls=keras.Model, block=False):
    inputs = keras.Input((8,))
    hidden = Block() if block else LAYERS.Dense(16, "relu")
    outputs = LAYERS.Dense(3, "softmax", name="scores")(hidden(inputs))
    return cls(inputs, outputs)


def called(model):
    model(X)
    return model


def with_setting():
    model = functional(Counting)
    model.rate = 0.5
    return model


KINDS = {
    "functional": with_setting,
    "holding": lambda: called(Holding(functional(), 0.5)),
    "saved": lambda: called(Saved(functional(), 0.5)),
}
VERBS = {
    "prune": lambda model: tfprune.prune(model, 0.5),
    "strip": tfprune.strip,
    "wrap": lambda model: tfprune.wrap(model, tfprune.methods.Masked()),
    "unwrap": lambda model: tfprune.strip(
        tfprune.wrap(model, tfprune.methods.Masked())
    ),
}


class ClassTest(parameterized.TestCase):
    @parameterized.product(kind=list(KINDS), verb=list(VERBS))
    def test_class_step_and_settings_stay(self, kind, verb):
        model = KINDS[kind]()
        model.compile(Descent(0.25), my_loss)
        new = VERBS[verb](model)
        self.assertIs(type(new), type(model))
        self.assertEqual(new.rate, 0.5)
        new.fit(X, Y, verbose=0)
        self.assertTrue(new.traced)
        if verb == "prune":
            self.assertLess(new.count_params(), model.count_params())

    def test_a_model_with_a_layer_that_is_opened_keeps_its_class(self):
        new = tfprune.prune(functional(Counting, block=True), 0.5)
        self.assertIsInstance(new, Counting)

    def test_a_smaller_one_is_saved_and_loaded(self):
        new = tfprune.prune(KINDS["saved"](), 0.5)
        path = f"{self.create_tempdir().full_path}/new.keras"
        new.save(path)
        loaded = keras.saving.load_model(path, {"Saved": Saved})
        self.assertIsInstance(loaded, Saved)
        np.testing.assert_allclose(loaded(X), new(X), atol=1e-6)

    def test_what_is_lost_is_named_once(self):
        model = called(Writing())
        model.compile(Descent(0.25), my_loss)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            new = tfprune.prune(model, 0.5)
        texts = [str(w.message) for w in found if "Functional" in str(w)]
        self.assertLen(texts, 1)
        self.assertIn("without train_step of class Writing", texts[0])
        self.assertTrue(new.compiled)
        again = Counting(new.input, new.output)
        np.testing.assert_array_equal(again(X), new(X))


class CompiledTest(parameterized.TestCase):
    @parameterized.parameters(*VERBS)
    def test_objects_that_are_not_registered_stay(self, verb):
        model = functional()
        metrics = [Share(power=2.0, name="share"), "accuracy"]
        model.compile(Descent(0.25), my_loss, metrics=metrics)
        new = VERBS[verb](model)
        self.assertIsInstance(new.optimizer, Descent)
        self.assertIsNot(new.optimizer, model.optimizer)
        self.assertEqual(float(new.optimizer.learning_rate), 0.25)
        self.assertIs(new.loss, my_loss)
        history = new.fit(X, Y, verbose=0).history
        self.assertEqual(set(history), {"loss", "share", "accuracy"})
