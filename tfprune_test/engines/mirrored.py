"""Two logical devices of one process, by a strategy of TensorFlow."""

import sys

import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)

from tfprune_test.engines import common  # noqa: E402

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    net = common.model(sys.argv[1])
common.fit(net)
copies = [
    [copy.numpy().tolist() for copy in strategy.experimental_local_results(v)]
    for v in (decision.value for decision in common.decisions(net))
]
net.save(sys.argv[2])
common.report(
    net,
    replicas=strategy.num_replicas_in_sync,
    equal=all(a == b for a, b in copies),
)
