"""Data of files, of folders of images and of TensorFlow Datasets."""

import pathlib

import keras
import numpy as np

from tfprune.core import packages
from tfprune.core.files import array_files
from tfprune.datasets import class_indices
from tfprune.datasets import label_checks
from tfprune.datasets import outputs as outputs_lib

TFDS = "tfds:"
_BUFFER = 10_000  # Samples that are shuffled at a time.
_ARRAYS = (".npz", ".npy")
_WEIGHTS = "sample_weight"
# What the arrays of a file are called that holds several splits.
_SPLITS = {
    "training": ("train",),
    "validation": ("val", "valid", "validation", "test"),
}


def opened(
    text, purpose, model, label_mode, batch_size, seed, keeps_labels=False
):
    """What a `str` stands for: arrays, or batches.

    Args:
        text: `str`, as for `sources.Source`; so are the others.
    """
    classes = None
    is_one = label_mode == "categorical" and len(model.outputs) == 1
    if is_one and not keeps_labels:
        classes = model.outputs[0].shape[-1]
    if text.startswith(TFDS):
        name = text[len(TFDS) :]
        return _from_tfds(name, purpose, classes, batch_size, seed)
    path = pathlib.Path(text)
    if path.is_dir():
        return _images(path, purpose, model, label_mode, batch_size, seed)
    if not path.is_file():
        raise FileNotFoundError(
            f"Data for {purpose} must be an existing file, a folder of "
            f"images or {TFDS}NAME:SPLIT. Received: {text!r}."
        )
    if path.suffix not in _ARRAYS:
        raise ValueError(
            f"Data for {purpose} must be a file that ends in "
            f"{' or '.join(_ARRAYS)}, a folder of images or "
            f"{TFDS}NAME:SPLIT. Received: {text!r}."
        )
    found = array_files.read(path)
    if isinstance(found, dict):
        x, y, weights = _named(found, text, purpose)
        return x, _rows(y, classes, purpose), weights
    return found


def _rows(y, classes, purpose):
    """Labels as a loss reads them that wants a row for each sample.

    Args:
        y: the labels of a file.
        classes: `int`, or `None` for a loss that reads labels as they are.
        purpose: as for `opened`.

    Returns:
        One-hot rows for class indices; other labels unchanged.
    """
    if (
        classes is None
        or getattr(y, "ndim", 0) != 1
        or y.dtype.kind not in "iu"
    ):
        return y
    sparse = keras.losses.get("sparse_categorical_crossentropy")
    output = outputs_lib.Output(None, (None, classes), sparse)
    label_checks.check(y, [output], purpose, 0)
    return np.eye(classes, dtype="float32")[y]


def _named(arrays, text, purpose):
    """`(x, y, weights)` of the arrays of a file, by their names."""
    arrays = _of_split(arrays, text, purpose)
    x, y, weights, rest = array_files.samples(arrays)
    if x is None or rest:
        others = f", besides {', '.join(rest)}" if x is not None else ""
        raise ValueError(
            "A file of data must hold x and y (x_NAME and y_NAME for several "
            "inputs and outputs) and, if wanted, sample_weight. Received: "
            f"{text!r} for {purpose}, which has "
            f"{'these' if x is not None else 'no x'}{others}."
        )
    return x, y, weights


def _of_split(arrays, text, purpose):
    """The arrays of one split, if a file has `x_train`, `x_test` and so on."""
    splits = {n.partition("_")[2] for n in arrays if n.startswith("x_")}
    known = {n for s in _SPLITS.values() for n in s}
    if not splits or not splits <= known:
        return arrays
    for split in _SPLITS[purpose]:
        if split in splits:
            end = f"_{split}"
            found = {
                name.removesuffix(end): array
                for name, array in arrays.items()
                if name.endswith(end)
            }
            if purpose == "training" and _WEIGHTS in arrays:
                found.setdefault(_WEIGHTS, arrays[_WEIGHTS])
            return found
    if purpose == "training" and "x" in arrays:
        # Beside another split, x and y are for training.
        return {
            name: array
            for name, array in arrays.items()
            if name.rpartition("_")[2] not in known
        }
    wanted = " or ".join(f"x_{split}" for split in _SPLITS[purpose])
    raise ValueError(
        f"A file of several splits must hold one for {purpose}: {wanted}. "
        f"Received: {text!r}, which has {', '.join(arrays)}."
    )


def _from_tfds(name, purpose, classes, batch_size, seed):
    name, _, split = name.partition(":")
    if not split:
        split = "train" if purpose == "training" else "test"
    tfds = packages.load("tensorflow_datasets", "data", f"Reading {TFDS}{name}")
    try:
        data, info = tfds.load(
            name,
            split=split,
            as_supervised=True,
            download=False,
            shuffle_files=False,
            with_info=True,
        )
    except AssertionError as error:
        raise FileNotFoundError(
            "A prepared data set is required. Received: "
            f"{TFDS}{name}:{split} for {purpose}, which is not in "
            "$TFDS_DATA_DIR or ~/tensorflow_datasets. Prepare it with "
            f"`tfds build {name}`."
        ) from error
    label = info.features[info.supervised_keys[1]]
    if classes is not None and isinstance(label, tfds.features.ClassLabel):
        data = class_indices.rows(
            data, label.num_classes, classes, f"{TFDS}{name}"
        )
    if purpose == "training":
        data = data.shuffle(_BUFFER, seed)
    return data.batch(batch_size).prefetch(2)


def _images(path, purpose, model, label_mode, batch_size, seed):
    """A folder of images with a folder for each class."""
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or len(shape) != 3 or None in shape:
        raise ValueError(
            "A folder of images is for a model with one input of shape "
            f"(height, width, channels). Received: {str(path)!r} for inputs "
            f"of shape {[tuple(t.shape[1:]) for t in model.inputs]}."
        )
    modes = {1: "grayscale", 3: "rgb", 4: "rgba"}
    if shape[-1] not in modes:
        raise ValueError(
            "Images have 1, 3 or 4 channels. Received: a model that reads "
            f"{shape[-1]}."
        )
    found = keras.utils.image_dataset_from_directory(
        path,
        labels="inferred",
        label_mode=label_mode,
        color_mode=modes[shape[-1]],
        image_size=shape[:2],
        batch_size=batch_size,
        shuffle=purpose == "training",
        seed=seed,
        verbose=False,
    )
    _, *scores = model.outputs[0].shape
    if label_mode == "int" and scores != [len(found.class_names)]:
        raise ValueError(
            "There must be a folder of images for each class, as classes are "
            "numbered in the order of their folders. Received: "
            f"{str(path)!r} for {purpose} with {len(found.class_names)} "
            f"({', '.join(found.class_names[:5])}), for a model with outputs "
            f"of shape {tuple(scores)}. One of a class without images may be "
            "empty."
        )
    return found
