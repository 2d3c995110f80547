"""Work in stages, each of which leaves a file and is not done again."""

import hashlib
import io
import json
import pathlib
import zlib

import keras
import numpy as np
from absl import logging

from tfprune.callbacks import backup
from tfprune.core import atomic

# In the record of a stage, beside its settings: of the file with its weights.
_SUM = "sha256 of the weights"


class Stages:
    """The finished stages of one piece of work, in a folder.

    Each stage leaves the variables of a model, without those of its optimizer,
    and a record of the settings that they came from, which is written last. A
    stage whose files are damaged is done again.

    Args:
        folder: `str` or path-like, made if it is missing; `None` to keep
            nothing.
        **settings: plain data, what all stages depend on.

    Example:

    >>> stages = Stages("build/run", epochs=10)
    >>> if not stages.load("trained", model, rate=0.1):
    ...     model.fit(data, epochs=10, callbacks=stages.callbacks("trained"))
    ...     stages.save("trained", model)
    """

    def __init__(self, folder, **settings):
        self._folder = None if folder is None else pathlib.Path(folder)
        self._settings = _plain(settings)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def load(self, name, model, **settings):
        """Takes the variables of a stage that is finished.

        Args:
            name: `str`, of the stage.
            model: a `keras.Model`, which gets them.
            **settings: plain data, what this stage and later ones depend on.

        Returns:
            `bool`, whether the stage is finished.

        Raises:
            ValueError: If it was done with other settings.
        """
        self._settings = {**self._settings, **_plain(settings)}
        found = self._found(name)
        if found is None:
            return False
        settings = {k: v for k, v in found.items() if k != _SUM}
        if settings != self._settings:
            differing = sorted(
                key
                for key in settings.keys() | self._settings.keys()
                if settings.get(key) != self._settings.get(key)
            )
            raise ValueError(
                "A folder must hold stages of the same settings. Received: "
                f"{str(self._folder)!r}, whose stage {name!r} differs in "
                f"{', '.join(differing)}. Choose another folder."
            )
        arrays = self._arrays(name, found.get(_SUM))
        if arrays is None:
            return False
        # Keras would load the state of an optimizer too, of which the model
        # may have another by now.
        for variable, array in zip(model.variables, arrays, strict=True):
            variable.assign(array)
        return True

    def save(self, name, model):
        """Leaves the variables of a stage that was found not to be finished.

        Args:
            name: `str`, of the stage.
            model: a `keras.Model`.
        """
        if self._folder is None:
            return
        arrays = [keras.ops.convert_to_numpy(v) for v in model.variables]
        buffer = io.BytesIO()
        np.savez(buffer, **{str(i): a for i, a in enumerate(arrays)})
        data = buffer.getvalue()
        atomic.write({self._weights(name): data})
        record = {**self._settings, _SUM: hashlib.sha256(data).hexdigest()}
        text = json.dumps(record, indent=2) + "\n"
        atomic.write({self._record(name): text.encode()})
        # Until now a kill would have lost the training with its backup.
        for finished in self.callbacks(name):
            finished.delete()

    def callbacks(self, name):
        """The callbacks that let a `fit` go on where it was stopped."""
        if self._folder is None:
            return []
        # Another folder for other settings: they are other trainings.
        settings = json.dumps(self._settings, sort_keys=True)
        digest = zlib.crc32(settings.encode())
        folder = self._folder / f"{name}-{digest:08x}"
        return [backup.Backup(folder, delete_checkpoint=False)]

    def _found(self, name):
        """The record of a finished stage, `None` without a sound one."""
        if self._folder is None:
            return None
        try:
            found = json.loads(self._record(name).read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self._warn(name)
            return None
        return found

    def _arrays(self, name, digest):
        """The variables of a stage in order, `None` if they are damaged."""
        try:
            data = self._weights(name).read_bytes()
        except FileNotFoundError:
            data = b""
        # Earlier versions kept no sum.
        if digest not in (None, hashlib.sha256(data).hexdigest()) or not data:
            self._warn(name)
            return None
        with np.load(io.BytesIO(data)) as arrays:
            return [arrays[str(i)] for i in range(len(arrays.files))]

    def _warn(self, name):
        logging.warning(
            "The files of the stage %r in %s are damaged; it is done again.",
            name,
            self._folder,
        )

    def _record(self, name):
        return self._folder / f"{name}.json"

    def _weights(self, name):
        return self._folder / f"{name}.npz"


def _plain(settings):
    """The settings as they come back from a file."""
    return json.loads(json.dumps(settings))
