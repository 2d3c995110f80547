"""Compares what tfprune and tensorflow-model-optimization save.

Trains a ResNet-20 for each seed. Each library then prunes a copy in training,
for the same epochs on the same batches: tfmot writes zeros (`tfmot`:
prune_low_magnitude), tfprune writes as many (`zeros`) or removes channels until
that share of the multiply-adds is left (`channels`). All results are stripped
and exported alike; file, arena, latency and accuracy are those of the int8
file.

  make venv-tfmot
  python examples/compare_tfmot.py --tfmot_python=.venv-tfmot/bin/python \\
      --data_dir=~/tensorflow_datasets --seed=0,1,2
  python examples/compare_tfmot.py --smoke

tfmot needs tf_keras in an environment of its own; without `--tfmot_python` its
rows are left out. Test images are never used for choices.
"""

import gzip
import subprocess

import common
import keras
import numpy as np
import recipes
import study
import summary
from absl import app
from absl import flags

import tfprune
from tfprune.core import tables
from tfprune.deploy import latency
from tfprune.export.run import interpreter

# The arguments that the same layer of another Keras needs.
TOLD = {
    "Conv2D": "filters kernel_size strides padding use_bias".split(),
    "BatchNormalization": ["momentum", "epsilon"],
    "ZeroPadding2D": ["padding"],
    "Dense": ["units"],
    "Activation": ["activation"],
}

FLAGS = flags.FLAGS
flags.adopt_module_key_flags(study)
common.defaults(out="build/compare_tfmot", arguments='{"shortcut": "B"}')
common.defaults(macs=["0.5", "0.25"])
flags.DEFINE_string("tfmot_python", "", "interpreter that can import tfmot")
flags.DEFINE_string("job", "", "where to leave the weights of one tfmot run")
PASSED = "dataset data_dir validation train test epochs batch_size".split()
PASSED += ["learning_rate", "macs", "seed"]


def main(argv):
    del argv
    common.smoke(dataset="digits", macs=["0.5"], dense_epochs=1, epochs=1)
    common.smoke(model="resnet20", test=64)
    if FLAGS.job:
        with_tfmot()
        return
    methods = [m for m in METHODS if m != "tfmot" or FLAGS.tfmot_python]
    FLAGS.method = FLAGS.method or methods
    common.known(FLAGS.method, methods)
    todo = {}
    for share in FLAGS.macs:
        for method in FLAGS.method:
            name = method if method == "dense" else f"{method}-{share}"
            todo[name] = (method, float(share) if name != method else None)
    rows = list(study.rows(list(todo.items()), run))
    title = f"tfprune beside tfmot: {FLAGS.model} on {FLAGS.dataset}"
    summary.finish(rows, title, TEXT, EXTRA)


def run(own, method, share):
    """Prunes, strips, exports, measures."""
    trained = METHODS[method](own, own.fresh(), share)
    x, _ = own.selection
    small = tfprune.strip(trained) if method != "tfmot" else trained
    files = []
    for name, model in (("dense", own.model), (f"{method}-{share}", small)):
        path = common.path(f"{name}-seed{own.seed}.tflite")
        tfprune.export_tflite(model, path, "int8", x)
        files.append(path)
    times = latency.measure(files)
    x, y = own.test
    scores = interpreter.run(files[1], x)
    return {
        "method": method,
        "budget": share,
        "accuracy": float(np.mean(scores.argmax(-1) == y)),
        "float": own.tested(small),
        "file_bytes": files[1].stat().st_size,
        "gzip_bytes": len(gzip.compress(files[1].read_bytes())),
        "arena_bytes": tfprune.export.arena_bytes(files[1]),
        "latency": times[1] / times[0],
        **summary.measured(small, own.model, bits=8),
    }


def by_tfmot(own, model, share):
    """Prunes with tfmot, in a process of its own."""
    job = common.path(f"tfmot-{share}-seed{own.seed}.npz")
    start = job.with_suffix(".keras")
    study.save(own.model, start)
    values = {name: FLAGS[name].value for name in PASSED}
    values |= {"macs": share, "seed": own.seed, "job": job, "model": start}
    options = [f"--{k}={v}" for k, v in values.items() if v is not None]
    subprocess.run([FLAGS.tfmot_python, __file__, *options], check=True)
    with np.load(job) as arrays:
        model.set_weights([arrays[str(i)] for i in range(len(arrays))])
    return model


def with_tfmot():
    """Runs in the other process."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    own = study.Study(study.images(), int(FLAGS.seed[0]))
    tf_keras.utils.set_random_seed(own.seed)
    steps = len(own.batches()) * FLAGS.epochs
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        0.0, 1 - float(FLAGS.macs[0]), 0, steps // 2, 3, steps // 40 + 1
    )
    model = tfmot.sparsity.keras.prune_low_magnitude(
        twin(own.model, tf_keras), schedule
    )
    rate = tf_keras.optimizers.schedules.CosineDecay(FLAGS.learning_rate, steps)
    model.compile(
        tf_keras.optimizers.SGD(rate, 0.9, True, weight_decay=5e-4),
        tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    update = tfmot.sparsity.keras.UpdatePruningStep()
    options = {"shuffle": False, "verbose": 2, "callbacks": [update]}
    data = sequence(own.batches(), tf_keras)
    model.fit(data, epochs=FLAGS.epochs, **options)
    weights = tfmot.sparsity.keras.strip_pruning(model).get_weights()
    np.savez(FLAGS.job, **{str(i): w for i, w in enumerate(weights)})


def sequence(data, other):
    """Batches as another Keras reads them, each epoch in its own order."""

    class Sequence(other.utils.Sequence):
        def __len__(self):
            return len(data)

        def __getitem__(self, index):
            return data[index]

        def on_epoch_end(self):
            data.epoch += 1  # Keras 3 tells them when an epoch begins.

    return Sequence()


def twin(model, other):
    """Copies a functional network, with its weights, into another Keras."""
    made = {id(x): other.Input(x.shape[1:]) for x in model.inputs}
    inputs = list(made.values())
    for layer in model.layers[1:]:
        name, config = type(layer).__name__, layer.get_config()
        told = {key: config[key] for key in TOLD.get(name, ())}
        new = getattr(other.layers, name)(**told)
        read = [made[id(x)] for x in keras.tree.flatten(layer.input)]
        made[id(layer.output)] = new(read if len(read) > 1 else read[0])
        new.set_weights(layer.get_weights())
    return other.Model(inputs, [made[id(x)] for x in model.outputs])


METHODS = {
    "dense": recipes.dense,
    "tfmot": by_tfmot,
    "zeros": recipes.gradual,
    "channels": recipes.channels,
}
TEXT = (
    "Accuracy of the int8 file on the test images, mean (least to most) over "
    "the seeds; all rows have the same epochs after the dense network. "
    "`tfmot` and `zeros` keep a share of the weights, `channels` a share of "
    "the multiply-adds. `latency` is that of TFLite over the dense network's, "
    "measured in turn, and `float` the accuracy before quantization."
)
EXTRA = (
    ("float", lambda rows: f"{summary.mean(rows, 'float'):.2%}"),
    *(
        (name, lambda rows, k=f"{name}_bytes": f"{summary.mean(rows, k):,.0f}")
        for name in ("file", "gzip", "arena")
    ),
    ("latency", lambda rows: tables.percent(summary.mean(rows, "latency"))),
)


if __name__ == "__main__":
    app.run(main)
