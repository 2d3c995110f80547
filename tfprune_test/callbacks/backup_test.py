"""Training goes on from a backup, whatever a kill left of it."""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from unittest import mock

import keras
import numpy as np
import pytest
from absl.testing import parameterized

from tfprune.callbacks import backup as backup_lib
from tfprune.core.files import locks
from tfprune.datasets import samples

pytestmark = pytest.mark.any_backend


def net():
    """A network with dropout, whose seed is a part of the state."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=False)
    return model


class Stop(keras.callbacks.Callback):
    """Stops as a kill would, at the end of an epoch or of a batch."""

    def __init__(self, epoch=None, batch=None):
        super().__init__()
        self.at = epoch, batch
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        if self.at == (self.epochs[-1], batch):
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if self.at == (epoch, None):
            raise KeyboardInterrupt


@functools.cache
def unbroken():
    return fit([])


def fit(callbacks, epochs=3, model=None):
    model = net() if model is None else model
    x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
    options = {"batch_size": 8, "shuffle": False, "verbose": 0}
    y = x[:, :1]
    with contextlib.suppress(KeyboardInterrupt):
        model.fit(x, y, epochs=epochs, callbacks=callbacks, **options)
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


class BackupTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.create_tempdir(), "run")

    def names(self):
        return sorted(p.name for p in self.folder.glob("backup-*"))

    def assert_same(self, one, other):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)

    def resumed(self, first_epoch):
        """Trains on, and compares with training that was never stopped."""
        stop = Stop()
        found = fit([backup_lib.Backup(self.folder), stop])
        self.assertEqual(stop.epochs, list(range(first_epoch, 3)))
        self.assert_same(found, unbroken())
        self.assertFalse(self.folder.exists())

    def test_training_goes_on_as_if_it_had_not_stopped(self):
        fit([backup_lib.Backup(self.folder), Stop(epoch=1)])
        self.assertEqual(self.names(), ["backup-0", "backup-1"])
        self.resumed(first_epoch=2)

    @parameterized.parameters(True, False)
    def test_the_next_training_does_not_skip_epochs(self, killed):
        fit([backup_lib.Backup(self.folder), Stop(epoch=0)])
        model, resumed = net(), Stop(epoch=1 if killed else None)
        fit([backup_lib.Backup(self.folder), resumed], model=model)
        self.assertEqual(resumed.epochs[0], 1)
        after = Stop()
        fit([after], epochs=2, model=model)
        self.assertEqual(after.epochs, [0, 1])

    @parameterized.parameters(
        "latest.weights.h5", "training_metadata.json", "sha256.json"
    )
    def test_a_damaged_backup_falls_back_to_the_one_before(self, name):
        fit([backup_lib.Backup(self.folder), Stop(epoch=1)])
        path = self.folder / "backup-1" / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with self.assertLogs("absl", "WARNING") as logs:
            self.resumed(first_epoch=1)
        self.assertIn("backup-1 is damaged", logs.output[0])

    @pytest.mark.slow  # Trains twice.
    def test_without_a_sound_backup_training_begins_anew(self):
        fit([backup_lib.Backup(self.folder), Stop(epoch=1)])
        for name in self.names():
            os.truncate(self.folder / name / "latest.weights.h5", 100)
        with self.assertLogs("absl", "WARNING"):
            self.resumed(first_epoch=0)

    @parameterized.parameters("fsync", "rename")
    def test_what_was_being_written_is_not_read(self, step):
        fit([backup_lib.Backup(self.folder), Stop(epoch=0)])

        # A kill leaves the part as it is.
        with (
            mock.patch.object(os, step, side_effect=KeyboardInterrupt),
            mock.patch.object(shutil, "rmtree"),
        ):
            fit([backup_lib.Backup(self.folder)])
        self.assertLen(list(self.folder.glob(".tfprune-*.part")), 1)
        self.assertEqual(self.names(), ["backup-0"])
        self.resumed(first_epoch=1)

    def test_a_full_disk_is_an_error_and_the_last_backup_stays(self):
        fit([backup_lib.Backup(self.folder), Stop(epoch=0)])
        full = OSError(28, "No space left on device")
        with mock.patch.object(os, "posix_fallocate", side_effect=full):
            with self.assertRaisesRegex(OSError, "needs free"):
                fit([backup_lib.Backup(self.folder)])
        self.assertEqual(self.names(), ["backup-0"])
        self.resumed(first_epoch=1)

    def test_data_are_in_the_order_of_the_epoch(self):
        x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")

        def shuffled(folder, *callbacks):
            data = samples.for_fit((x, x[:, :1]), 8)
            model = net()
            backup = backup_lib.Backup(folder, data=data)
            with contextlib.suppress(KeyboardInterrupt):
                model.fit(
                    data,
                    epochs=3,
                    shuffle=False,
                    verbose=0,
                    callbacks=[backup, *callbacks],
                )
            return model.get_weights()

        wanted = shuffled(self.folder)
        shuffled(self.folder, Stop(epoch=1))
        self.assert_same(shuffled(self.folder), wanted)

    def test_batches_between_backups(self):
        stopped = Stop(epoch=1, batch=1)
        # Batches 2, 4 and, of the second epoch, 5 of 3 an epoch.
        fit([backup_lib.Backup(self.folder, save_freq=2), stopped])
        self.assertEqual(self.names(), ["backup-0", "backup-1"])
        stop = Stop()
        found = fit([backup_lib.Backup(self.folder, save_freq=2), stop])
        self.assertEqual(stop.epochs, [1, 2])
        # The batch before the backup is not trained on again.
        self.assert_same(found, unbroken())

    @parameterized.parameters(1, 2, 3, 5)
    @pytest.mark.slow  # Below: a mark above parameters is lost.
    def test_training_goes_on_after_any_batch(self, save_freq):
        for epoch, batch in ((0, 0), (0, 2), (1, 1), (2, None)):
            with self.subTest(epoch=epoch, batch=batch):
                backup = functools.partial(
                    backup_lib.Backup, self.folder, save_freq=save_freq
                )
                fit([backup(), Stop(epoch, batch)])
                self.assert_same(fit([backup()]), unbroken())
                self.assertFalse(self.folder.exists())

    @pytest.mark.slow
    def test_training_that_takes_several_batches_at_a_time(self):
        def model():
            made = net()
            made.compile(
                keras.optimizers.Adam(0.1),
                "mse",
                steps_per_execution=2,
                jit_compile=False,
            )
            return made

        backup = functools.partial(backup_lib.Backup, self.folder, save_freq=1)
        fit([backup(), Stop(1, 1)], model=model())
        found = fit([backup()], model=model())
        self.assert_same(found, fit([], model=model()))

    def test_one_backup_is_kept_if_that_is_wished(self):
        once = backup_lib.Backup(self.folder, double_checkpoint=False)
        fit([once, Stop(epoch=1)])
        self.assertEqual(self.names(), ["backup-1"])

    def test_the_last_backup_stays_if_that_is_wished(self):
        options = {"delete_checkpoint": False}
        found = fit([backup_lib.Backup(self.folder, **options)])
        self.assertEqual(self.names(), ["backup-1", "backup-2"])
        stop = Stop()
        again = backup_lib.Backup(self.folder, **options)
        self.assert_same(fit([again, stop]), found)
        self.assertEmpty(stop.epochs)
        (self.folder / "notes.txt").touch()
        again.delete()
        self.assertEqual(os.listdir(self.folder), ["notes.txt"])

    @pytest.mark.slow  # Trains twice.
    def test_a_backup_that_keras_left_is_read(self):
        keras_backup = keras.callbacks.BackupAndRestore(str(self.folder))
        model = net()
        left = fit([keras_backup, Stop(epoch=2)], model=model)
        stop = Stop()
        found = fit([backup_lib.Backup(self.folder), stop])
        self.assertEmpty(stop.epochs)
        for variable, a, b in zip(model.variables, left, found, strict=True):
            if "seed" not in variable.path:
                np.testing.assert_array_equal(a, b)

    def test_a_damaged_one_that_keras_left_is_passed_over(self):
        keras_backup = keras.callbacks.BackupAndRestore(str(self.folder))
        fit([keras_backup, Stop(epoch=1)])
        os.truncate(self.folder / "latest.weights.h5", 1000)
        with self.assertLogs("absl", "WARNING"):
            self.resumed(first_epoch=0)

    @pytest.mark.slow  # Trains twice.
    def test_two_trainings_do_not_share_a_folder(self):
        self.folder.mkdir()
        script = (
            "import sys, time\n"
            "from tfprune.core.files import locks\n"
            "lock = locks.take(sys.argv[1], 'taken')\n"
            "print('has it', flush=True)\n"
            "time.sleep(60)\n"
        )
        command = [sys.executable, "-c", script, str(self.folder / "lock")]
        root = pathlib.Path(backup_lib.__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env=environment
        ) as other:
            other.stdout.readline()
            with self.assertRaisesRegex(RuntimeError, "another process uses"):
                fit([backup_lib.Backup(self.folder)])
            other.send_signal(signal.SIGKILL)
        fit([backup_lib.Backup(self.folder)])
        self.assertFalse(self.folder.exists())

    @pytest.mark.skipif(locks.fcntl is None, reason="needs locks of POSIX")
    def test_a_training_after_an_interrupted_one_has_the_folder(self):
        backup = backup_lib.Backup(self.folder)
        backup.set_model(net())
        for _ in range(2):  # The first one does not end.
            backup.on_train_begin()
        script = (
            "import fcntl, sys\n"
            "with open(sys.argv[1], 'r+') as file:\n"
            "    try:\n"
            "        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "    except OSError:\n"
            "        print('taken')\n"
        )
        found = subprocess.run(
            [sys.executable, "-c", script, str(self.folder / "lock")],
            capture_output=True,
            check=True,
        )
        self.assertEqual(found.stdout.split(), [b"taken"])

    def test_a_lock_is_taken_and_released(self):
        self.folder.mkdir()
        lock = locks.take(self.folder / "lock", "taken")
        lock.release()
        lock.release()
        locks.take(self.folder / "lock", "taken").release()

    def test_what_cannot_be_is_refused(self):
        for options, message in (
            ({"backup_dir": ""}, "name a folder"),
            ({"backup_dir": "a", "save_freq": "batch"}, "save_freq='batch'"),
            ({"backup_dir": "a", "save_freq": -1}, "save_freq=-1"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                backup_lib.Backup(**options)
        unbuilt = keras.Sequential([keras.layers.Dense(1)])
        backup = backup_lib.Backup(self.folder)
        backup.set_model(unbuilt)
        with self.assertRaisesRegex(ValueError, "must be built"):
            backup.on_train_begin()
