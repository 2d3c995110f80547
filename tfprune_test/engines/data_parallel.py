"""Eight virtual devices of one process, by keras.distribution on JAX."""

import os
import sys

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import keras
import numpy as np

from tfprune_test.engines import common

keras.distribution.set_distribution(keras.distribution.DataParallel())
net = common.model(sys.argv[1])
common.fit(net)
copies = [
    [np.asarray(shard.data) for shard in v.addressable_shards]
    for v in (decision.value for decision in common.decisions(net))
]
net.save(sys.argv[2])
common.report(
    net,
    replicas=len(copies[0]),
    equal=all((shard == c[0]).all() for c in copies for shard in c),
)
