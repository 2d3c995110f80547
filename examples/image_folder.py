"""Images in one folder per class, as for ImageNet.

`train/` and `val/` have a folder for each class, numbered in the order of their
names. Images are read when a batch needs them.
"""

import functools
import math
import pathlib

import keras
import numpy as np
import study
from absl import flags

from tfprune.reports import evaluation

FLAGS = flags.FLAGS
_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


@functools.lru_cache(2)
def _order(seed, epoch, count):
    """The order of an epoch, the same if a run resumes there."""
    if seed is None or not epoch:
        return np.arange(count)
    return np.random.default_rng((seed, epoch)).permutation(count)


class Images(keras.utils.PyDataset):
    """Batches of images of a folder of folders.

    Args:
        folder: `str` or path-like.
        batch_size: `int`; the last batch may have fewer.
        size: `int`, side of the network's input. The centre is cut from an
            image whose shorter side is 8 / 7 of it.
        seed: `int`, for random crops and mirrors in a random order; `None`
            for the centres in the order of the files.
        limit: `int`, of images; 0 for all.

    Raises:
        FileNotFoundError: If there are no images in folders.
    """

    def __init__(self, folder, batch_size, size=224, seed=None, limit=0):
        super().__init__(workers=4)
        self.batch_size, self.size, self.seed = batch_size, size, seed
        folder = pathlib.Path(folder).expanduser()
        classes = sorted(p for p in folder.glob("*") if p.is_dir())
        self.classes = [p.name for p in classes]
        found = [
            (path, label)
            for label, place in enumerate(classes)
            for path in sorted(place.rglob("*"))
            if path.suffix.lower() in _ENDINGS
        ]
        if not found:
            raise FileNotFoundError(
                "A folder with one folder of images per class is required. "
                f"Received: {str(folder)!r}. Name its parent: --data_dir."
            )
        if seed is not None or limit:  # Each part should have all classes.
            order = np.random.default_rng(seed or 0).permutation(len(found))
            found = [found[i] for i in order[: limit or None]]
        self.files, self.labels = zip(*found, strict=True)
        self.epoch = 0

    def __len__(self):
        return math.ceil(len(self.files) / self.batch_size)

    def __getitem__(self, index):
        begin = index * self.batch_size
        order = _order(self.seed, self.epoch, len(self.files))
        chosen = order[begin : begin + self.batch_size]
        x = np.stack([self._image(i) for i in chosen])
        x = keras.applications.imagenet_utils.preprocess_input(
            x, data_format="channels_last", mode="caffe"
        )
        return x, np.asarray([self.labels[i] for i in chosen])

    def on_epoch_end(self):
        self.epoch += 1

    def _image(self, i):
        image = keras.utils.load_img(self.files[i])
        if self.seed is None:
            return self._centre(image)
        rng = np.random.default_rng((self.seed, self.epoch, int(i)))
        return self._random(image, rng)

    def _centre(self, image):
        side = min(image.size) * 7 / 8
        left, top = ((length - side) / 2 for length in image.size)
        return self._cut(image, left, top, side, side)

    def _random(self, image, rng):
        """Crops 8 to 100 percent of the area, at most 4 : 3, and mirrors."""
        width, height = image.size
        area = width * height * rng.uniform(0.08, 1)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide = min(math.sqrt(area * ratio), width)
        high = min(math.sqrt(area / ratio), height)
        left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
        image = self._cut(image, left, top, wide, high)
        return image[:, ::-1] if rng.random() < 0.5 else image

    def _cut(self, image, left, top, wide, high):
        box = (left, top, left + wide, top + high)
        image = image.resize((self.size, self.size), resample=2, box=box)
        return keras.utils.img_to_array(image, data_format="channels_last")


class Study(study.Study):
    """As `study.Study`, for images in folders.

    Args:
        seed: `int`.
        size: `int`, side of the network's input.
        network: function from the number of classes to a `keras.Model`.
    """

    def __init__(self, seed, size, network):
        self.seed, self.size = seed, size
        self.test = self._read("val", limit=FLAGS.test)
        self.model = network(len(self.test.classes))
        self.loss = study.loss(self.model)
        self.model.compile(loss=self.loss)
        self.accuracy = self.tested(self.model)

    @property
    def selection(self):
        parts = self._read("train", limit=FLAGS.selection)
        x, y = zip(*(parts[i] for i in range(len(parts))), strict=True)
        return np.concatenate(x), np.concatenate(y)

    def tested(self, model):
        return evaluation.accuracies([model], self._all(self.test))[0]

    def batches(self):
        return self._read("train", seed=self.seed, limit=FLAGS.train)

    def sgd(self, epochs, rate):
        """Returns SGD with weight decay; a tenth of the rate every 3 epochs."""
        del epochs
        steps = 3 * len(self.batches())
        decay = keras.optimizers.schedules.ExponentialDecay
        return keras.optimizers.SGD(
            decay(rate, steps, 0.1, staircase=True),
            momentum=0.9,
            weight_decay=5e-4,
        )

    def _read(self, part, **options):
        folder = pathlib.Path(FLAGS.data_dir or ".") / part
        return Images(folder, FLAGS.batch_size, self.size, **options)

    @staticmethod
    def _all(images):
        return (images[i] for i in range(len(images)))


def toy(folder, classes=2, images=8, side=40):
    """Writes a small folder of images: each class is noise around a colour."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label in range(classes):
            place = pathlib.Path(folder) / part / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            for i in range(images):
                image = rng.uniform(0, 99, (side, side + 8, 3))
                image[..., label % 3] += 150
                keras.utils.save_img(place / f"{i}.png", image, scale=False)
