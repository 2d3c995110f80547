"""Main program of a child: `python child_boot.py SYS_PATH SCRIPT PARENT`.

Requests come on stdin, one line of JSON each. Their outcomes go to stdout, one
line each; the script's answer goes into the file named by the request. On Linux
the process answers many requests, each in its own fork, until it has been idle
for a minute; elsewhere it answers one.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import sys
import threading
import traceback

_IDLE_SECONDS = 60
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


def main():
    _end_with(int(sys.argv[3]))
    sys.path[:] = json.loads(sys.argv[1])
    # Whatever the script prints belongs in the log, not among the replies.
    replies = os.dup(1)
    os.dup2(2, 1)
    script = runpy.run_path(sys.argv[2])
    script["prepare"]()
    if sys.platform == "linux":
        gc.freeze()
        _serve(script["handle"], replies)
    else:
        _answer_one(script["handle"], replies)


def _serve(handle, replies):
    """Answers requests, each in a fork, until there are no more."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    running, text = {}, b""
    while True:
        idle = None if running else _IDLE_SECONDS
        ready = select.select([0, woken], [], [], idle)[0]
        if not ready:
            return
        if woken in ready:
            os.read(woken, 4096)
        for process, number in list(running.items()):
            found, status = os.waitpid(process, os.WNOHANG)
            if found:
                del running[process]
                code = os.waitstatus_to_exitcode(status)
                _tell(replies, number=number, code=code)
        if 0 not in ready:
            continue
        read = os.read(0, 1 << 16)
        if not read:  # The parent has ended.
            for process in running:
                os.kill(process, signal.SIGKILL)
            return
        *lines, text = (text + read).split(b"\n")
        for message in map(json.loads, lines):
            if "cancel" in message:
                for process, number in running.items():
                    if number == message["cancel"]:
                        os.kill(process, signal.SIGKILL)
                continue
            _tell(replies, number=message["number"])
            worker = os.getpid()
            process = os.fork()
            if process:
                running[process] = message["number"]
            else:
                _answer_in_fork(handle, message, worker, replies)


def _answer_in_fork(handle, message, worker, replies):
    """Answers one request and ends the process."""
    code = 1
    try:
        _end_with(worker)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(replies)
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        _answer(handle, message)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _answer_one(handle, replies):
    message = json.loads(sys.stdin.buffer.readline())
    _tell(replies, number=message["number"])
    # Linux ends a child with its parent; here the pipe tells.
    threading.Thread(target=_wait_for_the_end, daemon=True).start()
    _answer(handle, message)


def _wait_for_the_end():
    while os.read(0, 1 << 16):
        pass
    os._exit(1)


def _answer(handle, message):
    with open(message["log"], "wb") as log:
        for stream in (1, 2):
            os.dup2(log.fileno(), stream)
    os.chdir(message["folder"])
    try:
        text = json.dumps({"result": handle(message["request"])})
    except Exception as error:
        text = json.dumps({"error": f"{type(error).__name__}: {error}"})
    with open(message["answer"], "w") as file:
        file.write(text)


def _tell(replies, **message):
    os.write(replies, json.dumps(message).encode() + b"\n")


def _end_with(parent):
    """Has the system end this process when its parent is gone."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # It was gone before.
        os._exit(1)


if __name__ == "__main__":
    main()
