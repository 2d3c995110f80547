"""PCAS as in the paper: gates, statistics, pruning and retraining."""

import functools
import math
import numbers
import zlib

import keras
import numpy as np

from tfprune.core import records
from tfprune.datasets import samples
from tfprune.graph import read
from tfprune.graph import values
from tfprune.methods import gates
from tfprune.methods import pcas as pcas_lib
from tfprune.recipes import stages as stages_lib
from tfprune.selection import budget as budget_lib
from tfprune.selection import candidates as candidates_lib
from tfprune.selection import cut as cut_lib
from tfprune.selection import select
from tfprune.sparsity import method as method_lib
from tfprune.sparsity import wrapping
from tfprune.surgery import folding
from tfprune.surgery import shrinking

_PURPOSE = "PCAS"


def pcas(
    model,
    data,
    ratio,
    *,
    ranking="global",
    fold=False,
    joint=False,
    gate=None,
    statistics=None,
    loss=None,
    epochs=10,
    optimizer=None,
    retrain_epochs=100,
    retrain_optimizer=None,
    validation_data=None,
    callbacks=(),
    batch_size=128,
    compile_args=None,
    checkpoint_dir=None,
    verbose=0,
    **selection,
):
    """Prunes by the attention statistics of gates, and retrains.

    1. Train gates on the channels; all else is frozen, and batch
       normalization and dropout run in inference mode.
    2. Measure the mean of each gate; each sample counts once.
    3. Remove the channels with the lowest means and all gates, and retrain
       the pruned model.

    Args:
        model: a built, trained `keras.Model`, or a model from `tfprune.wrap`,
            which is unwrapped first, as by `strip`. It is not changed.
        data: inputs and labels to train with: arrays `(x, y)`, a
            `tf.data.Dataset` or a `keras.utils.PyDataset`. Arrays are
            shuffled.
        ratio: float in [0, 1), the fraction of gated channels to remove; or a
            `tfprune.Budget`.
        ranking: `"global"` compares the means of all layers; `"group"`
            removes the same fraction of each group.
        fold: `bool`, whether to multiply the weights that read a channel by
            its mean attention, as a constant gate would; otherwise the gates
            leave no trace.
        joint: `bool`, whether stage 1 trains all weights with the gates.
        gate: an `AttentionGate`; `None` uses its defaults.
        statistics: data for stage 2, without augmentation; labels are not
            used. `None` uses `data`.
        loss: as for `keras.Model.compile`; `None` uses the loss that the
            model was compiled with.
        epochs: `int`, epochs of stage 1.
        optimizer: optimizer of stage 1; by default Adam with a learning rate
            of 1e-3.
        retrain_epochs: `int`, epochs of stage 3; 0 skips retraining.
        retrain_optimizer: optimizer of stage 3; by default SGD with momentum
            0.9, weight decay 5e-4 and a learning rate with cosine decay from
            0.01, updated every epoch.
        validation_data, callbacks: for the `fit` of stage 3.
        batch_size: `int`, used if the data are arrays.
        compile_args: `dict`, other arguments of `compile` in both stages,
            such as `{"metrics": ["accuracy"]}`. The `loss_weights` are those
            that the model was compiled with, unless they are given here.
        checkpoint_dir: folder for each finished stage, and for each epoch of
            an unfinished one. Another call resumes from there, even after a
            kill; it assumes the same data and optimizers. A stage with
            damaged files is run again.
        verbose: as for `fit`.
        **selection: `min_channels`, `channel_multiple` and `skip`, as for
            `tfprune.prune`. Skipped layers get no gates.

    Returns:
        A plain Keras model, compiled as in stage 3.

    Raises:
        ValueError: If data, loss, ratio or folder are unusable, no layer can
            have a gate, or `fold` cannot be exact. Raised before any
            training.

    Example:

    >>> skip = ["stem_conv", "*_conv2", "*_shortcut_conv"]
    >>> small = tfprune.recipes.pcas(model, (x, y), 0.5, skip=skip)
    """
    model = wrapping.plain(model)
    gate = pcas_lib.AttentionGate() if gate is None else gate
    pcas_lib.check_gate(gate)
    epochs = pcas_lib.count("epochs", epochs)
    retrain_epochs = pcas_lib.count("retrain_epochs", retrain_epochs)
    optimizer, retrain_optimizer = (
        each if each is None else keras.optimizers.get(each)
        for each in (optimizer, retrain_optimizer)
    )
    graph = read.channel_graph(model)
    values.check_finite(graph.model)
    settings = pcas_lib.checked(graph, data, _PURPOSE, loss, batch_size)
    look = functools.partial(_look_at, graph.model, batch_size)
    look(statistics, "the mean attention")
    if retrain_epochs:
        look(validation_data, "the validation of PCAS", labels=True, loss=loss)
    compile_args = {
        **settings,
        **(compile_args or {}),
        "loss": settings["loss"],
    }
    skip = selection.get("skip", ())
    gated = gates.attach(graph, gate, skip)
    _rehearse(graph, ratio, ranking, fold, selection)
    stages = stages_lib.Stages(
        checkpoint_dir,
        weights=_digest(model),
        gate=records.serialize(gate, method_lib.METHODS),
        joint=joint,
        epochs=epochs,
        skip=skip,
    )
    if not stages.load("gates", gated):
        batches = samples.for_fit(data, batch_size)
        pcas_lib.train(
            gated,
            batches,
            {**compile_args, "optimizer": optimizer},
            joint,
            epochs=epochs,
            batch_size=batch_size,
            callbacks=stages.callbacks("gates", batches),
            verbose=verbose,
        )
        stages.save("gates", gated)
    if not stages.load("statistics", gated):
        seen = data if statistics is None else statistics
        pcas_lib.measure(gated, seen, batch_size)
        stages.save("statistics", gated)
    if joint:
        graph = read.channel_graph(wrapping.unwrap(gated, fold=False))
    scores = pcas_lib.mean_attention(graph, gated, skip)
    keep = choose(graph, scores, ratio, ranking, **selection)
    cut = cut_lib.Cut(graph, keep)
    if fold:
        means = _means(graph, gated, skip)
        cut = cut.changed(folding.into_readers(graph, means))
    small = shrinking.apply(cut)
    settings = {
        "keep": zlib.crc32(np.packbits(keep).tobytes()),
        "fold": fold,
        "retrain_epochs": retrain_epochs,
    }
    callbacks = keras.tree.flatten(callbacks or [])
    if retrain_optimizer is None:
        retrain_optimizer = _sgd()
        callbacks.insert(0, _cosine(retrain_epochs))
    small.compile(**{**compile_args, "optimizer": retrain_optimizer})
    if not stages.load("retrained", small, **settings):
        if retrain_epochs:
            batches = samples.for_fit(data, batch_size)
            small.fit(
                batches,
                epochs=retrain_epochs,
                validation_data=validation_data,
                callbacks=callbacks + stages.callbacks("retrained", batches),
                shuffle=False,
                verbose=verbose,
            )
        stages.save("retrained", small)
    return small


def choose(graph, scores, ratio, ranking="global", **selection):
    """Returns the channels that PCAS keeps.

    With a ratio, `int(n * ratio)` of the `n` channels with a score are
    removed. A global ranking meets this number exactly: channels that
    `min_channels` protects in one group are removed elsewhere instead. Ties
    remove the first channel first.

    Args:
        graph: a `ChannelGraph`.
        scores: float array, shape `(graph.size,)`; a channel that scores
            infinity stays.
        ratio, ranking, **selection: as for `pcas`.

    Returns:
        Bool array, shape `(graph.size,)`.

    Raises:
        ValueError: If the ratio is out of range, or cannot be met.
    """
    if ranking not in ("global", "group"):
        raise ValueError(
            "`ranking` must be 'global' or 'group'. Received: "
            f"ranking={ranking!r}."
        )
    if isinstance(ratio, budget_lib.Budget):
        return select.by_budget(
            graph, scores, ratio, ranking, "none", **selection
        )
    if not isinstance(ratio, numbers.Real) or not 0 <= ratio < 1:
        raise ValueError(
            "`ratio` must be the fraction of channels to remove, a float in "
            f"[0, 1), or a tfprune.Budget. Received: ratio={ratio!r}."
        )
    candidates = candidates_lib.Candidates(graph, scores, **selection)
    sizes = [len(order) for order in candidates.order]
    if ranking == "group":
        return candidates.keep([n - _share(n, ratio) for n in sizes])
    left = int(graph.removable.sum()) - _share(sum(sizes), ratio)
    budget = budget_lib.Budget(channels=left)
    return select.by_budget(graph, scores, budget, "raw", **selection)


def _share(count, ratio):
    # 0.29 * 100 is 28.999... in floats; 29 is meant.
    return int(count * ratio + 1e-9)


def _look_at(model, batch_size, data, purpose, **options):
    """Raises the errors of a first batch before stage 1 is trained."""
    # What can be read only once would lack the batch later.
    if data is not None and not hasattr(data, "__next__"):
        next(samples.batches(data, purpose, batch_size, model=model, **options))


def _rehearse(graph, ratio, ranking, fold, selection):
    """Raises the errors of stage 3 before stage 1 is trained."""
    scores = np.full(graph.size, np.inf)
    sites = gates.sites(graph, selection.get("skip", ()))
    for site in sites:
        scores[site.labels] = 1.0
    choose(graph, scores, ratio, ranking, **selection)
    if fold:
        rng = np.random.default_rng(0)
        factors = rng.uniform(0.1, 0.9, (len(sites), graph.size))
        folding.into_readers(
            graph,
            {
                site.path: _only(site.labels, row)
                for site, row in zip(sites, factors, strict=True)
            },
        )


def _means(graph, gated, skip):
    """The factors to fold for each gate, by the path of its layer."""
    found = {}
    for site in gates.sites(graph, skip):
        wrapper = gates.layer_at(gated, site.path)
        (mean,) = wrapper.folded().values()
        factors = np.ones(graph.size)
        factors[site.labels] = np.ravel(mean)
        found[site.path] = factors
    return found


def _only(labels, values_of_all):
    factors = np.ones(len(values_of_all))
    factors[labels] = values_of_all[labels]
    return factors


def _sgd():
    return keras.optimizers.SGD(0.01, momentum=0.9, weight_decay=5e-4)


def _cosine(epochs):
    return keras.callbacks.LearningRateScheduler(
        lambda epoch: 0.005 * (1 + math.cos(math.pi * epoch / epochs))
    )


def _digest(model):
    """A checksum that distinguishes models with different weights."""
    digest = 0
    for weight in model.weights:
        array = np.ascontiguousarray(values.numpy(weight, exact=True))
        digest = zlib.crc32(array.tobytes(), digest)
    return digest
