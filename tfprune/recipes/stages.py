"""Resumable work in stages: each finished stage is saved and not repeated."""

import hashlib
import io
import json
import pathlib
import zlib

import keras
import numpy as np
from absl import logging

from tfprune.callbacks import backup
from tfprune.core.files import atomic

# Key in a stage's record, beside its settings: checksum of its weights file.
_SUM = "sha256 of the weights"


class Stages:
    """Saves and restores the finished stages of one job in a folder.

    Each stage saves a model's variables, without those of its optimizer, and
    then a record of the settings that produced them. A stage with damaged
    files is run again.

    Args:
        folder: `str` or path-like, created if missing; `None` saves nothing.
        **settings: plain data that all stages depend on.

    Example:

    >>> stages = Stages("build/run", epochs=10)
    >>> if not stages.load("trained", model, rate=0.1):
    ...     backups = stages.callbacks("trained", data)
    ...     model.fit(data, epochs=10, shuffle=False, callbacks=backups)
    ...     stages.save("trained", model)
    """

    def __init__(self, folder, **settings):
        self._folder = None if folder is None else pathlib.Path(folder)
        self._settings = _plain(settings)
        if self._folder is not None:
            atomic.make_folder(self._folder)

    def load(self, name, model, **settings):
        """Loads the variables of a finished stage.

        Args:
            name: `str`, name of the stage.
            model: the `keras.Model` to load them into.
            **settings: plain data that this and later stages depend on.

        Returns:
            `bool`, whether the stage is finished.

        Raises:
            ValueError: If it was run with other settings.
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
        # Keras would also load the optimizer's state, but the model may have
        # a different optimizer by now.
        for variable, array in zip(model.variables, arrays, strict=True):
            if array.dtype.kind == "V":  # So numpy reads bfloat16.
                array = array.view(keras.ops.convert_to_numpy(variable).dtype)
            variable.assign(array)
        return True

    def save(self, name, model):
        """Saves the variables of a stage for which `load` returned `False`.

        Args:
            name: `str`, name of the stage.
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
        # Only now: a kill before this point needs the backup to resume.
        for finished in self.callbacks(name):
            finished.delete()

    def callbacks(self, name, data=None):
        """Returns the callbacks that let `fit` resume where it stopped.

        Args:
            name: `str`, name of the stage.
            data: as for `callbacks.Backup`.
        """
        if self._folder is None:
            return []
        # Other settings mean another training, and so another folder.
        settings = json.dumps(self._settings, sort_keys=True)
        digest = zlib.crc32(settings.encode())
        folder = self._folder / f"{name}-{digest:08x}"
        return [backup.Backup(folder, delete_checkpoint=False, data=data)]

    def _found(self, name):
        """The record of a finished stage, `None` if missing or damaged."""
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
            "The files of stage %r in %s are damaged; running it again.",
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
