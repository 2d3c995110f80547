"""Bit lengths on two logical devices, by a strategy of TensorFlow."""

import json

import keras
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

from tfprune.callbacks import prune_on_schedule  # noqa: E402
from tfprune.methods import bitpruning  # noqa: E402
from tfprune.methods import masked  # noqa: E402
from tfprune.sparsity import chain  # noqa: E402
from tfprune.sparsity import wrapper  # noqa: E402
from tfprune.sparsity import wrapping  # noqa: E402
from tfprune.training import bit_lengths  # noqa: E402
from tfprune_test.engines import common  # noqa: E402

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    net = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(4),
        ]
    )
    both = chain.Chain((masked.Masked(), bitpruning.BitPruning(gamma=4.0)))
    net = wrapping.wrap(net, both)
    net.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
net.fit(
    *common.data(),
    batch_size=common.BATCH,
    epochs=3,
    verbose=0,
    callbacks=[prune_on_schedule.PruneOnSchedule(common.RAMP)],
)
places = bit_lengths.places(net)
copies = [
    [copy.numpy().tolist() for copy in strategy.experimental_local_results(v)]
    for _, slot in places
    for variable in slot.variables.values()
    for v in (variable.value,)
]
ranges = [
    keras.ops.convert_to_numpy(slot["range"]).tolist()
    for _, slot in places
    if slot.kernel is None
]
x = common.data()[0]
found = {
    "replicas": strategy.num_replicas_in_sync,
    "equal": all(len(c) == 2 and c[0] == c[1] for c in copies),
    "bits": [bit_lengths.lengths(*place)[0] for place in places],
    "ranges": ranges,
    "sparsity": wrapper.sparsity(net),
    "input": [float(x.min()), float(x.max())],
}
print("REPORT " + json.dumps(found), flush=True)
