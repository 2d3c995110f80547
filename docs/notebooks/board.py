# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Onto a board
#
# A network that is too large for a microcontroller becomes one that fits: a
# budget in bytes of flash and RAM, an int8 file, and a folder of C sources that
# compiles.

# %%
import importlib.util
import pathlib

import keras
import matplotlib.pyplot as plt
from sklearn import datasets

import tfprune

keras.utils.set_random_seed(0)
digits = datasets.load_digits()
images = digits.images[..., None].astype("float32") / 16
train = images[:1400], digits.target[:1400]
test = images[1400:], digits.target[1400:]

# %% [markdown]
# ## A network that is too large


# %%
def compiled(model, rate):
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


dense = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
        keras.layers.Conv2D(48, 3, padding="same", activation="relu"),
        keras.layers.MaxPooling2D(),
        keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
compiled(dense, 0.005).fit(*train, batch_size=64, epochs=8, verbose=0)
profile = tfprune.profile(dense)
print(profile.tables()[0])

# %% [markdown]
# ## What holds the RAM?
#
# Flash holds the weights. RAM holds the tensors that are alive at one time: the
# *arena*. Its peak is one moment, and only channels that are alive then can
# lower it.

# %%
moments = profile.timeline
plt.bar(range(len(moments)), [moment.bytes for moment in moments])
plt.xticks(
    range(len(moments)), [moment.running for moment in moments], rotation=90
)
plt.ylabel("bytes alive, int8")
plt.show()

# %% [markdown]
# ## A budget in bytes

# %%
budget = tfprune.Budget(flash_bytes=16_000, ram_bytes=4_000)
small = tfprune.prune(dense, budget)
compiled(small, 0.003).fit(*train, batch_size=64, epochs=8, verbose=0)
tfprune.plots.channels_plot(dense, small)

# %% [markdown]
# ## The file
#
# 256 training images show the converter which ranges the tensors have. `micro`
# runs the interpreter of TFLite Micro; where that is not to be had, take
# `tflite`.

# %%
runtime = "micro" if importlib.util.find_spec("tflite_micro") else "tflite"
path = "board.tflite"
file = tfprune.export_tflite(small, path, "int8", train[0][:256])
int8 = tfprune.evaluate_tflite(path, test, runtime, progress=False)
print(f"a file of {file.file_bytes:,} bytes, ops: {', '.join(file.ops)}")
print(f"float32 {small.evaluate(*test, verbose=0)[1]:.1%}, int8 {int8:.1%}")

# %% [markdown]
# ## The firmware

# %%
sources = tfprune.export_micro(
    path, "firmware", labels=[str(digit) for digit in range(10)]
)
print(f"{sources.flash_bytes:,} bytes of flash, arena: {sources.arena}")
print(f"kernels: {', '.join(sources.resolver_methods)}")
for name in sorted(pathlib.Path("firmware").iterdir()):
    print(name)

# %% [markdown]
# The main program runs a stored input and compares the output with a stored one:
# flash it once, and it tells you whether your toolchain computes the same.
#
# ## All of it in one call
#
# `tfprune.compress` searches, prunes in rounds with training in between,
# measures, and writes a report:
#
# ```python
# found = tfprune.compress(
#     dense, train, validation, board="nano-33-ble", out="digits", minutes=10
# )
# ```
