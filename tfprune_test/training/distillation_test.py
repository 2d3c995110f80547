import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import backup as backup_lib
from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.schedules import schedule as schedule_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping
from tfprune.training import distillation as distill_lib
from tfprune.training import output_ends

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy


def net(activation=None, seed=0, regularizer=None):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer=regularizer),
            layers.Dense(3, activation, name="out"),
        ]
    )


def one_output(*last, units=3):
    """A model whose last layers or ops are given."""
    inputs = keras.Input((6,))
    x = layers.Dense(units)(inputs)
    for each in last:
        x = each(x)
    return keras.Model(inputs, x)


@keras.saving.register_keras_serializable("tfprune_test")
class Adding(layers.Layer):
    def __init__(self, l2, **kwargs):
        super().__init__(**kwargs)
        self.l2 = l2

    def call(self, inputs):
        self.add_loss(self.l2 * keras.ops.sum(keras.ops.square(inputs)))
        return inputs

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


class Computing(keras.Model):
    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


def two_outputs(kind, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6,))
    a = layers.Dense(3, "softmax", name="a")(inputs)
    b = layers.Dense(1, name="b")(inputs)
    outputs = {"p": a, "q": b} if kind is dict else kind([a, b])
    return keras.Model(inputs, outputs)


def data(count=32):
    x = np.random.default_rng(0).normal(size=(count, 6)).astype("float32")
    return x, np.arange(count) % 3


def loss_on_labels(logits):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=logits)


def softmax(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


class DistillTest(parameterized.TestCase):
    def test_weights_that_are_nan_teach_nothing(self):
        broken = net()
        broken.get_layer("out").bias.assign([0.0, np.nan, 0.0])
        for student, teacher in ((broken, net()), (net(), broken)):
            with self.assertRaisesRegex(ValueError, "Finite .*/out/bias of"):
                distill_lib.distill(student, teacher)

    def test_a_loss_that_a_student_computes_itself_is_told(self):
        inputs = keras.Input((6,))
        student = Computing(inputs, layers.Dense(3, name="out")(inputs))
        with self.assertWarnsRegex(UserWarning, "Computing with compute_loss"):
            distill_lib.distill(student, net())

    def test_training_that_was_stopped_goes_on(self):
        folder = self.create_tempdir().full_path
        x, y = data()

        def tutor():
            found = distill_lib.distill(net(seed=1), net(seed=2))
            found.compile("sgd", loss_on_labels(logits=True))
            return found

        class Stop(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == 2:
                    raise KeyboardInterrupt

        options = {"epochs": 3, "shuffle": False, "verbose": 0}
        whole = tutor()
        whole.fit(x, y, **options)
        with self.assertRaises(KeyboardInterrupt):
            backup = backup_lib.Backup(folder)
            tutor().fit(x, y, callbacks=[backup, Stop()], **options)
        resumed = tutor()
        backup = backup_lib.Backup(folder)
        resumed.fit(x, y, callbacks=[backup], **options)
        for a, b in zip(
            whole.student.get_weights(),
            resumed.student.get_weights(),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)

    @parameterized.parameters(None, "softmax")
    def test_the_loss_is_that_of_the_paper(self, activation):
        student, teacher = net(activation, seed=1), net(activation, seed=2)
        tutor = distill_lib.distill(student, teacher, 2.0, label_weight=0.25)
        tutor.compile("sgd", loss_on_labels(logits=activation is None))
        x, y = data()
        found = tutor.evaluate(x, y, batch_size=32, verbose=0, return_dict=True)

        def logits(model):
            outputs = to_numpy(model(x))
            return np.log(outputs) if activation else outputs

        p, q = softmax(logits(teacher) / 2), softmax(logits(student) / 2)
        divergence = 4 * (p * np.log(p / q)).sum(-1).mean()
        plain = softmax(logits(student))
        labels = -np.log(plain[np.arange(32), y]).mean()
        expected = 0.25 * labels + 0.75 * divergence
        self.assertAlmostEqual(found["loss"], expected, places=4)

    def test_what_layers_add_counts(self):
        def loss(regularizer):
            student = net(seed=1, regularizer=regularizer)
            tutor = distill_lib.distill(student, net(seed=2))
            tutor.compile("sgd", loss_on_labels(logits=True))
            x, y = data()
            return tutor.train_on_batch(x, y, return_dict=True)["loss"]

        before = net(seed=1).layers[0].kernel
        plain, regularized = loss(None), loss("l2")
        expected = 0.01 * np.square(to_numpy(before)).sum()
        self.assertAlmostEqual(regularized - plain, expected, places=4)

    @parameterized.parameters(Adding, layers.ActivityRegularization)
    def test_what_layers_of_the_teacher_add_does_not_count(self, kind):
        found = []
        for strength in (0.0, 1.0):
            penalty = kind(l2=strength)
            teacher = one_output(penalty)
            rng = np.random.default_rng(0)
            for variable in teacher.weights:
                variable.assign(rng.normal(size=variable.shape))
            tutor = distill_lib.distill(net(seed=1), teacher)
            tutor.compile("sgd", loss_on_labels(logits=True))
            logs = tutor.train_on_batch(*data(), return_dict=True)
            found.append(logs["loss"])
        self.assertAlmostEqual(*found, places=5)

    def test_the_student_learns_and_the_teacher_is_untouched(self):
        teacher = net(seed=2)
        state = [to_numpy(v).copy() for v in teacher.variables]
        student = net(seed=1)
        x, y = data()

        def distance():
            outputs = [softmax(to_numpy(m(x))) for m in (teacher, student)]
            return np.abs(outputs[0] - outputs[1]).mean()

        before = distance()
        tutor = distill_lib.distill(student, teacher, label_weight=0.0)
        tutor.compile(keras.optimizers.Adam(0.02), loss_on_labels(logits=True))
        tutor.fit(x, y, epochs=20, batch_size=8, verbose=0)
        self.assertLess(distance(), before / 4)
        self.assertTrue(teacher.trainable)
        self.assertLen(teacher.trainable_variables, 4)
        for old, new in zip(state, teacher.variables):
            np.testing.assert_array_equal(old, to_numpy(new))

    @parameterized.product(outputs=(list, dict), given=(list, tuple, dict, str))
    def test_several_outputs_train_as_the_student_would(self, outputs, given):
        x, y = data()
        labels = [y, x[:, :1]]
        losses = ["sparse_categorical_crossentropy", "mse"]
        names = ["p", "q"] if outputs is dict else ["a", "b"]
        if given is str:
            losses, labels = "mse", [np.eye(3)[y], x[:, :1]]
        elif given is dict:
            losses = dict(zip(names, losses))
        else:
            losses = given(losses)
        if outputs is dict:
            labels = dict(zip(names, labels))
        student, teacher = (two_outputs(outputs, seed) for seed in (1, 2))
        tutor = distill_lib.distill(student, teacher, label_weight=0.5)
        tutor.compile("sgd", losses)
        found = tutor.evaluate(x, labels, verbose=0, return_dict=True)
        student.compile("sgd", losses)
        plain = student.evaluate(x, labels, verbose=0, return_dict=True)
        self.assertAlmostEqual(found["student_loss"], plain["loss"], places=4)
        expected = (found["student_loss"] + found["distillation_loss"]) / 2
        self.assertAlmostEqual(found["loss"], expected, places=4)
        self.assertAlmostEqual(found["total_loss"], expected, places=4)
        if given is not str:
            tutor.train_on_batch(x, labels)

    def test_steps_that_are_masked_are_not_taught(self):
        inputs = keras.Input((2, 1))
        steps = layers.Masking()(inputs)
        dense = layers.Dense(1, kernel_initializer="ones", use_bias=False)
        student = keras.Model(inputs, dense(steps))
        teacher = keras.Model(inputs, layers.Rescaling(3.0)(inputs))
        tutor = distill_lib.distill(student, teacher, label_weight=0.0)
        tutor.compile("sgd", "mse")
        x = np.array([[[1.0], [5.0]], [[3.0], [0.0]]], "float32")
        found = tutor.evaluate(x, x, verbose=0, return_dict=True)
        expected = (4 + 100 + 36) / 3
        self.assertAlmostEqual(found["distillation_loss"], expected, places=3)

    def test_an_output_without_a_loss_is_not_taught(self):
        student, teacher = (two_outputs(list, seed) for seed in (1, 2))
        tutor = distill_lib.distill(student, teacher)
        tutor.compile("sgd", [loss_on_labels(logits=False), None])
        (far,) = tutor.distillation_losses
        a, b = np.full((1, 3), 0.3), np.ones((1, 1))
        self.assertEqual(float(far.compute_loss([a, b], [a, 2 * b])), 0)
        self.assertGreater(
            float(far.compute_loss([a, b], [a * [1, 2, 3], b])), 0
        )

    @parameterized.parameters(
        ("sigmoid", 1, "binary_crossentropy"),
        (None, 1, keras.losses.BinaryCrossentropy(from_logits=True)),
        (None, 1, "mse"),
        ("sigmoid", 3, "binary_crossentropy"),
        (None, 3, "mae"),
    )
    def test_a_student_learns_any_kind_of_output(self, activation, n, loss):
        last = [layers.Activation(activation)] if activation else []
        keras.utils.set_random_seed(0)
        student, teacher = (one_output(*last, units=n) for _ in range(2))
        x, _ = data()
        y = to_numpy(teacher(x))
        before = np.abs(to_numpy(student(x)) - y).mean()
        tutor = distill_lib.distill(student, teacher, label_weight=0.0)
        tutor.compile(keras.optimizers.Adam(0.05), loss)
        tutor.fit(x, y, epochs=30, verbose=0)
        after = np.abs(to_numpy(student(x)) - y).mean()
        self.assertLess(after, before / 4)

    def test_probabilities_of_labels_are_each_on_their_own(self):
        model = one_output(layers.Activation("sigmoid"))
        (far,) = distill_lib.distill(model, model).distillation_losses
        p, q = np.full((2, 3), 0.9), np.full((2, 3), 0.1)
        heat = 3.0
        p, q = (1 / (1 + (1 / v - 1) ** (1 / heat)) for v in (p, q))
        expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
        found = far.compute_loss(np.full((2, 3), 0.9), np.full((2, 3), 0.1))
        self.assertAlmostEqual(
            float(found), heat**2 * expected.mean(), places=4
        )

    @parameterized.parameters("sample_weight", "class_weight")
    def test_weights_of_samples_count(self, argument):
        x, y = data()
        given = {
            "sample_weight": np.where(y == 0, 5.0, 0.0),
            "class_weight": {0: 5.0, 1: 0.0, 2: 0.0},
        }
        student = net(seed=1)
        tutor = distill_lib.distill(student, net(seed=2), label_weight=1.0)
        options = {
            "batch_size": 32,
            "verbose": 0,
            argument: given[argument],
        }
        plain = keras.models.clone_model(student)
        plain.set_weights(student.get_weights())
        for model in (tutor, plain):
            model.compile("sgd", loss_on_labels(logits=True))
            model.fit(x, y, **options)
        for a, b in zip(student.get_weights(), plain.get_weights()):
            np.testing.assert_allclose(a, b, atol=1e-6)

    def test_a_saved_tutor_knows_how_to_measure(self):
        tutor = distill_lib.distill(net(seed=1), net(seed=2))
        tutor.compile("sgd", "mse")
        (far,) = tutor.distillation_losses
        again = type(far).from_config(far.get_config())
        self.assertEqual(again.kinds, [("numbers", False)])
        self.assertEqual(again.get_config(), far.get_config())

    @parameterized.parameters(False, True)
    def test_training_goes_on_from_a_file(self, several):
        path = self.create_tempdir().full_path + "/tutor.keras"
        if several:
            make, loss = (
                lambda seed: two_outputs(dict, seed),
                {"p": "mse", "q": "mse"},
            )
            y = {"p": np.eye(3)[data(8)[1]], "q": np.zeros((8, 1))}
        else:
            make, loss = lambda seed: net("softmax", seed), "mse"
            y = np.eye(3)[data(8)[1]]
        student = wrapping.wrap(make(seed=1), masked.Masked())
        whole = distill_lib.distill(student, make(seed=2))
        whole.compile(
            keras.optimizers.SGD(0.1, momentum=0.9), loss, run_eagerly=True
        )
        x, _ = data(8)
        schedule = schedule_lib.Polynomial(0.0, 0.5, 0, 4, 2)

        def train(tutor):
            pruning = callback_lib.PruneOnSchedule(schedule)
            options = {"batch_size": 4, "shuffle": False, "verbose": 0}
            tutor.fit(x, y, callbacks=[pruning], **options)

        train(whole)
        whole.save(path)
        resumed = keras.models.load_model(path)
        for each in (whole, resumed):
            train(each)
        self.assertEqual(int(resumed.optimizer.iterations), 4)
        for a, b in zip(whole.variables, resumed.variables, strict=True):
            np.testing.assert_array_equal(to_numpy(a), to_numpy(b), a.path)

    @parameterized.parameters(masked.Masked(), masked_channels.MaskedChannels())
    def test_pruning_on_a_schedule_while_it_distills(self, method):
        student = wrapping.wrap(net(seed=1), method)
        tutor = distill_lib.distill(student, net(seed=1))
        tutor.compile("sgd", loss_on_labels(logits=True))
        x, y = data()
        pruning = callback_lib.PruneOnSchedule(schedule_lib.OneShot(0.5, 2))
        tutor.fit(x, y, batch_size=8, callbacks=[pruning], verbose=0)
        self.assertGreater(wrapper_lib.sparsity(student), 0.1)

    def test_a_criterion_of_gradients_takes_the_loss_on_the_labels(self):
        method = masked_channels.MaskedChannels(criterion="taylor")
        student = wrapping.wrap(net(seed=1), method)
        tutor = distill_lib.distill(student, net(seed=1))
        tutor.compile("sgd", loss_on_labels(logits=True))
        pruning = callback_lib.PruneOnSchedule(
            schedule_lib.OneShot(0.5, 2), data=data()
        )
        tutor.fit(*data(), batch_size=8, callbacks=[pruning], verbose=0)
        self.assertGreater(wrapper_lib.sparsity(student), 0.1)

    def test_logits_and_softmax_do_not_go_together(self):
        with self.assertRaisesRegex(ValueError, "one of each"):
            distill_lib.distill(net(), net("softmax"))

    def test_losses_of_ones_own(self):
        tutor = distill_lib.distill(
            net(),
            net("softmax"),
            losses=[keras.distillation.FeatureDistillation("mse")],
        )
        self.assertLen(tutor.distillation_losses, 1)


class OutputEndsTest(parameterized.TestCase):
    def test_what_comes_last_is_found_behind_what_moves_or_casts(self):
        softmax_, sigmoid = layers.Softmax(), layers.Activation("sigmoid")
        repeated = layers.RepeatVector(2)
        for last, expected in (
            ([], "raw numbers"),
            ([softmax_], "softmax"),
            ([keras.ops.softmax], "softmax"),
            ([keras.ops.sigmoid], "sigmoid"),
            ([softmax_, layers.Reshape((3, 1))], "softmax"),
            ([softmax_, lambda x: keras.ops.cast(x, "float16")], "softmax"),
            ([softmax_, layers.Identity(dtype="float32")], "softmax"),
            ([softmax_, layers.Activation("linear")], "softmax"),
            ([sigmoid, lambda x: x[:, :2]], "sigmoid"),
            ([sigmoid, layers.Dense(2)], "raw numbers"),
            ([sigmoid, layers.Lambda(lambda x: x)], "sigmoid"),
            ([sigmoid, OfItsOwn()], "unknown"),
            ([repeated, layers.TimeDistributed(sigmoid)], "sigmoid"),
            ([one_layer_inside(softmax_)], "softmax"),
        ):
            (end,) = output_ends.of(one_output(*last))
            self.assertEqual(end.value, expected, str(last))

    def test_every_output_has_an_end_of_its_own(self):
        ends = [end.value for end in output_ends.of(two_outputs(list))]
        self.assertEqual(ends, ["softmax", "raw numbers"])

    def test_a_wrapped_layer_ends_as_the_layer_does(self):
        model = wrapping.wrap(net("softmax"), masked.Masked())
        self.assertEqual(output_ends.of(model), [output_ends.End.SOFTMAX])

    def test_both_must_be_models(self):
        for models in ((net(), "dense.keras"), ("small.keras", net())):
            with self.assertRaisesRegex(TypeError, "keras.Model is required"):
                distill_lib.distill(*models)

    @parameterized.parameters(2, -0.5, float("nan"))
    def test_the_weight_of_the_labels_is_a_fraction(self, weight):
        with self.assertRaisesRegex(ValueError, "Received: label_weight="):
            distill_lib.distill(net(), net(), label_weight=weight)

    def test_a_mean_of_models_is_what_they_give(self):
        inputs = keras.Input((6,))
        parts = [net("softmax", seed)(inputs) for seed in (1, 2)]
        model = keras.Model(inputs, layers.Average()(parts))
        self.assertEqual(output_ends.of(model), [output_ends.End.SOFTMAX])


class OfItsOwn(layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],))

    def call(self, x):
        return x * self.scale


def one_layer_inside(layer):
    return keras.Sequential([keras.Input((3,)), layer])
