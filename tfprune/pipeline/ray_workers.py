"""Trials side by side: processes of Ray, on this machine or on a cluster.

Each worker gets the arguments of the run and prepares them as the run itself
does. It works in a folder beside the journal, if it sees that one, so that a
trial goes on where it was after a kill; else in a folder of its own. It sends
back answers and files.
"""

import contextlib
import os
import pathlib
import platform
import shutil
import socket
import threading
import time

import keras

from tfprune.core import packages
from tfprune.core.files import atomic
from tfprune.core.files import leftovers
from tfprune.pipeline import attempts
from tfprune.pipeline import clock as clock_lib
from tfprune.pipeline import job as job_lib
from tfprune.pipeline import parcel as parcel_lib
from tfprune.pipeline import preparation
from tfprune.pipeline.request.wishes import TABLE
from tfprune.pipeline.result import first_look
from tfprune.pipeline.result import workspace as workspace_lib

_SECONDS = 1.0  # Between two looks at what the workers said.
_LISTENS = 10.0  # Seconds in which a cluster must accept a connection.
_PATIENCE = 60.0  # Seconds that a killed worker may take to end.
_FOLDER = "workers"


class Team:
    """Workers of a run, which are there in its context.

    Args:
        request: a `preparation.Request`.
        workers: `int`, how many trials run at a time.

    Raises:
        ImportError: If Ray is missing.
        ValueError: If a part of the request cannot be sent.
    """

    def __init__(self, request, workers):
        self._ray = packages.load("ray", "distributed", "Several workers")
        self._workers = workers
        self._parcel = parcel_lib.packed(request, self._ray.cloudpickle)
        self._is_ours = False

    def __enter__(self):
        """Connects to Ray.

        Raises:
            ConnectionError: If no cluster answers at `RAY_ADDRESS`.
        """
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            _start(self._ray, self._workers)
        return self

    def __exit__(self, *error):
        if self._is_ours:
            self._ray.shutdown()

    def side_by_side(self, job, plan):
        """Makes the trials of a plan; as `attempts.in_turn`.

        An error of a worker is raised here as it was there.
        """
        ray = self._ray
        board = ray.remote(num_cpus=0)(_Board).remote()
        cores = _cores_of_each(ray, self._workers)
        variables = {
            "TF_NUM_INTRAOP_THREADS": f"{cores}",
            "KERAS_BACKEND": keras.backend.backend(),
        }
        send = ray.remote(
            num_cpus=cores, runtime_env={"env_vars": variables}, max_retries=2
        )(_work)
        parcel = ray.put(self._parcel)
        found, running = {}, {}
        try:
            while True:
                while len(running) < self._workers:
                    attempt = plan.next()
                    if attempt is None:
                        break
                    attempts.begin(job, attempt)
                    answers = attempts.recalled(job, attempt)
                    found[attempt] = answers
                    if answers is None:
                        order = _order(job, attempt)
                        running[send.remote(parcel, order, board)] = attempt
                    else:
                        plan.took(attempts.seconds(job, attempt))
                if not running:
                    return list(found.values())
                done, _ = ray.wait(list(running), timeout=_SECONDS)
                for facts in ray.get(board.said.remote()):
                    job.tell(**facts)
                if job.clock.stopped:
                    board.stop.remote()
                for future in done:
                    attempt = running.pop(future)
                    answer = _answer(ray, future)
                    found[attempt] = _received(job, attempt, answer)
                    plan.took(attempts.seconds(job, attempt))
        finally:
            for future in running:
                ray.cancel(future, force=True)
            ray.kill(board)


class _Board:
    """Where workers say how far they are, and read whether to stop."""

    def __init__(self):
        self._said, self._is_stopped = [], False

    def say(self, facts):
        self._said.append(facts)

    def said(self):
        """What was said since the last call."""
        said, self._said = self._said, []
        return said

    def stop(self):
        self._is_stopped = True

    def is_stopped(self):
        return self._is_stopped


def _start(ray, workers):
    """Connects to the cluster of `RAY_ADDRESS`, or starts one here."""
    address, here = os.environ.get("RAY_ADDRESS"), {}
    if address is None:
        here = {"num_cpus": max(workers, os.cpu_count() or 1)}
    else:
        _check_answers(address)
    ray.init(include_dashboard=False, log_to_driver=False, **here)


def _check_answers(address):
    """Raises a `ConnectionError` where nobody listens; Ray waits minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return  # Such as "auto".
    try:
        socket.create_connection((host, int(port)), _LISTENS).close()
    except OSError as error:
        raise ConnectionError(
            "A cluster of Ray must answer. Received: "
            f"RAY_ADDRESS={address!r} ({error}). Start it, or unset the "
            "variable: workers run on this machine then."
        ) from error


def _answer(ray, future):
    """What a worker sent; raises what it raised."""
    try:
        return ray.get(future)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


def _cores_of_each(ray, workers):
    """`int`, the cores that each of the workers may use."""
    total = int(ray.cluster_resources().get("CPU", 1))
    largest = max(int(n["Resources"].get("CPU", 1)) for n in ray.nodes())
    return max(1, min(largest, total // workers))


def _order(job, attempt):
    """What a worker must know of the run so far, as plain data."""
    space = job.workspace
    steps = {name: space.get(name) for name in (first_look.BASELINE, TABLE)}
    return {
        "attempt": attempt,
        "folder": str(space.path(_folder_of(attempt))),
        "settings": space.settings,
        "steps": {k: facts for k, facts in steps.items() if facts is not None},
        "limit": job.clock.limit,
        "spent": job.clock.spent,
    }


def _folder_of(attempt):
    return f"{_FOLDER}/{attempt.name}"


def _received(job, attempt, answer):
    """The answers of a worker, its files put beside the journal."""
    space = job.workspace
    facts, files = answer
    atomic.write({space.path(name): data for name, data in files.items()})
    attempts.record(job, attempt, facts)
    if not job.clock.stopped:
        own = space.path(f"{_folder_of(attempt)}.part")
        shutil.rmtree(own, ignore_errors=True)
    return attempts.recalled(job, attempt)


def _work(parcel, order, board):
    """Makes a trial, in a process of its own.

    Args:
        parcel: of `parcel.packed`.
        order: of `_order`.
        board: a `_Board` of the run.

    Returns:
        `(answers, files)`: list of `dict`, as `Answer.facts`, and `dict` from
        names to `bytes`.
    """
    ray = packages.load("ray", "distributed", "Several workers")
    request = parcel_lib.unpacked(parcel, ray.cloudpickle)
    attempt = order["attempt"]
    with leftovers.folder() as own:
        space = _workspace(order, pathlib.Path(own, "trial"))
        for name, facts in order["steps"].items():
            space.put(name, facts)
        clock = clock_lib.Clock(
            None if order["limit"] is None else order["limit"] / 60,
            order["spent"],
        )
        ready = _prepared(request)
        ready.resolve(space)
        job = ready.job(space, clock)
        job_lib.begin(job, order["steps"][first_look.BASELINE])
        clock.reserve = job.baseline["seconds"]

        def tell(stage, **facts):
            said = {"stage": f"trial {attempt.name}: {stage}", **facts}
            board.say.remote(said)

        job.tell = tell
        with _stopped_by(board, clock, ray):
            answers = [a.facts() for a in attempts.made(job, attempt)]
        files = {}
        for answer in answers:
            for ending in (".keras", ".tflite"):
                path = space.path(f"{answer['name']}{ending}")
                if path.exists():
                    files[f"{answer['name']}{ending}"] = path.read_bytes()
        return answers, files


def _prepared(request):
    """A `Preparation`, on a machine that may not have the run's files."""
    try:
        return preparation.Preparation(request)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            "Each machine with a worker must see the files of the data. On "
            f"{platform.node()}: {error} Put them in a folder that all "
            "machines share, or pass arrays, which are sent."
        ) from error


def _workspace(order, own):
    """The folder beside the run's journal, if this machine sees it."""
    folder = pathlib.Path(order["folder"])
    journal = folder.parent.parent / workspace_lib.JOURNAL
    if not journal.is_file():
        return workspace_lib.Workspace(own, order["settings"])
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return workspace_lib.Workspace(folder, order["settings"])
        except RuntimeError:
            # The worker of a run that was killed is about to end.
            if time.monotonic() > until:
                raise
            time.sleep(_SECONDS)


@contextlib.contextmanager
def _stopped_by(board, clock, ray):
    """Stops the clock as soon as the run says so."""
    done = threading.Event()

    def look():
        while not done.wait(_SECONDS):
            if ray.get(board.is_stopped.remote()):
                clock.stopped = True
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
