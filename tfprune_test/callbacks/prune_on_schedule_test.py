import os
import pathlib
import random
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import prune_on_schedule as callback_lib
from tfprune.methods import masked
from tfprune.methods import masked_channels
from tfprune.patterns import weight_patterns
from tfprune.schedules import schedule as schedule_lib
from tfprune.selection import budget as budget_lib
from tfprune.sparsity import wrapper as wrapper_lib
from tfprune.sparsity import wrapping as wrap_lib

pytestmark = [pytest.mark.any_backend, pytest.mark.jax]

layers = keras.layers
to_numpy = keras.ops.convert_to_numpy

BATCHES = 10
RAMP = schedule_lib.Polynomial(0.0, 0.75, begin=3, end=20, frequency=4)
DUE = [3, 7, 11, 15, 19, 20]


class Recorder(callback_lib.PruneOnSchedule):
    """Keeps the steps of the updates."""

    def __init__(self, schedule):
        super().__init__(schedule)
        self.steps = []

    def update(self, step):
        done = super().update(step)
        if done:
            self.steps.append(step)
        return done


class BatchLogs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.logs = []

    def on_train_batch_end(self, batch, logs=None):
        self.logs.append(dict(logs))


def dataset():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(8 * BATCHES, 8)).astype("float32")
    return x, x[:, :4] ** 2


def wrapped(method=None, accumulate=None, **compile_args):
    # Tracing takes TensorFlow longer than these few steps.
    if "jit_compile" not in compile_args:
        eager = keras.config.backend() == "tensorflow"
        compile_args.setdefault("run_eagerly", eager)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu", use_bias=False),
            layers.Dense(4, use_bias=False),
        ]
    )
    model = wrap_lib.wrap(model, method or masked.Masked())
    model.compile(
        keras.optimizers.SGD(0.02, gradient_accumulation_steps=accumulate),
        "mse",
        **compile_args,
    )
    return model


def fit(model, callbacks, epochs=3, **fit_args):
    x, y = dataset()
    return model.fit(
        x,
        y,
        batch_size=8,
        epochs=epochs,
        callbacks=callbacks,
        shuffle=False,
        verbose=0,
        **fit_args,
    )


def masks_of(model):
    return [
        to_numpy(slot["mask"])
        for wrapper in wrapper_lib.find(model)
        for slot in wrapper.slots.values()
    ]


class StepsTest(parameterized.TestCase):
    @parameterized.parameters(
        (1, DUE), (3, [3, 9, 13, 16, 19, 20]), (32, [10, 20])
    )
    def test_no_update_is_lost_between_executions(self, per_call, expected):
        model = wrapped(steps_per_execution=per_call, run_eagerly=False)
        recorder = Recorder(RAMP)
        history = fit(model, [recorder]).history
        self.assertEqual(recorder.steps, expected)
        self.assertEqual(history["sparsity"][-1], 0.75)
        self.assertEqual(wrapper_lib.sparsity(model), 0.75)

    def test_accumulated_gradients_make_one_step(self):
        model = wrapped(accumulate=2)
        recorder = Recorder(RAMP)
        fit(model, [recorder], epochs=5)
        self.assertEqual(recorder.steps, DUE)

    def test_several_calls_of_fit_are_like_one(self):
        once, often = wrapped(), wrapped()
        fit(once, [callback_lib.PruneOnSchedule(RAMP)], epochs=3)
        recorder = Recorder(RAMP)
        fit(often, [recorder], epochs=1)
        fit(often, [recorder], epochs=2, initial_epoch=1)
        fit(often, [callback_lib.PruneOnSchedule(RAMP)], epochs=1)
        self.assertEqual(recorder.steps, DUE)
        for a, b in zip(masks_of(once), masks_of(often)):
            np.testing.assert_array_equal(a, b)

    def test_a_schedule_that_should_have_begun_is_caught_up_with(self):
        model = wrapped()
        fit(model, [], epochs=1)
        recorder = Recorder(schedule_lib.OneShot(0.5))
        fit(model, [recorder], epochs=2)
        self.assertEqual(recorder.steps, [11])
        self.assertEqual(wrapper_lib.sparsity(model), 0.5)

    @parameterized.parameters(
        (schedule_lib.Constant(0.0), True),
        (schedule_lib.Polynomial(0.0, 0.5, begin=90, end=200), True),
        (schedule_lib.Polynomial(0.0, 0.5, begin=5, end=200), False),
        (lambda step: (step % 5 == 0, step / 20), False),
    )
    def test_a_schedule_that_prunes_nothing_is_warned_of(
        self, schedule, wanted
    ):
        with self.assertLogs("absl", "WARNING") as logs:
            # There is always a log to look at.
            callback_lib.logging.warning("end")
            fit(wrapped(), [callback_lib.PruneOnSchedule(schedule)], epochs=1)
        found = [text for text in logs.output if "prunes nothing" in text]
        self.assertEqual(bool(found), wanted)

    @parameterized.parameters((0.8, True), (1.0, False))
    def test_a_schedule_that_ends_before_the_budget_is_warned_of(
        self, final, wanted
    ):
        ramp = schedule_lib.Polynomial(0.0, final, begin=0, end=8, frequency=4)
        budget = budget_lib.Budget(macs=0.5)
        with self.assertLogs("absl", "WARNING") as logs:
            callback_lib.logging.warning("end")
            fit(
                wrapped(masked_channels.MaskedChannels()),
                [callback_lib.PruneOnSchedule(ramp, budget)],
                epochs=1,
            )
        found = [x for x in logs.output if "0.8 of the way to the bud" in x]
        self.assertEqual(bool(found), wanted)

    @parameterized.parameters(
        ("skipped", True), ("stopped", True), ("two fits", False)
    )
    def test_a_training_that_ends_before_its_schedule_says_so(
        self, way, wanted
    ):
        model, epochs, others = wrapped(), 3, []
        if way == "skipped":
            # The first gradients are infinite.
            model.compile(
                keras.optimizers.LossScaleOptimizer(
                    keras.optimizers.SGD(0.02), initial_scale=3e38
                ),
                lambda y, x: 64 * keras.ops.mean(x - y, -1),
                run_eagerly=model.run_eagerly,
            )
        elif way == "stopped":
            others = [keras.callbacks.EarlyStopping("loss", -1e9, 0)]
        else:
            epochs = 2
        ramp = schedule_lib.Polynomial(0.0, 0.5, 0, "3 epochs", 6)
        with self.assertLogs("absl", "WARNING") as logs:
            callback_lib.logging.warning("end")
            fit(model, [callback_lib.PruneOnSchedule(ramp), *others], epochs)
        found = [x for x in logs.output if "last update at step 30" in x]
        self.assertEqual(bool(found), wanted)
        self.assertLess(int(model.optimizer.iterations), 30)

    def test_epochs_before_the_initial_one_are_not_counted(self):
        late = schedule_lib.OneShot(0.5, begin=20)
        with self.assertLogs("absl", "WARNING") as logs:
            model, pruning = wrapped(), callback_lib.PruneOnSchedule(late)
            fit(model, [pruning], epochs=9, initial_epoch=8)
        self.assertRegex(logs.output[0], "prunes nothing.*step 0 to 10")

    def test_a_new_optimizer_starts_the_schedule_anew(self):
        model = wrapped()
        fit(model, [callback_lib.PruneOnSchedule(RAMP)])
        model.compile("sgd", "mse")
        fit(model, [], epochs=1)
        self.assertEqual(wrapper_lib.sparsity(model), 0.75)
        model.compile("sgd", "mse")
        recorder = Recorder(schedule_lib.OneShot(0.875, begin=5))
        fit(model, [recorder], epochs=1)
        self.assertEqual(recorder.steps, [5])
        self.assertEqual(wrapper_lib.sparsity(model), 0.875)

    def test_a_new_optimizer_loses_no_update_between_executions(self):
        settings = {"steps_per_execution": 5, "run_eagerly": False}
        model = wrapped(**settings)
        once = schedule_lib.OneShot(0.5)
        fit(model, [callback_lib.PruneOnSchedule(once)], epochs=1)
        callback_lib.prune_now(model, 0.0, step=5)
        model.compile("sgd", "mse", steps_per_execution=5)
        recorder = Recorder(once)
        fit(model, [recorder], epochs=1)
        self.assertEqual(recorder.steps, [5])
        self.assertEqual(wrapper_lib.sparsity(model), 0.5)

    @parameterized.parameters(
        schedule_lib.OneShot(0.75), schedule_lib.Constant(0.75)
    )
    def test_another_schedule_is_caught_up_with(self, schedule):
        model = wrapped()
        fit(model, [callback_lib.PruneOnSchedule(0.5)], epochs=1)
        recorder = Recorder(schedule)
        fit(model, [recorder], epochs=1)
        self.assertEqual(recorder.steps, [11])
        self.assertEqual(wrapper_lib.sparsity(model), 0.75)
        fit(model, [recorder], epochs=1)
        self.assertEqual(recorder.steps, [11])

    @parameterized.parameters(
        schedule_lib.OneShot(0.75), lambda step: (step == 5, 0.75)
    )
    def test_a_loaded_model_knows_its_schedules(self, other):
        path = os.path.join(self.create_tempdir(), "model.keras")
        model = wrapped()
        fit(model, [callback_lib.PruneOnSchedule(RAMP)], epochs=1)
        for schedule, steps, sparsity in (
            (RAMP, DUE[2:], 0.75),
            (other, [21], 0.75),
            (other, [], 0.75),
            (schedule_lib.OneShot(0.5), [41], 0.5),
        ):
            model.save(path)
            model = keras.saving.load_model(path)
            recorder = Recorder(schedule)
            fit(model, [recorder], epochs=1)
            self.assertEqual(recorder.steps, steps)
            self.assertEqual(wrapper_lib.sparsity(model), sparsity)

    def test_another_object_of_the_same_settings_is_the_same_schedule(self):
        class TfmotLike:
            begin_step, end_step, frequency = 3, 20, 4

            def __call__(self, step):
                return (step - 3) % 4 == 0, 0.25

            def get_config(self):
                return {"class_name": "TfmotLike", "config": {}}

        model, steps = wrapped(), []
        for _ in range(3):
            recorder = Recorder(TfmotLike())
            fit(model, [recorder], epochs=1)
            steps += recorder.steps
        self.assertEqual(steps, DUE)

    def test_another_librarys_schedule_whose_config_is_not_written(self):
        class Alone:
            begin_step, end_step, frequency = 3, 20, 4

            def __call__(self, step):
                return (step - 3) % 4 == 0, 0.25

            def get_config(self):
                raise NotImplementedError

        recorder = Recorder(Alone())
        fit(wrapped(), [recorder], epochs=1)
        self.assertNotEmpty(recorder.steps)

    def test_a_restored_training_is_not_caught_up_with(self):
        folder = self.create_tempdir().full_path

        def train(epochs, **backup_args):
            model = wrapped()
            callback_lib.prune_now(model, 0.5)
            recorder = Recorder(schedule_lib.OneShot(0.75, begin=3))
            backup = keras.callbacks.BackupAndRestore(folder, **backup_args)
            fit(model, [recorder, backup], epochs=epochs)
            return recorder.steps

        self.assertEqual(train(1, delete_checkpoint=False), [3])
        self.assertEqual(train(2), [])

    def test_a_schedule_after_pruning_by_hand_is_caught_up_with(self):
        model = wrapped()
        callback_lib.prune_now(model, 0.5)
        fit(model, [callback_lib.PruneOnSchedule(0.75)], epochs=1)
        self.assertEqual(wrapper_lib.sparsity(model), 0.75)

    def test_schedules_one_after_the_other(self):
        model = wrapped()
        recorders = [
            Recorder(schedule_lib.OneShot(0.5, begin=3)),
            Recorder(schedule_lib.OneShot(0.75, begin=8)),
        ]
        for _ in range(2):
            fit(model, recorders, epochs=1)
            self.assertEqual(wrapper_lib.sparsity(model), 0.75)
        self.assertEqual([r.steps for r in recorders], [[3], [8]])

    @parameterized.parameters(
        schedule_lib.Constant(0.25), schedule_lib.Polynomial(0, 0.5, 19, 30)
    )
    def test_schedules_at_the_same_time_are_refused(self, other):
        model = wrapped()
        with self.assertRaisesRegex(
            ValueError, "at a time.*Polyn.* and .*0.[25]"
        ):
            fit(model, list(map(callback_lib.PruneOnSchedule, (RAMP, other))))
        self.assertEqual(int(model.optimizer.iterations), 0)
        fit(model, [callback_lib.PruneOnSchedule(other)], epochs=1)

    def test_early_stopping_leaves_the_masks_of_the_last_update(self):
        model = wrapped()
        stop = keras.callbacks.EarlyStopping(
            "loss", mode="max", patience=0, restore_best_weights=False
        )
        recorder = Recorder(RAMP)
        fit(model, [recorder, stop], epochs=9)
        last = recorder.steps[-1]
        self.assertEqual(int(model.optimizer.iterations), 20)
        for wrapper in wrapper_lib.find(model):
            self.assertEqual(int(wrapper.updated), last)
        self.assertEqual(wrapper_lib.sparsity(model), RAMP(last))

    def test_epochs(self):
        model = wrapped()
        recorder = Recorder(
            schedule_lib.Iterative(0.75, rounds=2, begin="0.5 epochs")
        )
        fit(model, [recorder], epochs=2)
        self.assertEqual(recorder.steps, [5, 15])

    def test_epochs_of_accumulated_gradients(self):
        model = wrapped(accumulate=4)
        recorder = Recorder(schedule_lib.OneShot(0.75, begin="2 epochs"))
        fit(model, [recorder], epochs=3)
        self.assertEqual(recorder.steps, [5])

    def test_gradients_accumulated_beyond_the_last_epoch(self):
        model = wrapped(accumulate=4)
        recorder = Recorder(schedule_lib.OneShot(0.75, begin="3 epochs"))
        fit(model, [recorder], epochs=3)  # 7.5 steps
        self.assertEqual(recorder.steps, [7])

    def test_a_schedule_of_tfmot(self):
        class TfmotLike:
            begin_step, end_step, frequency = 3, 20, 4

            def __call__(self, step):
                return (step - 3) % 4 == 0, 0.25

        model = wrapped()
        recorder = Recorder(TfmotLike())
        fit(model, [recorder])
        self.assertEqual(recorder.steps, DUE)
        self.assertEqual(wrapper_lib.sparsity(model), 0.25)

    def test_a_generator_serves_all_updates(self):
        x, y = dataset()
        found = []
        batches = [(x[i : i + 8], y[i : i + 8]) for i in (0, 8)]
        for data in (batches, iter(batches)):
            model = wrapped(masked_channels.MaskedChannels("taylor"))
            ramp = schedule_lib.Polynomial(
                0.0, 0.5, begin=1, end=4, frequency=1
            )
            fit(model, [callback_lib.PruneOnSchedule(ramp, data=data)], 1)
            found.append(masks_of(model))
        self.assertGreater(wrapper_lib.sparsity(model), 0)
        for a, b in zip(*found, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_all_ways_to_run_give_the_same_masks(self):
        found = []
        for way in (
            dict(jit_compile=True),
            dict(jit_compile=False),
            dict(run_eagerly=True),
        ):
            model = wrapped(**way)
            fit(model, [callback_lib.PruneOnSchedule(RAMP)], epochs=2)
            found.append(masks_of(model))
        for other in found[1:]:
            for a, b in zip(found[0], other):
                np.testing.assert_array_equal(a, b)


class LoopTest(parameterized.TestCase):
    def test_a_loop_of_ones_own_is_like_fit(self):
        expected = wrapped()
        fit(expected, [callback_lib.PruneOnSchedule(RAMP)])
        model = wrapped()
        x, y = dataset()
        pruning = callback_lib.PruneOnSchedule(RAMP)
        pruning.set_model(model)
        for step in range(3 * BATCHES):
            batch = slice(8 * (step % BATCHES), 8 * (step % BATCHES) + 8)
            model.train_on_batch(x[batch], y[batch])
            pruning.update(int(model.optimizer.iterations))
        for a, b in zip(masks_of(expected), masks_of(model)):
            np.testing.assert_array_equal(a, b)

    def test_prune_now(self):
        model = wrapped()
        callback_lib.prune_now(model, 0.5)
        self.assertEqual(wrapper_lib.sparsity(model), 0.5)
        callback_lib.prune_now(model, 0.25)
        self.assertEqual(wrapper_lib.sparsity(model), 0.25)
        callback_lib.prune_now(model, keras.ops.array(0.75))
        self.assertEqual(wrapper_lib.sparsity(model), 0.75)

    @parameterized.parameters(
        *(80, 1.5, -0.5, float("nan"), "0.5"), (np.array([0.2, 0.3]),)
    )
    def test_prune_now_to_what_is_no_fraction(self, sparsity):
        model = wrapped()
        with self.assertRaisesRegex(ValueError, "a fraction between 0"):
            callback_lib.prune_now(model, sparsity)
        self.assertEqual(wrapper_lib.sparsity(model), 0)

    def test_a_schedule_in_percent(self):
        with self.assertRaisesRegex(ValueError, "Received: sparsity=40"):
            fit(
                wrapped(),
                [callback_lib.PruneOnSchedule(lambda step: (True, 4.0 * step))],
                epochs=1,
            )

    def test_a_schedule_in_percent_in_a_loop_of_ones_own(self):
        model = wrapped()
        pruning = callback_lib.PruneOnSchedule(lambda step: (True, 40.0 * step))
        pruning.set_model(model)
        with self.assertRaisesRegex(ValueError, "Received: sparsity=80"):
            pruning.update(2)
        self.assertEqual(wrapper_lib.sparsity(model), 0)

    def test_a_schedule_that_starts_below_zero(self):
        model = wrapped()
        ramp = callback_lib.PruneOnSchedule(
            lambda step: (True, (step - BATCHES // 2) / BATCHES)
        )
        fit(model, [ramp], epochs=1)
        self.assertEqual(wrapper_lib.sparsity(model), 0.5)


class LogsTest(parameterized.TestCase):
    def test_sparsity_is_in_the_logs_of_batches_and_epochs(self):
        model = wrapped()
        seen = BatchLogs()
        history = fit(model, [callback_lib.PruneOnSchedule(RAMP), seen])
        values = [logs["sparsity"] for logs in seen.logs[2:]]
        self.assertEqual(values[0], 0.0)
        self.assertEqual(values[-1], 0.75)
        self.assertEqual(values, sorted(values))
        self.assertEqual(history.history["sparsity"][1:], [0.75, 0.75])
        self.assertIsInstance(history.history["sparsity"][0], float)

    def test_figures_are_those_of_the_model_that_is_trained(self):
        pruning = callback_lib.PruneOnSchedule(RAMP)
        fit(wrapped(), [pruning])
        seen = BatchLogs()
        fit(wrapped(), [pruning, seen])
        self.assertNotIn("sparsity", seen.logs[0])
        self.assertEqual(seen.logs[3]["sparsity"], 0.0)


class ErrorsTest(parameterized.TestCase):
    def test_a_model_without_wrapped_layers(self):
        model = keras.Sequential([keras.Input((8,)), layers.Dense(4)])
        model.compile("sgd", "mse")
        with self.assertRaisesRegex(ValueError, "wrap"):
            fit(model, [callback_lib.PruneOnSchedule(RAMP)])

    def test_a_sparsity_out_of_reach_stops_before_training(self):
        model = wrapped(masked.Masked(weight_patterns.NM(2, 4)))
        with self.assertRaisesRegex(ValueError, "2:4.*0.75"):
            fit(model, [callback_lib.PruneOnSchedule(RAMP)])
        self.assertEqual(int(model.optimizer.iterations), 0)

    @parameterized.parameters(None, budget_lib.Budget(macs=0.5))
    def test_channels_out_of_reach_stop_before_training(self, budget):
        model = wrapped(masked_channels.MaskedChannels(min_channels=9))
        late = schedule_lib.Polynomial(0.0, 0.99, begin=900, end=999)
        with self.assertRaisesRegex(ValueError, "budget must be within reach"):
            fit(model, [callback_lib.PruneOnSchedule(late, budget)])
        self.assertEqual(int(model.optimizer.iterations), 0)

    def test_another_librarys_schedule_out_of_reach_stops_before_training(self):
        def foreign(step):
            return step % 5 == 0, 0.5 if step < 13 else 0.75

        model = wrapped(masked.Masked(weight_patterns.NM(1, 2)))
        pruning = callback_lib.PruneOnSchedule(foreign)
        with self.assertRaisesRegex(ValueError, "1:2.*0.75"):
            fit(model, [pruning], epochs=2)
        self.assertEqual(int(model.optimizer.iterations), 0)
        fit(model, [pruning], epochs=2, initial_epoch=1)
        self.assertEqual(wrapper_lib.sparsity(model), 0.5)

    def test_epochs_of_unknown_length(self):
        x, y = dataset()

        def batches():
            yield from ((x[i : i + 8], y[i : i + 8]) for i in range(0, 80, 8))

        pruning = callback_lib.PruneOnSchedule(
            schedule_lib.OneShot(0.5, begin="1 epoch")
        )
        with self.assertRaisesRegex(ValueError, "steps_per_epoch"):
            wrapped().fit(
                batches(), callbacks=[pruning], verbose=0, shuffle=False
            )


RESUMED = """
import os, signal, sys
import keras, numpy as np
from tfprune.callbacks import backup
from tfprune.callbacks import prune_on_schedule as callback
from tfprune_test.callbacks import prune_on_schedule_test as test

folder, result, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])


class Kill(keras.callbacks.Callback):
    steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


model = test.wrapped()
test.fit(
    model,
    [
        callback.PruneOnSchedule(test.RAMP),
        backup.Backup(folder),
        Kill(),
    ],
    epochs=4,
)
np.savez(result, *model.get_weights())
"""


class ResumeTest(parameterized.TestCase):
    def run_training(self, folder, result, kill_at=0):
        root = pathlib.Path(__file__).resolve().parents[2]
        return subprocess.run(
            [sys.executable, "-c", RESUMED, folder, result, str(kill_at)],
            cwd=root,
            env=dict(os.environ, PYTHONPATH=str(root)),
            capture_output=True,
            text=True,
            timeout=600,
        )

    @pytest.mark.slow  # Three processes that import the backend.
    def test_killed_and_resumed_training_ends_with_the_same_masks(self):
        temporary = self.create_tempdir().full_path
        whole, parts = (
            os.path.join(temporary, name) for name in ("whole.npz", "parts.npz")
        )
        folder = os.path.join(temporary, "backup")
        done = self.run_training(folder + "_whole", whole)
        self.assertEqual(done.returncode, 0, done.stderr)
        kill_at = random.SystemRandom().randrange(BATCHES + 1, 4 * BATCHES)
        killed = self.run_training(folder, parts, kill_at)
        self.assertEqual(killed.returncode, -signal.SIGKILL, killed.stderr)
        self.assertFalse(os.path.exists(parts))
        done = self.run_training(folder, parts)
        self.assertEqual(done.returncode, 0, done.stderr)
        with np.load(whole) as a, np.load(parts) as b:
            self.assertEqual(len(a.files), len(b.files))
            kinds = set()
            for name in a.files:
                kinds.add(a[name].dtype.kind)
                if a[name].dtype.kind in "bi":
                    np.testing.assert_array_equal(a[name], b[name], name)
                else:
                    np.testing.assert_allclose(a[name], b[name], rtol=1e-5)
        self.assertEqual(kinds, set("bif"))
