"""What an installed tfprune can do here, step by step; JSON on the last line.

Runs in an environment that has the wheel and one backend, nothing else. A step
is "ok", the error by which it is refused, or a crash with its type.
"""

import json
import pathlib
import sys
import tempfile
import textwrap

import keras
import numpy as np

import tfprune

# An error of these types is a refusal with a reason.
REFUSALS = (ImportError, NotImplementedError, RuntimeError, ValueError)


def network():
    inputs = keras.Input((8, 8, 1))
    h = keras.layers.Conv2D(8, 3, padding="same", name="first")(inputs)
    h = keras.layers.ReLU()(keras.layers.BatchNormalization()(h))
    y = keras.layers.Conv2D(8, 3, padding="same", name="second")(h)
    h = keras.layers.Add()([h, y])
    h = keras.layers.GlobalAveragePooling2D()(h)
    outputs = keras.layers.Dense(3, activation="softmax", name="classes")(h)
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def steps(folder):
    """Yields names and functions, each on what those before it left."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 8, 1)).astype("float32")
    y = np.arange(64) % 3
    model = network()
    path = str(folder / "small.keras")

    def pruned():
        small = tfprune.prune(model, macs=0.5)
        if small.count_params() >= model.count_params():
            raise AssertionError("nothing was removed")
        return small

    def in_fit():
        wrapped = tfprune.wrap(model, tfprune.methods.MaskedChannels())
        wrapped.compile("sgd", "sparse_categorical_crossentropy")
        ramp = tfprune.schedules.Polynomial(0.0, 1.0, begin=0, end=4)
        cut = tfprune.PruneOnSchedule(ramp, tfprune.Budget(macs=0.5))
        wrapped.fit(x, y, batch_size=8, callbacks=[cut], verbose=0)
        small = tfprune.strip(wrapped)
        np.testing.assert_allclose(
            *(m.predict(x, verbose=0) for m in (wrapped, small)), atol=1e-5
        )

    def saved():
        small = pruned()
        small.save(path)
        again = tfprune.load_model(path)
        np.testing.assert_allclose(
            *(m.predict(x, verbose=0) for m in (small, again)), atol=1e-5
        )

    yield "prune", pruned
    yield "fine-tune", lambda: pruned().fit(x, y, verbose=0)
    yield "wrap, fit, strip", in_fit
    yield "save, load", saved
    yield (
        "taylor",
        lambda: tfprune.prune(model, macs=0.5, criterion="taylor", data=(x, y)),
    )
    yield "sensitivity", lambda: tfprune.sensitivity(model, (x, y), (0.5,))
    yield (
        "search",
        lambda: tfprune.search(
            model, (x, y), tfprune.Budget(macs=0.5), strategy="greedy"
        ),
    )
    yield "compare", lambda: str(tfprune.compare(model, pruned(), (x, y)))
    yield (
        "export",
        lambda: tfprune.export_tflite(
            model, str(folder / "small.tflite"), "int8", x
        ),
    )


def _short(text):
    return textwrap.shorten(text, 160, placeholder=" ...")


def main():
    keras.utils.set_random_seed(0)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, step in steps(pathlib.Path(folder)):
            try:
                step()
                found[name] = "ok"
            except REFUSALS as error:
                found[name] = _short(str(error))
            except Exception as error:
                found[name] = _short(f"crash: {type(error).__name__}: {error}")
    print(json.dumps(found))


if __name__ == "__main__":
    sys.exit(main())
