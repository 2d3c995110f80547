"""The search for how much of each group of channels may go."""

import dataclasses
import hashlib
import json
import time

import keras
import numpy as np

from tfprune import ddpg
from tfprune import environment
from tfprune import masked_evaluation
from tfprune import progress_bar
from tfprune import recalibration
from tfprune import registry
from tfprune import samples
from tfprune import score
from tfprune.export import files
from tfprune.graph import read
from tfprune.graph import rebuild
from tfprune.graph import values
from tfprune.methods import amc

strategies = registry.Registry("strategy")
_PURPOSE = "the search"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One network that was tried.

    Attributes:
        accuracy: `float`, before fine-tuning, on the data of the search.
        reward: `float`, what the strategy was told.
        macs, params: `int`.
        seconds: `float`, of wall time for this trial.
        kept: tuple of `float`, the share of each group that stayed.
    """

    accuracy: float
    reward: float
    macs: int
    params: int
    seconds: float
    kept: tuple


@dataclasses.dataclass(frozen=True, eq=False)
class Search:
    """What a search found.

    Attributes:
        strategy: `str`.
        groups: tuple of `str`, the groups that were searched.
        dense: `float`, the accuracy with all channels.
        trials: tuple of `Trial`, in their order.
        traces: `int`, how often the model was traced for all of them.
        evaluated: `int`, how many different networks were measured.
        model: the pruned model of the best trial, not fine-tuned, with the
            normalisation that it was measured with.
    """

    strategy: str
    groups: tuple
    dense: float
    trials: tuple
    traces: int
    evaluated: int
    model: object

    @property
    def best(self):
        """The `Trial` with the highest reward, the first of several."""
        return max(self.trials, key=lambda trial: trial.reward)

    @property
    def ratios(self):
        """`dict` from the name of each group to the share that stayed."""
        return dict(zip(self.groups, self.best.kept, strict=True))

    def to_dict(self):
        """Everything but the model, as plain data."""
        found = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("model", "trials")
        }
        trials = [dataclasses.asdict(trial) for trial in self.trials]
        return {**found, "ratios": self.ratios, "trials": trials}

    def save(self, path):
        """Writes everything but the model as JSON."""
        path = files.writable(path)
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        files.write({path: text.encode()})


def search(
    model,
    data,
    budget=None,
    strategy="amc",
    evaluations=400,
    reward="error",
    criterion="l1",
    criterion_data=None,
    recalibrate=None,
    limit=None,
    seed=0,
    checkpoint=None,
    progress=True,
    settings=None,
    **options,
):
    """Finds how many channels of each group stay, by trying.

    The model is traced once: every trial sets the weights that read removed
    channels to zero and runs inference. Which channels of a group go is up
    to the criterion. The same arguments give the same trials.

    Args:
        model: a built `keras.Model`; it is not changed.
        data: `(x, y)` to measure accuracy on, images that neither training
            nor the final test sees; see `tfprune.samples`.
        budget: a `tfprune.Budget` that no trial exceeds. `None`, with
            `reward` `"flops"` or `"params"`, lets accuracy decide.
        strategy: `"amc"`, an agent that learns; `"random"`, one that does
            not; or a single network: `"uniform"` removes the same share of
            each group, `"shallow"` more of the first groups, `"deep"` more
            of the last.
        evaluations: `int`, trials of `"amc"` and `"random"`.
        reward: `"error"`, `"flops"` or `"params"`; see `tfprune.methods.amc`.
        criterion, criterion_data: as `criterion` and `data` of
            `tfprune.prune`.
        recalibrate: inputs by which batch normalisation is measured anew in
            each trial; some hundred make the trials much more telling.
        limit: `int`, samples of `data` that are looked at; `None` for all.
        seed: `int`.
        checkpoint: path of a JSON file in which every accuracy is kept as
            soon as it is known. A search that was stopped, started again
            with the same arguments, goes through the trials it finds there
            without measuring them again. Searches of the same model and data
            can share it.
        progress: `bool`, whether a progress bar is shown.
        settings: `tfprune.methods.amc.Settings`; by default those of the
            paper, with at most a quarter of the trials as warm-up.
        **options: `state` and `lowest`, see `PruningEnvironment`;
            `min_channels`, `channel_multiple` and `skip`, as for
            `tfprune.prune`.

    Returns:
        A `Search`.

    Raises:
        ValueError: If a name is unknown, data are missing, the budget is out
            of reach, or neither budget nor reward bounds the search.

    Example:

    >>> found = tfprune.search(model, (x_val, y_val), tfprune.Budget(macs=0.5))
    >>> found.model, found.ratios
    """
    play = strategies.get(strategy)
    if budget is None and reward == "error":
        raise ValueError(
            "A budget is needed where the reward counts the error alone. "
            "Received: budget=None, reward='error'. Give a tfprune.Budget, "
            "or reward='flops' or 'params'."
        )
    if evaluations < 1:
        raise ValueError(
            "At least one trial is needed. Received: "
            f"evaluations={evaluations!r}."
        )
    graph = read.channel_graph(model)
    scores = score.channel_scores(graph, criterion, criterion_data)
    measured = masked_evaluation.MaskedEvaluation(
        graph, data, limit=limit, purpose=_PURPOSE, recalibrate=recalibrate
    )
    memory = _Memory(measured, checkpoint, (graph, data, limit, recalibrate))
    env = environment.PruningEnvironment(
        graph, scores, memory.value, budget, reward, **options
    )
    if settings is None:
        warmup = min(amc.Settings.warmup, max(1, evaluations // 4))
        settings = amc.Settings(warmup=warmup, seed=seed)
    dense = memory.value(np.ones(graph.size, bool))
    trials, keeps = [], []
    with progress_bar.bar(progress) as bar:
        task = bar.add_task(strategy, total=None)
        start = time.perf_counter()
        for value, info in play(env, evaluations, settings):
            now = time.perf_counter()
            trials.append(_trial(graph, env, value, info, now - start))
            keeps.append(info["keep"])
            best = max(trial.accuracy for trial in trials)
            bar.update(
                task, advance=1, description=f"{strategy}, best {best:.2%}"
            )
            start = now
    best = max(range(len(trials)), key=lambda i: trials[i].reward)
    small = rebuild.shrink(graph, keeps[best])
    if recalibrate is not None:
        small = recalibration.recalibrate(small, recalibrate)
    return Search(
        strategy=strategy,
        groups=tuple(group.name for group in env.groups),
        dense=dense,
        trials=tuple(trials),
        traces=measured.traces,
        evaluated=measured.count,
        model=small,
    )


def _trial(graph, env, value, info, seconds):
    keep, cost = info["keep"], info["cost"]
    kept = tuple(float(keep[group.labels].mean()) for group in env.groups)
    return Trial(info["accuracy"], value, cost.macs, cost.params, seconds, kept)


class _Memory:
    """Accuracies by channels, in a file if there is one.

    Args:
        measured: a `MaskedEvaluation`.
        path: of the file, or `None`.
        basis: tuple `(graph, data, limit, recalibrate)`, what accuracies
            depend on besides the channels.
    """

    def __init__(self, measured, path, basis):
        self._measured = measured
        self._path = None if path is None else files.writable(path)
        self._found = {"basis": None, "accuracies": {}}
        if self._path is None:
            return
        key = _key(*basis)
        if self._path.exists():
            self._found = json.loads(self._path.read_text())
            if self._found["basis"] != key:
                raise ValueError(
                    "A checkpoint must be of the same weights and data. "
                    f"Received: checkpoint={str(path)!r}, which is of others. "
                    "Choose another path."
                )
        self._found["basis"] = key

    def value(self, keep):
        known = self._found["accuracies"]
        key = np.packbits(keep).tobytes().hex()
        if key not in known:
            known[key] = self._measured.value(keep)
            if self._path is not None:
                files.write({self._path: json.dumps(self._found).encode()})
        return known[key]


def _key(graph, data, limit, recalibrate):
    """A hash of all numbers that an accuracy depends on, `str`."""
    found = hashlib.sha256()
    for variable in graph.model.weights:
        found.update(values.numpy(variable).tobytes())
    for part, most in ((data, limit), (recalibrate, None)):
        found.update(b"data")
        if part is None:
            continue
        for x, y in samples.batches(part, _PURPOSE, limit=most):
            for array in keras.tree.flatten((x, () if y is None else y)):
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _episode(env, act):
    """Plays one network; `act` gives an action for a state."""
    state, _ = env.reset()
    steps, done = [], False
    while not done:
        action = act(state)
        after, value, done, _, info = env.step(action)
        steps.append((state, action, after, float(done)))
        state = after
    return steps, value, info


@strategies.register("amc")
def _amc(env, evaluations, settings):
    agent = ddpg.Agent(env.observation_space.shape[0], settings)
    for number in range(evaluations):
        steps, value, info = _episode(env, lambda s, n=number: agent.act(s, n))
        agent.learn(number, steps, value)
        yield value, info


@strategies.register("random")
def _random(env, evaluations, settings):
    rng = np.random.default_rng(settings.seed)
    for _ in range(evaluations):
        _, value, info = _episode(env, lambda state: rng.uniform())
        yield value, info


def _single(slope):
    """One network whose removed share is linear in the depth of a group.

    Args:
        slope: function from a depth in [0, 1] to the weight of a group.
    """

    def play(env, evaluations, settings):
        del evaluations, settings
        count = len(env.groups)
        weights = [slope(i / max(count - 1, 1)) for i in range(count)]
        low, high = 0.0, 1.0
        for _ in range(20):  # the least removal that no step has to enlarge
            middle = (low + high) / 2
            if env.fits(_shares(weights, middle)):
                high = middle
            else:
                low = middle
        shares = iter(_shares(weights, high))
        _, value, info = _episode(env, lambda state: next(shares))
        yield value, info

    return play


def _shares(weights, strength):
    return [1 - min(1.0, strength * weight) for weight in weights]


strategies.register("uniform")(_single(lambda depth: 1.0))
strategies.register("shallow")(_single(lambda depth: 2 * (1 - depth)))
strategies.register("deep")(_single(lambda depth: 2 * depth))
