"""Data sets as arrays, and their batches as `tf.data`.

Functions import TensorFlow only if they need it: digits and `.npz` files load
without it.
"""

import dataclasses
import os
import pathlib

import numpy as np

from tfprune.core import registry
from tfprune.core.files import array_files
from tfprune.datasets import batches

datasets = registry.Registry("data set")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes:
        name: The name it was loaded by.
        train: `batches.Split` for training.
        val: `batches.Split` for model selection, or `None`.
        test: `batches.Split` for the final report, to be used once.
        class_names: One `str` per class, in the order of the labels.
        preprocessing: `batches.Preprocessing` from these arrays to the inputs
            of a network trained on them.
        augmentation: `batches.Augmentation` that suits the images.
    """

    name: str
    train: batches.Split
    val: batches.Split | None
    test: batches.Split
    class_names: tuple[str, ...]
    preprocessing: batches.Preprocessing
    augmentation: batches.Augmentation

    @property
    def shape(self):
        """`(H, W, C)` of one image."""
        return self.test.x.shape[1:]

    @property
    def classes(self):
        """The number of classes."""
        return len(self.class_names)


def names():
    """Returns the names that `load` accepts, sorted."""
    return datasets.names()


def load(name, data_dir=None, seed=0, validation="held_out", download=False):
    """Loads a data set into memory.

    `"digits"` (1,797 handwritten digits of scikit-learn, 8x8) needs no
    files. `"cifar10"`, `"cifar100"` and `"minicifar"` (four classes of
    CIFAR-10, a fifth of the training images) are read from `data_dir`:
    from `cifar10.npz` or `cifar100.npz` with the arrays x_train, y_train,
    x_test and y_test in the official order, which needs numpy alone, or
    from a folder prepared by tensorflow_datasets.

    Args:
        name: One of `names()`.
        data_dir: A folder; by default `$TFDS_DATA_DIR`, else
            `~/tensorflow_datasets`.
        seed: Seed that selects the held-out images.
        validation: Source of `val`. `"held_out"`: a tenth of each class,
            removed from `train` (MiniCIFAR: 200 per class that its recipe
            does not use). `"none"`: no validation images. `"course"`,
            MiniCIFAR only: the 800 images of the course, which are also in
            `test`, so selecting by them leaks test data.
        download: Whether tensorflow_datasets may download missing data.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If name or validation is unknown, or the files found
            are not this data set.
        FileNotFoundError: If the data set is not in `data_dir`.
        ImportError: If scikit-learn or tensorflow_datasets is missing.

    Example:

    >>> digits = load("digits")
    >>> digits.shape, digits.classes
    ((8, 8, 1), 10)
    """
    return datasets.get(name)(data_dir, seed, validation, download)


def tf_batches(split, batch_size, preprocessing, augmentation=None, seed=None):
    """`batches.Batches` as a `tf.data.Dataset`, in TensorFlow's threads.

    Args and raises as `batches.Batches`. Order and augmentation are
    reproducible by seed, but differ from those of `Batches`.

    Returns:
        A `tf.data.Dataset` of float32 images and labels; each iteration over
        it is an epoch with its own random draws.
    """
    import tensorflow as tf

    batches.check(split, batch_size, augmentation, seed)
    with tf.device("CPU"):
        x, y = tf.constant(split.x), tf.constant(split.y)
    factor, shift = preprocessing.affine

    def gather(chosen, draw=None):
        images = tf.gather(x, chosen)
        if draw is not None:
            images = _tf_augment(images, augmentation, draw)
        return tf.cast(images, "float32") * factor - shift, tf.gather(y, chosen)

    order = tf.data.Dataset.range(len(split))
    if seed is not None:
        order = order.shuffle(len(split), seed=seed)
    order = order.batch(batch_size)
    if augmentation is not None:
        draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
        order = tf.data.Dataset.zip(order, draws.batch(2))
    return order.map(gather, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _tf_augment(images, augmentation, draw):
    """`augmentation(images)` in TensorFlow; `draw` is a seed of two int64."""
    import tensorflow as tf

    count, height, width = tf.unstack(tf.shape(images)[:3])
    pad = augmentation.padding
    shifts = tf.random.stateless_uniform(
        (2, count), draw, maxval=2 * pad + 1, dtype="int32"
    )
    rows = tf.range(height)[None] + shifts[0][:, None]
    columns = tf.range(width)[None] + shifts[1][:, None]
    if augmentation.flip:
        mirrored = tf.random.stateless_uniform((count,), draw + 1) < 0.5
        columns = tf.where(mirrored[:, None], columns[:, ::-1], columns)
    padded = tf.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    cropped = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(cropped, columns, axis=2, batch_dims=1)


def minicifar_indices(labels, reduction, held_out=False):
    """Returns the indices of MiniCIFAR's images in CIFAR-10, class by class.

    All four classes use the same random positions.

    Args:
        labels: `(N,)` labels of CIFAR-10 in its official order.
        reduction: Selects one in `reduction` images of a class.
        held_out: Whether to select instead a fifth as many images that come
            next in the draw.

    Returns:
        Indices into `labels`, in the order of the draw.

    Raises:
        ValueError: If the four classes differ in size.
    """
    sizes = np.bincount(labels, minlength=4)[:4]
    if sizes.min() != sizes.max():
        raise ValueError(
            "MiniCIFAR needs classes of equal size. "
            f"Received: {sizes.tolist()} images of classes 0 to 3."
        )
    # Starts with the same indices as `RandomState.choice` without replacement.
    drawn = np.random.RandomState(42).permutation(sizes[0])
    count = sizes[0] // reduction
    positions = drawn[:count]
    if held_out:
        positions = drawn[count : count + count // 5]
    return np.concatenate(
        [np.flatnonzero(labels == label)[positions] for label in range(4)]
    )


def _check(validation, *known):
    if validation not in known:
        raise ValueError(
            f"`validation` must be one of {', '.join(known)}. "
            f"Received: validation={validation!r}."
        )


def _with_validation(train, seed, validation):
    """`(train, val)` for a data set without its own recipe."""
    if validation == "none":
        return train, None
    return train.hold_out(0.1, seed)


@datasets.register("digits")
def _digits(data_dir, seed, validation, download):
    del data_dir, download
    _check(validation, "held_out", "none")
    try:
        from sklearn import datasets as sklearn_datasets
    except ImportError as error:
        raise ImportError(
            "The digits come with scikit-learn. "
            "Install it: pip install tfprune[data]"
        ) from error
    bunch = sklearn_datasets.load_digits()
    images = (bunch.images[..., None] / 16).astype("float32")
    digits = batches.Split(images, bunch.target.astype("int64"))
    rest, test = digits.hold_out(0.2, seed=0)
    return Dataset(
        "digits",
        *_with_validation(rest, seed, validation),
        test,
        tuple(str(name) for name in bunch.target_names),
        batches.Preprocessing(),
        batches.Augmentation(padding=1, flip=False),
    )


def _register_cifar(name, class_names):
    @datasets.register(name)
    def load_cifar(data_dir, seed, validation, download):
        _check(validation, "held_out", "none")
        train, test = _read_cifar(name, data_dir, download)
        train, val = _with_validation(train, seed, validation)
        return _cifar(name, train, val, test, class_names)


@datasets.register("minicifar")
def _minicifar(data_dir, seed, validation, download):
    del seed
    _check(validation, "held_out", "none", "course")
    train, test = _read_cifar("cifar10", data_dir, download)
    val = None
    if validation == "held_out":
        val = train.take(minicifar_indices(train.y, 5, held_out=True))
    elif validation == "course":
        val = test.take(minicifar_indices(test.y, 5))
    train = train.take(minicifar_indices(train.y, 5))
    test = test.take(minicifar_indices(test.y, 1))
    return _cifar("minicifar", train, val, test, _CIFAR10[:4])


def _cifar(name, train, val, test, class_names):
    mean, std = _PIXELS.get(name, _PIXELS["cifar10"])
    return Dataset(
        name,
        train,
        val,
        test,
        class_names,
        batches.Preprocessing(1 / 255, mean, std),
        batches.Augmentation(padding=4, flip=True),
    )


def _read_cifar(name, data_dir, download):
    """`(train, test)` in the official order."""
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    root = pathlib.Path(data_dir or default).expanduser()
    archive = root / f"{name}.npz"
    if archive.exists():
        return _read_npz(archive)
    prepared = sorted((root / name).glob("*/dataset_info.json"))
    if not prepared and not download:
        # tensorflow_datasets itself would access the network to look it up.
        raise FileNotFoundError(
            f"{name} must be in the data folder, as {name}.npz or prepared "
            f"by tensorflow_datasets. Received: data_dir={str(root)!r}. "
            "Pass the folder that has it (--data_dir), or download it "
            "with download=True (--download)."
        )
    return _read_tfds(name, root, prepared)


def _read_npz(path):
    arrays = array_files.read(path)
    arrays = arrays if isinstance(arrays, dict) else {}
    missing = {"x_train", "y_train", "x_test", "y_test"} - set(arrays)
    if missing:
        raise ValueError(
            "A CIFAR archive must hold x_train, y_train, x_test and "
            f"y_test. Received: {path} without {sorted(missing)}."
        )
    return tuple(
        batches.Split(
            arrays[f"x_{part}"], arrays[f"y_{part}"].ravel().astype("int64")
        )
        for part in ("train", "test")
    )


def _read_tfds(name, root, prepared):
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f"{name} is read through tensorflow_datasets. "
            "Install it: pip install tfprune[data]"
        ) from error
    if prepared:
        builder = tfds.builder_from_directory(prepared[-1].parent)
    else:
        builder = tfds.builder(name, data_dir=root)
        builder.download_and_prepare()
    splits = []
    for part in ("train", "test"):
        arrays = tfds.as_numpy(builder.as_dataset(part, batch_size=-1))
        if "id" not in arrays:
            raise ValueError(
                f"{name} needs the ids of its images. Received: "
                f"{sorted(arrays)} in {builder.data_path}. Prepare it again."
            )
        # The files are shuffled; the ids give the official order.
        order = np.argsort(arrays["id"])
        splits.append(
            batches.Split(
                arrays["image"][order], arrays["label"][order].astype("int64")
            )
        )
    return tuple(splits)


_PIXELS = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}
_CIFAR10 = tuple(
    "airplane automobile bird cat deer dog frog horse ship truck".split()
)
_CIFAR100 = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl
    boy bridge bus butterfly camel can castle caterpillar cattle chair
    chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
    lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon
    ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
    spider squirrel streetcar sunflower sweet_pepper table tank telephone
    television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
    """.split()
)
_register_cifar("cifar10", _CIFAR10)
_register_cifar("cifar100", _CIFAR100)
