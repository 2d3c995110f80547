"""One of two processes, by keras.distribution on JAX; each feeds its half."""

import sys

import jax

method, path, rank, *ports = sys.argv[1:]
rank = int(rank)
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{ports[0]}", len(ports), rank)

import keras  # noqa: E402

from tfprune_test.engines import common  # noqa: E402

distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
keras.distribution.set_distribution(distribution)
net = common.model(method)
common.fit(net, rank, len(ports))
if rank == 0:
    # Saving makes an optimizer for its own use, which all processes would
    # have to do together if the distribution were in force.
    keras.distribution.set_distribution(None)
    net.save(path)
    keras.distribution.set_distribution(distribution)
common.report(net, replicas=jax.device_count(), equal=True)
jax.experimental.multihost_utils.sync_global_devices("the end")
