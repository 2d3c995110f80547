"""Opens model files of Keras 3, of Keras 2 and of Keras 1."""

import contextlib
import pathlib
import shutil
import warnings
import zipfile

import keras
from absl import logging

from tfprune.core import typed
from tfprune.core.files import damage
from tfprune.core.files import leftovers
from tfprune.legacy import building
from tfprune.legacy import compiling
from tfprune.legacy import limits
from tfprune.legacy.formats import archives
from tfprune.legacy.formats import hdf5_files
from tfprune.legacy.formats import saved_models
from tfprune.legacy.layers import quantized

_RANGES = (
    "the ranges of its training for int8 are those of "
    "tfprune.quantization_ranges(path), for export_tflite(ranges=)"
)


def load_model(
    path: typed.Path,
    allow_lambda: bool = False,
    custom_objects: dict | None = None,
    isolated: bool = False,
) -> keras.Model:
    """Loads a model from a file of Keras 3, Keras 2 or Keras 1.

    Models of Keras 1 or 2 are translated to Keras 3 models with the same
    outputs: removed layers are built from others, and TensorFlow functions
    become Keras ops. A warning lists the translations. The model is compiled
    if its optimizer, loss and metrics can be read; the optimizer's state is
    not restored.

    Before it is opened, the file is inspected in a process with limits on time
    and memory, so that a damaged file cannot stop this one.

    Args:
        path: `str` or `pathlib.Path`, a `.keras`, `.h5` or `.hdf5` file, or
            the folder of a SavedModel written by Keras 2. The format is
            detected from the contents, not from the extension.
        allow_lambda: `bool`, whether code in the file (of a Lambda layer) may
            run. Only for files that you trust.
        custom_objects: `dict` from names to custom classes and functions, as
            for `keras.saving.load_model`.
        isolated: `bool`, whether a child process with limits on time and
            memory opens the file and rewrites it for this one; for untrusted
            files. Takes seconds.

    Returns:
        A `keras.Model`.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If `isolated` is combined with code or custom objects; if
            the file has no model or is damaged; or if a layer, a function or
            a setting has no counterpart, which the message names.

    Example:

    >>> model = tfprune.load_model("old.h5")
    """
    path = _existing(path)
    if isolated:
        if allow_lambda or custom_objects:
            raise ValueError(
                "A file opened in isolation must not run code. Received:"
                f" allow_lambda={allow_lambda!r}, custom_objects="
                f"{custom_objects!r}. Drop these arguments, or `isolated`."
            )
        with leftovers.folder() as folder:
            return _new(limits.rewritten(path, folder), allow_lambda)
    _check_limits(path)
    with damage.reading(path), scope(custom_objects):
        contents = _old(path)
        if contents is not None:
            return _translated(path, contents, allow_lambda)
        return _new(path, allow_lambda)


def scope(custom_objects):
    """A scope of a caller's classes and functions, a context manager.

    Without any, that which the caller is in holds; Keras would leave it.
    """
    if custom_objects:
        return keras.saving.custom_object_scope(custom_objects)
    return contextlib.nullcontext()


def ranges(path, allow_lambda=False):
    """Ranges of outputs from quantization-aware training.

    Args:
        path, allow_lambda: as for `load_model`.

    Returns:
        `dict` from the names of layers to `(low, high)`; empty without them.
    """
    path = _existing(path)
    _check_limits(path)
    with damage.reading(path):
        contents = _old(path)
        if contents is None:
            return {}
        return _built(path, contents, allow_lambda)[2]


def _existing(path):
    path = pathlib.Path(path)
    if not path.exists():
        raise FileNotFoundError(
            "A model file is required. Received: "
            f"path={str(path)!r}, which does not exist."
        )
    return path


def _check_limits(path):
    """Checks that a file is one of a model, and can be read within limits."""
    if path.is_file():
        if not hdf5_files.is_hdf5(path) and not zipfile.is_zipfile(path):
            raise damage.error(
                path, "it is neither an HDF5 file nor a .keras archive"
            )
        limits.check(path)
    elif (path / "variables").is_dir():
        limits.check_folder(path)


def _old(path):
    """The contents of a file of Keras 1 or 2, `None` of another."""
    if path.is_dir():
        return saved_models.read(path)
    if hdf5_files.is_hdf5(path):
        old = hdf5_files.h5_version(path).partition(".")[0] in ("1", "2")
        return hdf5_files.read_h5(path) if old else None
    if zipfile.is_zipfile(path):
        return archives.read(path)
    return None


def _new(path, allow_lambda):
    endings = (".h5", ".hdf5") if hdf5_files.is_hdf5(path) else (".keras",)
    if path.suffix in endings:
        return _any(path, allow_lambda)
    # Keras detects the format by the file extension.
    with leftovers.folder() as folder:
        copy = pathlib.Path(folder, f"{path.stem}{endings[0]}")
        shutil.copyfile(path, copy)
        return _any(copy, allow_lambda)


def _any(path, allow_lambda):
    try:
        return _load(path, allow_lambda, compiled=True)
    except (OSError, TypeError, ValueError) as error:
        reason = error
    model = _load(path, allow_lambda, compiled=False)
    training = hdf5_files.training(path) if path.suffix != ".keras" else None
    if training:
        # Keras reads no short names, such as "mse", that it wrote there.
        lost = compiling.compile_as_before(model, training)
        reason = "; ".join(lost)
    if reason:
        logging.info("%s is not compiled as it was: %s", path, reason)
    return model


def _load(path, allow_lambda, compiled):
    with warnings.catch_warnings(), _without_word_of_metrics():
        # The optimizer's state does not fit a pruned model anyway.
        warnings.filterwarnings("ignore", "Skipping variable loading for opt")
        return keras.saving.load_model(
            path, compile=compiled, safe_mode=not allow_lambda
        )


@contextlib.contextmanager
def _without_word_of_metrics():
    """Keeps Keras from telling of each .h5 file that metrics come later."""

    def heed(record):
        return "compiled metrics have yet to be built" not in record.msg

    logger = logging.get_absl_logger()
    logger.addFilter(heed)
    try:
        yield
    finally:
        logger.removeFilter(heed)


def _built(path, contents, allow_lambda):
    """`(model, notes, ranges, ends)` of a file of Keras 1 or 2."""
    builder = building.Builder(
        safe_mode=not allow_lambda,
        version=contents.version,
        backend=contents.backend,
    )
    found = builder.model(contents.entry)
    (model,) = found.layers
    weights, ranges_of_outputs = quantized.split(
        contents.weights, builder.rounded
    )
    if isinstance(weights, dict):
        found.assign_by_layer(weights)
    else:
        found.assign_in_order(weights, inside=path.is_file())
    notes = builder.notes
    if ranges_of_outputs:
        notes.insert(0, _RANGES)
    return model, notes, ranges_of_outputs, found.ends


def _translated(path, contents, allow_lambda):
    model, notes, _, ends = _built(path, contents, allow_lambda)
    if contents.training:
        # Before the others, of which a warning has only the first.
        lost = compiling.compile_as_before(model, contents.training, ends)
        notes[:0] = lost
    notes = list(dict.fromkeys(notes))
    if notes:
        more = f"; and {len(notes) - 20} more" if len(notes) > 20 else ""
        major = contents.version.partition(".")[0]
        warnings.warn(
            f"{path.name} was written by Keras {major} and is translated: "
            f"{'; '.join(notes[:20])}{more}.",
            stacklevel=3,
        )
    return model
