"""Backups that let training resume after a kill at any moment."""

import hashlib
import json
import numbers
import pathlib
import re
import shutil
import tempfile

import keras
import numpy as np
from absl import logging

from tfprune.core.files import atomic
from tfprune.core.files import locks
from tfprune.core.files import saved_size

# The file names of `keras.callbacks.BackupAndRestore`, which reads them back.
_WEIGHTS = "latest.weights.h5"
_METADATA = "training_metadata.json"
# Keras saves no seeds; without them dropout would repeat the masks of the first
# epoch.
_SEEDS = "seeds.npz"
_SUMS = "sha256.json"
_LOCK = "lock"
_NAME = re.compile(r"backup-(\d+)")


class Backup(keras.callbacks.Callback):
    """Backs up the training state, so that `fit` can resume after a kill.

    A replacement for `keras.callbacks.BackupAndRestore` with the same
    arguments. Keras overwrites its backup in place, so a process killed
    meanwhile leaves a file that no later run can read. This callback writes
    the new backup beside the last one, syncs it to disk and renames it.
    Backups hold checksums, verified before reading. A damaged backup is
    skipped with a warning: training resumes from the previous one, or starts
    over.

    A backup holds the weights, the optimizer, the seeds of layers, the epoch
    and the batch. Training resumes with the batch after it, where Keras trains
    again on the whole epoch. If the data come in the same order, training ends
    as if it had not been killed: pass `shuffle=False` to `fit`, and as `data`
    what is shuffled by seed and epoch, such as `tfprune.datasets.Batches`. The
    metrics of an epoch that was resumed are those of its remaining batches.

    List this callback after those that change weights, such as
    `PruneOnSchedule`. Only one training at a time can use the folder.

    Args:
        backup_dir: `str` or path-like, a folder used for nothing else,
            created if missing. A backup that Keras left there is read.
        save_freq: `"epoch"`, or an `int`, the batches between backups;
            `False` for none.
        double_checkpoint: `bool`, whether to keep the previous backup too,
            which takes twice the space.
        delete_checkpoint: `bool`, whether to delete the folder when training
            ends.
        data: what `fit` reads, if its order depends on its attribute `epoch`,
            which is set at the beginning of each epoch.

    Raises:
        RuntimeError: From `fit`, if another training uses the folder.
        ValueError: If `save_freq` is invalid or the model is not built; from
            `fit`, if the backup belongs to another model.

    Example:

    >>> backup = tfprune.callbacks.Backup("build/run1")
    >>> model.fit(x, y, shuffle=False, epochs=90, callbacks=[backup])
    """

    def __init__(
        self,
        backup_dir,
        save_freq="epoch",
        double_checkpoint=True,
        delete_checkpoint=True,
        data=None,
    ):
        super().__init__()
        if not str(backup_dir) or backup_dir is None:
            raise ValueError(
                "`backup_dir` must name a folder. Received: "
                f"backup_dir={backup_dir!r}."
            )
        is_number = isinstance(save_freq, numbers.Integral)
        if save_freq != "epoch" and (
            not is_number or save_freq is True or save_freq < 0
        ):
            raise ValueError(
                "`save_freq` must be 'epoch', a number of batches, or False. "
                f"Received: save_freq={save_freq!r}."
            )
        self.backup_dir = str(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self.data = data
        self._lock = None
        self._epoch = 0
        self._batch = -1
        self._unsaved = 0  # batches
        self._trained = 0  # batches of the first epoch, before the kill
        self._told = False  # the model, the epoch to begin with

    @property
    def _folder(self):
        return pathlib.Path(self.backup_dir)

    def on_train_begin(self, logs=None):
        if not self.model.built:
            raise ValueError(
                "A model must be built before its training is backed up. "
                f"Received: model={self.model.name!r}, which is not. Call it "
                "on a batch of data before `fit`."
            )
        atomic.make_folder(self._folder)
        # That of an interrupted training: closed later, it would take the new
        # one with it.
        self._release()
        self._lock = locks.take(
            self._folder / _LOCK,
            "Each training needs its own backup folder. Received: "
            f"backup_dir={self.backup_dir!r}, which another process uses. "
            "Wait for it, or name another folder.",
        )
        # No other training writes here, so these are of one that was killed.
        atomic.remove_parts(self._folder)
        self._epoch, self._batch, self._unsaved, self._trained = 0, -1, 0, 0
        found = self._newest_sound()
        if found is not None and self._restore(found):
            self._told = True
            metadata = json.loads((found / _METADATA).read_text())
            self._epoch = metadata["epoch"]
            # Of a backup that Keras left there are none.
            if (found / _SEEDS).exists():
                self._restore_seeds(found / _SEEDS)
                self._trained = metadata["batch"]

    def on_epoch_begin(self, epoch, logs=None):
        self._forget_epoch()
        if hasattr(self.data, "epoch"):
            self.data.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if batch < self._trained:
            _skip_once(self.model)

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        self._batch, self._trained = -1, 0
        if self.save_freq == "epoch" or self._is_due():
            self._save()

    def on_train_batch_end(self, batch, logs=None):
        if batch < self._trained:
            self._batch = batch
            return
        # With `steps_per_execution`, Keras does not report every batch.
        self._unsaved += batch - self._batch
        self._batch = batch
        # After the last batch, the end of the epoch is the better moment.
        if self._is_due() and batch + 1 != self.params.get("steps"):
            # During `fit`, the JAX trainer holds the state outside the model.
            synchronize = getattr(self.model, "jax_state_sync", None)
            if synchronize is not None:
                synchronize()
            self._save()

    def _is_due(self):
        by_batches = self.save_freq and self.save_freq != "epoch"
        return by_batches and self._unsaved >= self.save_freq

    def on_train_end(self, logs=None):
        self._forget_epoch()  # if there was no epoch left
        if self.delete_checkpoint:
            self.delete()
        self._release()

    def _release(self):
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def delete(self):
        """Deletes the backups, and the folder if nothing else is in it."""
        if not self._folder.exists():
            return
        # Oldest first: if interrupted, this leaves the latest state.
        for path in self._backups():
            shutil.rmtree(path)
        atomic.remove_parts(self._folder)
        for name in (_WEIGHTS, _METADATA, _LOCK):
            (self._folder / name).unlink(missing_ok=True)
        if not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _save(self):
        backups = self._backups()
        number = _number(backups[-1]) + 1 if backups else 0
        # HDF5 kills the process when the disk is full.
        atomic.check_room(self._folder, saved_size.saved_bytes(self.model))
        with atomic.new_folder(self._folder / f"backup-{number}") as part:
            self.model.save_weights(part / _WEIGHTS)
            metadata = {"epoch": self._epoch, "batch": self._batch + 1}
            (part / _METADATA).write_text(json.dumps(metadata))
            seeds = map(keras.ops.convert_to_numpy, _seeds(self.model))
            np.savez(part / _SEEDS, *seeds)
            sums = {path.name: _sum(path) for path in part.iterdir()}
            (part / _SUMS).write_text(json.dumps(sums))
        self._unsaved = 0
        for path in backups[:-1] if self.double_checkpoint else backups:
            shutil.rmtree(path)

    def _newest_sound(self):
        """The folder of the backup to resume from, `None` if there is none."""
        for path in reversed(self._backups()):
            if _is_sound(path):
                return path
            logging.warning(
                "The backup %s is damaged; training resumes from the previous "
                "one, or starts over.",
                path,
            )
            # Left here, it would later pass for the previous backup.
            shutil.rmtree(path)
        if (self._folder / _METADATA).exists():
            return self._folder  # Keras wrote it.
        return None

    def _restore(self, folder):
        """Restores a backup; returns whether it could be read."""
        try:
            self._read(folder)
        except (OSError, json.JSONDecodeError):
            if folder != self._folder:
                raise
            logging.warning(
                "The backup that Keras left in %s is damaged; training "
                "starts over.",
                folder,
            )
            for name in (_WEIGHTS, _METADATA):
                (folder / name).unlink(missing_ok=True)
            return False
        return True

    def _read(self, folder):
        # Only Keras's own callback can tell `fit` which epoch to begin with.
        reader = keras.callbacks.BackupAndRestore(
            str(folder), delete_checkpoint=False
        )
        reader.set_params(self.params)
        reader.set_model(self.model)
        reader.on_train_begin()

    def _forget_epoch(self):
        """Lets the model's next training begin with its own first epoch.

        Keras keeps the epoch that it was told, for each later call of `fit`.
        """
        if not self._told:
            return
        with tempfile.TemporaryDirectory() as folder:
            metadata = json.dumps({"epoch": 0, "batch": 0})
            pathlib.Path(folder, _METADATA).write_text(metadata)
            self._read(folder)
        self._told = False

    def _restore_seeds(self, path):
        with np.load(path) as arrays:
            seeds = _seeds(self.model)
            for variable, name in zip(seeds, arrays.files, strict=True):
                variable.assign(arrays[name])

    def _backups(self):
        """Folders of backups, oldest first."""
        found = [p for p in self._folder.glob("backup-*") if _number(p) >= 0]
        return sorted(found, key=_number)


def _skip_once(model):
    """Lets `fit` read the next batches without training on them.

    Only `fit` knows its iterator, and hands it to this one function.
    """
    train = model.train_function

    def skip(*arguments):
        model.train_function = train
        *state, batches = arguments  # the state on JAX
        if hasattr(batches, "__next__"):  # not on PyTorch, which has read them
            for _ in range(model.steps_per_execution):
                next(batches, None)
        return ({}, *state) if state else {}

    model.train_function = skip


def _seeds(model):
    """The variables that are not weights: the states of seed generators."""
    weights = {id(v) for v in model.weights}
    return [v for v in model.variables if id(v) not in weights]


def _number(path):
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else -1


def _is_sound(folder):
    try:
        sums = json.loads((folder / _SUMS).read_text())
        return bool(sums) and all(
            _sum(folder / name) == value for name, value in sums.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def _sum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
