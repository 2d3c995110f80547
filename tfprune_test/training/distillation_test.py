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

    @parameterized.parameters(masked.Masked(), masked_channels.MaskedChannels())
    def test_pruning_on_a_schedule_while_it_distills(self, method):
        student = wrapping.wrap(net(seed=1), method)
        tutor = distill_lib.distill(student, net(seed=1))
        tutor.compile("sgd", loss_on_labels(logits=True))
        x, y = data()
        pruning = callback_lib.PruneOnSchedule(schedule_lib.OneShot(0.5, 2))
        tutor.fit(x, y, batch_size=8, callbacks=[pruning], verbose=0)
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
