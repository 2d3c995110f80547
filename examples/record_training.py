"""Resumable training with a teacher whose logits are computed once.

Each image is augmented in a fixed number of ways, its views. A view depends on
seed, view and image only, so the teacher's logits of it are computed once, for
all epochs, seeds and students.
"""

import io
import json
import time

import keras
import numpy as np

from tfprune.core.files import atomic

_CHUNK = 1000
_VIEW_SEED = 2026


class Views:
    """Augmented training images and the teachers' logits for them.

    Args:
        dataset: a `tfprune.datasets.Dataset`.
        prepare: `tfprune.datasets.Preprocessing`.
        teachers: function without arguments that returns the models.
        folder: `pathlib.Path`, where logits are kept.
        count: `int`, the number of views.
        dtype: `str`, dtype policy of the teachers; by default unchanged.
    """

    def __init__(self, dataset, prepare, teachers, folder, count, dtype=None):
        self.dataset, self.prepare = dataset, prepare
        self.teachers, self.folder, self.count = teachers, folder, count
        self._dtype = dtype
        self._models = None

    def images(self, view):
        """Returns all training images in one view, not preprocessed."""
        x = self.dataset.train.x
        changed = np.empty_like(x)
        for begin in range(0, len(x), _CHUNK):
            rng = np.random.default_rng((_VIEW_SEED, view, begin))
            part = slice(begin, begin + _CHUNK)
            changed[part] = self.dataset.augmentation(x[part], rng)
        return changed

    def logits(self, view, images):
        """Returns `(images, classes)` float16 logits; computes missing ones."""
        path = self.folder / f"view{view}.npy"
        if not path.exists():
            if self._models is None:
                self._models = self.teachers()
            found = sum(self._answers(m, images) for m in self._models)
            found = (found / len(self._models)).astype("float16")
            buffer = io.BytesIO()
            np.save(buffer, found)
            atomic.write({path: buffer.getvalue()})
        return np.load(path)

    def _answers(self, model, images):
        return answers(folded(model, self._dtype), self.prepare, images)


class Training:
    """Trains a model in place, epoch after epoch.

    SGD with Nesterov's momentum of 0.9, a cosine to 0, and weight decay as a
    penalty on kernels. An incomplete last batch is dropped.

    Args:
        model: a `keras.Model` that gives logits; trained in place.
        views: `Views`.
        path: `pathlib.Path` of the state, an `.npz` file.
        seed: `int`, of the order of the images.
        settings: `dict` with `epochs`, `after`, `rate`, `batch_size`, `decay`,
            `temperature` and `label_weight`; epochs are counted from those
            that came before, `after`.

    Attributes:
        epoch: `int`, number of finished epochs.
        curve: list of `dict`s, one for each of them that is trained here.
    """

    def __init__(self, model, views, path, seed, settings):
        self.model, self.views, self.path = model, views, path
        self.seed, self.settings = seed, settings
        self.size = settings["batch_size"]
        self.steps = len(views.dataset.train) // self.size
        self.epoch, self.curve = settings["after"], []
        rate = keras.optimizers.schedules.CosineDecay(
            settings["rate"], self.steps * (settings["epochs"] - self.epoch)
        )
        self.optimizer = keras.optimizers.SGD(rate, 0.9, nesterov=True)
        self.optimizer.build(model.trainable_variables)
        self._step = self._compiled()
        if path.exists():
            self._restore()

    def run_epoch(self):
        """Trains one epoch, saves the state, returns its line of the curve."""
        view = self.epoch % self.views.count
        images = self.views.images(view)
        logits = self.views.logits(view, images)
        rng = np.random.default_rng((self.seed, self.epoch))
        order = rng.permutation(len(images))
        begin, losses, right = time.time(), [], []
        for step in range(self.steps):
            chosen = order[step * self.size :][: self.size]
            labels = self.views.dataset.train.y[chosen]
            loss, hits = self._step(
                self.views.prepare(images[chosen]),
                labels,
                logits[chosen].astype("float32"),
            )
            losses.append(loss)
            right.append(hits)
        seconds = time.time() - begin
        self.epoch += 1
        line = {
            "epoch": self.epoch,
            "loss": float(np.mean(losses)),
            "train_accuracy": float(np.mean(right)),
            "seconds": round(seconds, 1),
            "images_per_second": round(self.steps * self.size / seconds, 1),
        }
        if not np.isfinite(line["loss"]):
            raise ArithmeticError(
                "The loss must be a finite number. Received: "
                f"loss={line['loss']} in epoch {self.epoch}. Lower --rate."
            )
        self.curve.append(line)
        self._write()
        return line

    def _variables(self):
        return [*self.model.variables, *self.optimizer.variables]

    def _write(self):
        arrays = {
            f"v{i}": keras.ops.convert_to_numpy(variable)
            for i, variable in enumerate(self._variables())
        }
        facts = {"curve": self.curve, "settings": self.settings}
        buffer = io.BytesIO()
        np.savez(buffer, facts=json.dumps(facts), **arrays)
        atomic.write({self.path: buffer.getvalue()})

    def _restore(self):
        with np.load(self.path) as arrays:
            facts = json.loads(str(arrays["facts"]))
            if facts["settings"] != self.settings:
                raise ValueError(
                    "A run goes on with the settings that it began with. "
                    f"Received: {self.settings}; {self.path} was made with "
                    f"{facts['settings']}. Take these, or another --state."
                )
            for i, variable in enumerate(self._variables()):
                variable.assign(arrays[f"v{i}"])
        self.curve = facts["curve"]
        self.epoch += len(self.curve)

    def _compiled(self):
        import tensorflow as tf

        model, optimizer = self.model, self.optimizer
        temperature = self.settings["temperature"]
        weight = self.settings["label_weight"]
        decay = self.settings["decay"]
        kernels = [v for v in model.trainable_variables if len(v.shape) > 1]

        def loss_of(outputs, labels, logits):
            on_labels = tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, outputs
            )
            targets = tf.nn.softmax(logits / temperature)
            on_teacher = tf.nn.softmax_cross_entropy_with_logits(
                targets, outputs / temperature
            ) - tf.nn.softmax_cross_entropy_with_logits(
                targets, logits / temperature
            )
            return tf.reduce_mean(
                weight * on_labels + (1 - weight) * temperature**2 * on_teacher
            )

        @tf.function(jit_compile=False)
        def step(x, labels, logits):
            with tf.GradientTape() as tape:
                outputs = model(x, training=True)
                loss = loss_of(outputs, labels, logits)
                penalty = sum(tf.nn.l2_loss(k) for k in kernels)
                total = loss + decay * penalty
            slopes = tape.gradient(total, model.trainable_variables)
            optimizer.apply(slopes, model.trainable_variables)
            found = tf.argmax(outputs, -1, output_type=labels.dtype)
            return loss, tf.reduce_mean(tf.cast(found == labels, "float32"))

        return step


def folded(model, dtype=None):
    """A copy for inference, normalizations moved into the convolutions.

    Args:
        model: a network of the zoo. Where it has `<name>_bn<k>`, that
            follows `<name>_conv<k>` at once; other names are left alone.
        dtype: `str`, dtype policy of all layers but the outputs' own.
    """
    pairs = {
        layer.name: layer.name.replace("_bn", "_conv")
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
        and "_bn" in layer.name
    }

    def cloned(layer):
        config = layer.get_config()
        if layer.name in pairs:
            return keras.layers.Activation(
                "linear", name=layer.name, dtype=dtype
            )
        is_layer = isinstance(layer, keras.layers.Layer)
        if dtype and is_layer and layer.name not in model.output_names:
            config["dtype"] = dtype
        if layer.name in pairs.values():
            config["use_bias"] = True
        return type(layer).from_config(config)

    def called(layer, *args, mask=None, **kwargs):
        del mask  # of normalizations alone
        return layer(*args, **kwargs)

    new = keras.models.clone_model(
        model, clone_function=cloned, call_function=called
    )
    for layer in new.layers:
        if layer.weights and layer.name not in pairs.values():
            layer.set_weights(model.get_layer(layer.name).get_weights())
    for norm, name in pairs.items():
        norm, conv = model.get_layer(norm), model.get_layer(name)
        gamma, beta, mean, variance = map(np.asarray, norm.get_weights())
        factor = gamma / np.sqrt(variance + norm.epsilon)
        kernel, *bias = conv.get_weights()
        bias = (bias[0] if bias else 0.0) - mean
        new.get_layer(name).set_weights([kernel * factor, bias * factor + beta])
    return new


def answers(model, prepare, images, batch_size=125):
    """Returns the outputs of a model for raw images, as one array."""
    import tensorflow as tf

    call = tf.function(lambda x: model(x, training=False), jit_compile=False)
    return np.concatenate(
        [
            call(prepare(images[begin : begin + batch_size])).numpy()
            for begin in range(0, len(images), batch_size)
        ]
    )


def accuracy(model, prepare, split, count=None):
    """Returns the accuracy of a model on the first images of a split."""
    found = answers(model, prepare, split.x[:count]).argmax(-1)
    return float(np.mean(found == split.y[:count]))
