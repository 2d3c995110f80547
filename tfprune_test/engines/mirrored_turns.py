"""Turns of `AlternatingModel` on two logical devices of one process."""

import json

import keras
import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

from tfprune.methods import autoprune  # noqa: E402
from tfprune.sparsity import wrapping  # noqa: E402
from tfprune.training import alternating  # noqa: E402


def part(value, count):
    return np.full((count, 4), value, "float32"), np.zeros((count, 1))


strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    net = keras.Sequential([keras.Input((4,)), dense])
    net = wrapping.wrap(net, autoprune.AutoPrune(mu=0.0))
    model = alternating.AlternatingModel(net, keras.optimizers.SGD(0.0))
    model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
kernel = net.layers[0].layer.kernel
moves = {}
for size in (4, 5):
    kernel.assign(np.ones((4, 1)))
    # The weights would move 10,000 times as far by the held-out samples.
    batches = alternating.Interleaved(
        part(1.0, size), part(100.0, size), batch_size=size
    )
    model.fit(batches, verbose=0)
    moves[size] = float(1 - keras.ops.convert_to_numpy(kernel)[0, 0])
found = {"replicas": strategy.num_replicas_in_sync, "moves": moves}
print("REPORT " + json.dumps(found), flush=True)
