import keras
import numpy as np
from absl.testing import absltest

from tfprune.export.convert import calibration_checks
from tfprune.export.convert import signature
from tfprune.export.convert import states


def net(mean=3.0, deviation=2.0):
    """Trained, so to say, on inputs of a mean and a standard deviation."""
    inputs = keras.Input((5, 4), name="x")
    norm = keras.layers.BatchNormalization(name="norm")
    x = norm(inputs)
    norm.moving_mean.assign(np.full(4, mean))
    norm.moving_variance.assign(np.full(4, deviation**2))
    return keras.Model(inputs, keras.layers.Flatten()(x))


def samples(mean=3.0, deviation=2.0, count=40):
    rng = np.random.default_rng(0)
    return rng.normal(mean, deviation, (count, 5, 4)).astype("float32")


class WarnTest(absltest.TestCase):
    def warnings(self, model, x):
        with self.assertLogs("absl", "WARNING") as logs:
            # There is always a log to look at.
            calibration_checks.logging.warning("end")
            found = signature.of(model)
            more = states.met(model, found, [x])
            calibration_checks.warn(model, [x, *more], found)
        return logs.output[1:]

    def test_what_fits_is_passed_over(self):
        self.assertEmpty(self.warnings(net(), samples()))

    def test_few_samples(self):
        (text,) = self.warnings(net(), samples(count=7))
        self.assertIn("only 7 samples", text)

    def test_the_same_value_everywhere(self):
        model = net(0.0, 1.0)
        (text,) = self.warnings(model, np.full((30, 5, 4), 2.0, "float32"))
        self.assertIn("'x' are 2 everywhere", text)

    def test_another_scale(self):
        (text,) = self.warnings(net(), samples() * 255)
        self.assertRegex(text, "before norm .* 255 times that of training")

    def test_another_mean(self):
        (text,) = self.warnings(net(), samples(mean=23.0))
        self.assertRegex(text, "the mean .* standard deviations away")

    def test_layers_that_came_from_another_model(self):
        *_, norm, flatten = net().layers
        inputs = keras.Input((5, 4))
        for model in (
            keras.Sequential([keras.Input((5, 4)), norm]),
            keras.Model(inputs, flatten(norm(inputs))),
        ):
            self.assertEmpty(self.warnings(model, samples()))
            (text,) = self.warnings(model, samples() * 255)
            self.assertIn("before norm", text)

    def test_models_of_one_sample(self):
        for inputs in (keras.Input((5, 4)), keras.Input(batch_shape=(1, 5, 4))):
            x = keras.ops.reshape(inputs, (1, 20, 1))
            norm = keras.layers.BatchNormalization(name="norm")
            model = keras.Model(inputs, norm(x))
            norm.moving_mean.assign([3.0])
            self.assertEmpty(self.warnings(model, samples(deviation=1.0)))
            (text,) = self.warnings(model, samples() * 255)
            self.assertIn("before norm", text)

    def test_models_with_states(self):
        inputs = keras.Input(batch_shape=(1, 5, 4))
        norm = keras.layers.BatchNormalization(name="norm")
        x = keras.layers.GRU(3, stateful=True)(norm(inputs))
        model = keras.Model(inputs, x)
        norm.moving_mean.assign(np.full(4, 3.0))
        (text,) = self.warnings(model, samples() * 255)
        self.assertIn("before norm", text)

    def test_maps_of_two_sizes(self):
        inputs = keras.Input((5, 4))
        norm = keras.layers.BatchNormalization(name="norm")
        model = keras.Model(inputs, [norm(inputs), norm(inputs[:, 1:])])
        norm.moving_mean.assign(np.full(4, 3.0))
        self.assertEmpty(self.warnings(model, samples(deviation=1.0)))
        (text,) = self.warnings(model, samples() * 255)
        self.assertIn("before norm", text)

    def test_a_normalization_that_is_left_out(self):
        class Last(keras.Model):
            def call(self, inputs):
                return self.layers[-1](inputs)

        inputs = keras.Input((5, 4))
        norm = keras.layers.BatchNormalization()
        model = Last(inputs, keras.layers.Dense(2)(norm(inputs)))
        norm.moving_mean.assign(np.full(4, 3.0))
        self.assertEmpty(self.warnings(model, samples() * 255))

    def test_models_that_tell_nothing(self):
        far = samples() * 255
        self.assertEmpty(self.warnings(net(0.0, 1.0), far))
        inputs = keras.Input((5, 4))
        plain = keras.Model(inputs, keras.layers.Dense(2)(inputs))
        self.assertEmpty(self.warnings(plain, far))


if __name__ == "__main__":
    absltest.main()
