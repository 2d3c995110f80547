"""The TFLite Micro interpreter, run by `child.Child`.

A script without imports from tfprune. The interpreter aborts the process on
some damaged files, and reports what it lacks only on C's stderr.
"""

import os
import re
import signal
import tempfile
import time

import numpy as np

# The first arena suits most models; after a failure it is four times as large.
# The system does not back memory that is never touched.
_FIRST_ARENA = 1 << 24
_LAST_ARENA = 1 << 30
_ALIGNMENT = 16
# Of an inference of a file with loops, which may have no end.
_LOOP_SECONDS = 60
_ALLOCATED = re.compile(r"Arena allocation (\w+) (\d+) bytes")


def seconds(ops):
    """How long an inference may take; 0 means that there is no limit.

    Args:
        ops: container of `str`, the kinds of the file's ops.
    """
    return _LOOP_SECONDS if "WHILE" in ops else 0


def prepare():
    """Imports TFLite Micro before the first request."""
    from tflite_micro.python.tflite_micro import runtime  # noqa: F401


def handle(request):
    """Answers a request, a `dict` with an `action`.

    "measure" takes `paths`, files with the same inputs, and `inputs`,
    `[shape, dtype]` of each input. It returns the sizes of the arena of each
    file, in bytes. "run" takes `path`, `inputs`, the `.npy` files `(N, ...)` in
    the dtypes of the file, `outputs`, the files to write, and perhaps `rows`,
    the first sample and the one after the last. "time" takes `paths` and
    `inputs` as "measure" does, and `runs`. The files take turns; it returns the
    shortest inference of each in seconds. All take `seconds` of this processor,
    after which an inference ends the process with SIGVTALRM.
    """
    return _ACTIONS[request["action"]](request)


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def _measure(request):
    limit = request.get("seconds", 0)
    return [
        _arena(_read(p), request["inputs"], limit) for p in request["paths"]
    ]


def _arena(data, inputs, limit):
    interpreter, _ = _start(data)
    zeros = [np.zeros(shape, dtype) for shape, dtype in inputs]
    _invoke(interpreter, zeros, limit)
    found = dict(_ALLOCATED.findall(_stderr_of(interpreter.print_allocations)))
    used = int(found["total"])
    required = _smallest(data, _aligned(used))
    _invoke(_interpreter(data, required), zeros, limit)
    return {
        "required_bytes": required,
        "used_bytes": used,
        "shared_bytes": int(found["head"]),
        "persistent_bytes": int(found["tail"]),
    }


def _run(request):
    interpreter, _ = _start(_read(request["path"]))
    columns = [np.load(path, mmap_mode="r") for path in request["inputs"]]
    rows = []
    for i in range(*request.get("rows", [len(columns[0])])):
        # A recurrent model must not carry its state to the next sample.
        interpreter.reset()
        row = [column[i : i + 1] for column in columns]
        _invoke(interpreter, row, request.get("seconds", 0))
        indices = range(len(request["outputs"]))
        rows.append([interpreter.get_output(j) for j in indices])
    for j, path in enumerate(request["outputs"]):
        np.save(path, _joined([row[j] for row in rows]))


def _joined(values):
    """One array `(N, ...)` of the outputs of N samples.

    An output may have no batch axis, if the model has reduced it.
    """
    stacked = np.stack(values)
    return stacked[:, 0] if stacked.shape[1:2] == (1,) else stacked


def _time(request):
    models = [_start(_read(path))[0] for path in request["paths"]]
    zeros = [np.zeros(shape, dtype) for shape, dtype in request["inputs"]]
    least = [float("inf")] * len(models)
    for _ in range(request["runs"]):
        for i, model in enumerate(models):
            start = time.perf_counter()
            _invoke(model, zeros, request.get("seconds", 0))
            least[i] = min(least[i], time.perf_counter() - start)
    return least


_ACTIONS = {"measure": _measure, "run": _run, "time": _time}


def _interpreter(data, arena):
    from tflite_micro.python.tflite_micro import runtime

    return runtime.Interpreter.from_bytes(data, arena_size=arena)


def _start(data):
    """`(interpreter, size)`, with the first arena that is large enough."""
    size = _FIRST_ARENA
    while True:
        try:
            return _interpreter(data, size), size
        except RuntimeError:
            if size >= _LAST_ARENA:
                raise
        size *= 4


def _starts(data, arena):
    """Whether a model starts in an arena, tried in a process of its own.

    The interpreter may crash if the arena is exhausted by planning.
    """
    process = os.fork()
    if not process:
        status = 1
        try:
            _interpreter(data, arena)
            status = 0
        finally:
            # Whatever was raised, the copy must not go on as a second runner.
            os._exit(status)
    return os.waitpid(process, 0)[1] == 0


def _smallest(data, least):
    """The smallest arena of at least `least` bytes that is large enough.

    The memory planner keeps temporary tables in the arena, so that small models
    need more to start than they use afterwards.
    """
    if _starts(data, least):
        return least
    low, high = least, 2 * least
    while not _starts(data, high):
        low, high = high, 2 * high
    while high - low > _ALIGNMENT:
        middle = _aligned((low + high) // 2)
        low, high = (low, middle) if _starts(data, middle) else (middle, high)
    return high


def _aligned(count):
    return -(-count // _ALIGNMENT) * _ALIGNMENT


def _invoke(interpreter, inputs, limit):
    for i, value in enumerate(inputs):
        interpreter.set_input(value, i)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    interpreter.invoke()
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _stderr_of(function):
    """What a function writes to C's stderr."""
    saved = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            function()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        file.seek(0)
        return file.read().decode()
