"""Work in stages, each of which leaves a file and is not done again."""

import json
import os
import pathlib
import zlib

import keras
import numpy as np


class Stages:
    """The finished stages of one piece of work, in a folder.

    Each stage leaves the variables of a model, without those of its optimizer,
    and a record of the settings that they came from, which is written last.

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
        if self._folder is None or not self._record(name).exists():
            return False
        found = json.loads(self._record(name).read_text())
        if found != self._settings:
            differing = sorted(
                key
                for key in found.keys() | self._settings.keys()
                if found.get(key) != self._settings.get(key)
            )
            raise ValueError(
                "A folder must hold stages of the same settings. Received: "
                f"{str(self._folder)!r}, whose stage {name!r} differs in "
                f"{', '.join(differing)}. Choose another folder."
            )
        with np.load(self._weights(name)) as arrays:
            # Keras would load the state of an optimizer too, of which the
            # model may have another by now.
            for i, variable in enumerate(model.variables):
                variable.assign(arrays[str(i)])
        return True

    def save(self, name, model):
        """Leaves the variables of a stage that was found not to be finished.

        Args:
            name: `str`, of the stage.
            model: a `keras.Model`.
        """
        if self._folder is None:
            return
        part = self._folder / f".{name}.part.npz"
        arrays = [keras.ops.convert_to_numpy(v) for v in model.variables]
        with open(part, "wb") as file:
            np.savez(file, **{str(i): a for i, a in enumerate(arrays)})
        os.replace(part, self._weights(name))
        part = self._folder / f".{name}.part.json"
        part.write_text(json.dumps(self._settings, indent=2) + "\n")
        os.replace(part, self._record(name))

    def callbacks(self, name):
        """The callbacks that let a `fit` go on where it was stopped."""
        if self._folder is None:
            return []
        # Another folder for other settings: they are other trainings.
        settings = json.dumps(self._settings, sort_keys=True)
        digest = zlib.crc32(settings.encode())
        folder = self._folder / f"{name}-{digest:08x}"
        return [keras.callbacks.BackupAndRestore(folder)]

    def _record(self, name):
        return self._folder / f"{name}.json"

    def _weights(self, name):
        return self._folder / f"{name}.npz"


def _plain(settings):
    """The settings as they come back from a file."""
    return json.loads(json.dumps(settings))
