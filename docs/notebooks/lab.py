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
# # The pruning lab
#
# An hour with one small network: train it, look at its channels, find out which
# of them it can do without, take them out, and train what is left. Then let it
# happen while the network trains, compare methods, and end with a file for a
# microcontroller.
#
# Every number below is measured when the notebook runs. It needs no GPU.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn import datasets

import tfprune

keras.utils.set_random_seed(0)

# %% [markdown]
# ## 1. Data and a dense network
#
# 1,797 handwritten digits of 8 x 8 pixels come with scikit-learn. We train on
# 1,200 of them, choose by 200 (*validation*), and look at the last 397 (*test*)
# only to report. Choosing by test images is the commonest way to fool oneself.

# %%
digits = datasets.load_digits()
images = digits.images[..., None].astype("float32") / 16
train = images[:1200], digits.target[:1200]
validation = images[1200:1400], digits.target[1200:1400]
test = images[1400:], digits.target[1400:]

_, axes = plt.subplots(1, 10, figsize=(9, 1.2))
for axis, image, label in zip(axes, *train):
    axis.imshow(image, cmap="gray_r")
    axis.set_title(label)
    axis.axis("off")
plt.show()


# %% [markdown]
# A residual network: the channels of `stem` and `back` meet in a sum.


# %%
def residual_network():
    inputs = keras.Input((8, 8, 1))

    def conv(x, filters, name):
        x = keras.layers.Conv2D(filters, 3, padding="same", name=name)(x)
        return keras.layers.BatchNormalization(momentum=0.9)(x)

    h = keras.layers.ReLU()(conv(inputs, 16, "stem"))
    branch = keras.layers.ReLU()(conv(h, 32, "wide"))
    h = keras.layers.Add(name="sum")([h, conv(branch, 16, "back")])
    h = keras.layers.ReLU()(h)
    h = keras.layers.GlobalAveragePooling2D()(h)
    outputs = keras.layers.Dense(10, activation="softmax", name="classes")(h)
    return keras.Model(inputs, outputs, name="digits")


def compiled(model, rate=0.01):
    model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


dense = compiled(residual_network())
history = dense.fit(
    *train, batch_size=64, epochs=10, validation_data=validation, verbose=0
)
plt.plot(history.history["accuracy"], label="train")
plt.plot(history.history["val_accuracy"], label="validation")
plt.xlabel("epoch")
plt.ylabel("accuracy")
plt.legend()
plt.show()

# %% [markdown]
# ## 2. What can go?
#
# Each row is a *group*: channels that can only go together. `stem` and `back`
# are one group, because their channels are added one by one. The ten classes
# are outputs of the model: they stay.

# %%
graph = tfprune.channel_graph(dense)
print(graph)

# %% [markdown]
# ## 3. Ranking
#
# Filters with small weights do little, says Li et al. (2017). Let us look at the
# L1 norms of the filters of `wide`.

# %%
kernel = np.asarray(dense.get_layer("wide").kernel)
norms = np.sort(np.abs(kernel).sum((0, 1, 2)))
plt.bar(range(len(norms)), norms)
plt.xlabel("filters of `wide`, sorted")
plt.ylabel("L1 norm")
plt.show()

# %% [markdown]
# ## 4. Sensitivity
#
# Which groups can bear it? Each is cut alone, without training, and the
# accuracy is measured on validation images.

# %%
curves = tfprune.sensitivity(dense, validation, ratios=(0.25, 0.5, 0.75))
tfprune.plots.sensitivity_plot(curves, chance=0.1)

# %% [markdown]
# **Question.** Which group is worth more? Why does the sum suffer first?
#
# ## 5. Prune
#
# `macs=0.4`: two fifths of the multiply-adds may remain. The result is a plain
# Keras model.

# %%
small = tfprune.prune(dense, macs=0.4)
tfprune.plots.channels_plot(dense, small)

# %%
print(tfprune.compare(dense, small, data=validation).tables()[0])

# %% [markdown]
# ## 6. Fine-tune
#
# The accuracy fell. A few epochs bring most of it back.

# %%
compiled(small, 0.005)
small.fit(*train, batch_size=64, epochs=6, verbose=0)
print(tfprune.compare(dense, small, data=validation).tables()[0])

# %% [markdown]
# ## 7. Pruning inside `fit`
#
# Cutting everything at once is the harshest way. Here the channels go a few at a
# time, on a schedule, while the others learn to do without them. `strip` takes
# them out at the end and checks that the outputs are the same.

# %%
keras.utils.set_random_seed(0)
wrapped = compiled(tfprune.wrap(dense, tfprune.methods.MaskedChannels()), 0.005)
ramp = tfprune.schedules.Polynomial(0.0, 1.0, begin=0, end="4 epochs")
callback = tfprune.PruneOnSchedule(ramp, budget=tfprune.Budget(macs=0.4))
history = wrapped.fit(
    *train,
    batch_size=64,
    epochs=6,
    validation_data=validation,
    callbacks=[callback],
    verbose=0,
)
gradual = compiled(tfprune.strip(wrapped))
plt.plot(history.history["val_accuracy"])
plt.xlabel("epoch")
plt.ylabel("validation accuracy")
plt.show()
print(f"{dense.count_params():,} -> {gradual.count_params():,} parameters")

# %% [markdown]
# ## 8. Compare methods
#
# Criteria from four papers and chance, at the same budget, each fine-tuned for
# the same epochs. Is a clever criterion worth more than training?

# %%
rows = {}
for criterion in ("random", "l1", "geometric_median", "taylor"):
    keras.utils.set_random_seed(0)
    pruned = tfprune.prune(dense, macs=0.4, criterion=criterion, data=train)
    compiled(pruned, 0.005)
    before = pruned.evaluate(*validation, verbose=0)[1]
    pruned.fit(*train, batch_size=64, epochs=4, verbose=0)
    after = pruned.evaluate(*validation, verbose=0)[1]
    rows[criterion] = before, after
    print(f"{criterion:18} {before:6.1%} -> {after:6.1%}")

# %%
place = np.arange(len(rows))
before, after = np.transpose(list(rows.values()))
plt.barh(place + 0.2, before, 0.4, label="pruned")
plt.barh(place - 0.2, after, 0.4, label="fine-tuned")
plt.yticks(place, rows)
plt.xlabel("validation accuracy")
plt.legend(loc="lower right")
plt.show()

# %% [markdown]
# One seed on 200 images cannot rank methods: a difference of a point is two
# images. [The results](../results/README.md) have three seeds and more data.
#
# ## 9. To the board
#
# The int8 file of the network that was fine-tuned, its size, and how often it is
# right on the test images, which we look at now for the first time.

# %%
file = tfprune.export_tflite(small, "lab.tflite", "int8", train[0][:256])
int8 = tfprune.evaluate_tflite("lab.tflite", test, progress=False)
for name, model in {"dense": dense, "small": small}.items():
    print(f"{name}: {model.evaluate(*test, verbose=0)[1]:.1%} on test images")
print(f"int8 file: {int8:.1%}, {file.file_bytes:,} bytes")

# %% [markdown]
# The [next notebook](board.ipynb) goes on from here: flash, RAM and firmware.
