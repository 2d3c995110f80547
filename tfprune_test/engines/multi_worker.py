"""One of two processes, by a strategy of TensorFlow and a loop of one's own.

With this strategy `fit` of Keras 3 stops by itself, pruning or not.
"""

import json
import os
import sys

method, path, rank, *ports = sys.argv[1:]
rank = int(rank)
workers = [f"localhost:{port}" for port in ports]
os.environ["TF_CONFIG"] = json.dumps(
    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": rank}}
)

import tensorflow as tf  # noqa: E402

strategy = tf.distribute.MultiWorkerMirroredStrategy()

from tfprune.callbacks import prune_on_schedule  # noqa: E402
from tfprune_test.engines import common  # noqa: E402

with strategy.scope():
    net = common.model(method)
    net.optimizer.build(net.trainable_variables)


@tf.function
def train(x, y):
    def on_replica(x, y):
        with tf.GradientTape() as tape:
            error = tf.square(net(x, training=True) - y)
            loss = tf.reduce_sum(error) / (common.BATCH * error.shape[1])
        variables = net.trainable_variables
        gradients = tape.gradient(loss, variables)
        net.optimizer.apply_gradients(zip(gradients, variables))

    strategy.run(on_replica, args=(x, y))


def distributed(array):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(array)
    )


x, y = common.data(rank, len(ports))
size = common.BATCH // len(ports)
pruning = prune_on_schedule.PruneOnSchedule(common.RAMP)
pruning.set_model(net)
for step in range(1, 3 * common.BATCHES + 1):
    start = (step - 1) % common.BATCHES * size
    own = slice(start, start + size)
    train(distributed(x[own]), distributed(y[own]))
    if common.METHODS[method].is_scheduled:
        pruning.update(step)
if rank == 0:
    net.save(path)
common.report(net, replicas=strategy.num_replicas_in_sync, equal=True)
