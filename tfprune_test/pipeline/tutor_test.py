import keras
import numpy as np
from absl.testing import absltest
from absl.testing import parameterized

from tfprune.datasets import outputs
from tfprune.pipeline import tutor

LOGITS = np.array([[2.0, 0, 0], [0, 3, 0], [0, 0, 1], [1, 0, 0]], "float32")


LOSSES = {
    "sparse": keras.losses.SparseCategoricalCrossentropy,
    "binary": keras.losses.BinaryCrossentropy,
}


def of(kind, logits=False):
    """A list of the only output, with a loss of a kind."""
    loss = LOSSES[kind](from_logits=logits) if kind in LOSSES else None
    if kind == "numbers":
        loss = keras.losses.mean_squared_error
    return [outputs.Output("a", (None, 3), loss)]


class TutorTest(parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_classes_are_taught_by_softened_distributions(self, logits):
        teacher, student = LOGITS, LOGITS[::-1].copy()

        def soft(values):
            found = np.exp(values / 2.0)
            return found / found.sum(1, keepdims=True)

        target, told = soft(teacher), soft(student)
        expected = 4 * (target * np.log(target / told)).sum(1).mean()
        if not logits:
            teacher, student = (
                np.exp(v) / np.exp(v).sum(1, keepdims=True)
                for v in (teacher, student)
            )
        lesson = tutor.Lesson(
            lambda x, training: teacher, of("sparse", logits), 2.0, 0.25
        )
        loss = keras.ops.convert_to_tensor(np.float32(1.5))
        found = lesson(None, keras.ops.convert_to_tensor(student), loss)
        self.assertAlmostEqual(
            float(found), 0.25 * 1.5 + 0.75 * expected, places=4
        )

    def test_numbers_are_taught_by_their_squared_distance(self):
        lesson = tutor.Lesson(
            lambda x, training: LOGITS, of("numbers"), 2.0, 0.5
        )
        loss = keras.ops.convert_to_tensor(np.float32(1.0))
        found = lesson(None, keras.ops.convert_to_tensor(LOGITS + 2), loss)
        self.assertAlmostEqual(float(found), 0.5 + 0.5 * 4.0, places=5)

    def test_weights_of_samples_count(self):
        inputs = keras.Input((3,))
        scale = keras.layers.Dense(
            3, use_bias=False, kernel_initializer="identity"
        )
        net = keras.Model(inputs, scale(inputs))
        model = tutor.Tutored.of(net, net, of("numbers"), 1.0, 1.0)
        model.compile("sgd", "mse")
        weights = np.array([1.0, 0, 0, 0])
        found = model.train_on_batch(LOGITS, LOGITS * 0, weights)
        self.assertAlmostEqual(float(np.ravel(found)[0]), 4 / 3 / 4, 5)

    @parameterized.parameters(True, False)
    def test_binary_outputs_are_taught_by_softened_chances(self, logits):
        chances = np.array([[0.9], [0.2], [0.5]])
        told = np.array([[0.6], [0.3], [0.5]])

        def soft(p):
            return 1 / (1 + ((1 - p) / p) ** (1 / 4.0))

        p, q = soft(chances), soft(told)
        expected = 16 * np.mean(
            p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
        )
        if logits:
            chances, told = (np.log(p / (1 - p)) for p in (chances, told))
        lesson = tutor.Lesson(
            lambda x, training: chances.astype("float32"),
            of("binary", logits),
            *(4.0, 0.0),
        )
        found = lesson(
            None,
            keras.ops.convert_to_tensor(told.astype("float32")),
            keras.ops.convert_to_tensor(np.float32(9.0)),
        )
        self.assertAlmostEqual(float(found), expected, places=5)

    @parameterized.parameters(
        ("float16", "sparse", 3),
        ("bfloat16", "binary", 1),
        ("float64", "numbers", 2),
    )
    def test_student_and_teacher_may_differ_in_precision(
        self, dtype, kind, units
    ):
        x = LOGITS[:, :2]
        net = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(units, dtype=dtype)]
        )
        told = keras.layers.Dense(units)
        teacher = keras.Sequential([keras.Input((2,)), told])
        told.set_weights([w.astype("float32") for w in net.get_weights()])
        model = tutor.Tutored.of(net, teacher, of(kind, True), 1.0, 0.0)
        model.compile("sgd", "mse")
        found = model.train_on_batch(x, np.zeros((4, units), "float32"))
        self.assertAlmostEqual(float(np.ravel(found)[0]), 0, 2)

    def test_steps_that_are_masked_teach_nothing(self):
        x = np.array([[[1.0], [0.0]], [[0.0], [0.0]], [[2.0], [3.0]]])
        inputs = keras.Input((2, 1))
        masked = keras.layers.Masking()(inputs)
        net = keras.Model(inputs, keras.layers.Dense(1)(masked))

        def teacher(x, training):
            far = keras.ops.cast(keras.ops.where(x == 0, 50, 2), "float32")
            return keras.ops.stop_gradient(net(x)) + far

        model = tutor.Tutored.of(net, teacher, of("numbers"), 1.0, 0.0)
        model.compile("sgd", "mse")
        found = model.train_on_batch(x, x)
        self.assertAlmostEqual(float(np.ravel(found)[0]), 4, 3)

    def test_outputs_add_up_but_those_that_nobody_trains(self):
        teachers = {"a": LOGITS, "b": LOGITS, "c": LOGITS}
        lesson = tutor.Lesson(
            lambda x, training: teachers,
            of("numbers") + of("none") + of("numbers"),
            *(1.0, 0.25),
        )
        students = {
            name: keras.ops.convert_to_tensor(LOGITS + shift)
            for name, shift in (("a", 1), ("b", 100), ("c", 2))
        }
        loss = keras.ops.convert_to_tensor(np.float32(8.0))
        found = lesson(None, students, loss)
        self.assertAlmostEqual(float(found), 2.0 + 0.75 * (1 + 4), places=4)

    def test_outputs_count_by_the_weights_of_their_losses(self):
        numbers = of("numbers") * 2
        lesson = tutor.Lesson(
            lambda x, training: [LOGITS, LOGITS], numbers, 1.0, 0.5, [0.1, 2.0]
        )
        answers = [keras.ops.convert_to_tensor(LOGITS + far) for far in (3, 1)]
        loss = keras.ops.convert_to_tensor(np.float32(1.0))
        found = lesson(None, answers, loss)
        self.assertAlmostEqual(float(found), 0.5 + 0.5 * (0.9 + 2), places=5)

    def test_a_chance_of_nothing_is_no_infinity(self):
        sure = np.array([[1.0, 0, 0]], "float32")
        lesson = tutor.Lesson(
            lambda x, training: sure, of("sparse", False), 4.0, 0.0
        )
        found = lesson(
            None,
            keras.ops.convert_to_tensor(sure[:, ::-1].copy()),
            keras.ops.convert_to_tensor(np.float32(0.0)),
        )
        self.assertTrue(np.isfinite(float(found)))
        self.assertGreater(float(found), 1.0)

    def test_the_teacher_stays_and_is_asked_as_in_inference(self):
        inputs = keras.Input((3,))
        drop = keras.layers.Dropout(0.9)(inputs)
        teacher = keras.Model(
            inputs, keras.layers.Dense(3, use_bias=False)(drop)
        )
        teacher.trainable = False
        before = keras.ops.convert_to_numpy(teacher.weights[0])
        student = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(3, use_bias=False)]
        )
        model = tutor.Tutored.of(student, teacher, of("numbers"), 1.0, 0.0)
        model.compile(keras.optimizers.SGD(0.3), "mse")
        for _ in range(60):
            model.train_on_batch(LOGITS, 0 * LOGITS)
        np.testing.assert_array_equal(teacher.weights[0], before)
        # The labels are left out, and dropout never hid the lesson.
        np.testing.assert_allclose(student.weights[0], before, atol=0.05)


if __name__ == "__main__":
    absltest.main()
