"""The warm measuring process: imports what is slow once, then forks a fresh child for each request it reads.

    python -m advisor.measure.workers.host

Requests come as lines on stdin, messages go as lines to stdout, all else to stderr; the end of stdin ends it.
What may not be shared with a child is not there when it forks: this process has one thread and no CUDA context.
Where that cannot be had (not Linux), it does one request itself and exits, so that the next one finds a new one.
"""

from __future__ import annotations

import os

# NumPy's own threads would be there before the first fork; PyTorch brings another library for products
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import contextlib
import gc
import importlib
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import psutil
import scipy.special  # noqa: F401  # a tenth of a second, for the intervals
import timm
import torch

from advisor.errors import AdvisorError
from advisor.measure import lines
from advisor.measure.cpu import cgroup_folders, read_text
from advisor.measure.request import Request
from advisor.measure.run import Measured
from advisor.measure.runtimes.interface import IMPORTED_ONCE, CannotRun
from advisor.measure.talk import death
from advisor.measure.workers import failures, forked, largest_batch, roof, session

MEMORY_SHARE = 0.9  # of what is available, that a child may take
_LARGEST_SHARE = 0.5  # of the time limit, for the rest when the largest batch is looked for too
_NO_LARGEST = "The largest batch is only looked for on Linux, where trying it in a process of its own is safe."
_IN_EAGER = "The largest batches are those of eager mode: compiling for each size would take the time of the search."
_OOM_SCORE = "1000"  # should memory run out all the same, the system kills a measuring child first
Send = Callable[[str, Any], None]


def main() -> None:
    """Serve until stdin ends."""
    messages = os.dup(1)
    os.dup2(2, 1)  # whatever prints by accident prints to the log
    send = _sender(messages)
    gc.freeze()  # what is imported is never garbage: collections in children are quick and copy no pages
    send("ready", {"pid": os.getpid(), "versions": {"torch": str(torch.__version__), "timm": timm.__version__}})
    for line in sys.stdin.buffer:
        kind, value = lines.decode(line)
        value["began_s"] = time.monotonic()
        if not _can_fork():
            send("started", {"pid": os.getpid()})
            _answer(kind, value, send)
            _say_ended(messages, send, 0)
            return
        if not _serve(kind, value, messages, send):
            return


def _sender(fd: int) -> Send:
    return lambda kind, value: forked.write_all(fd, lines.encode(kind, value))


def _can_fork() -> bool:
    return sys.platform == "linux" and psutil.Process().num_threads() == 1 and not torch.cuda.is_initialized()  # type: ignore[no-untyped-call]


def _serve(kind: str, value: dict[str, Any], messages: int, send: Send) -> bool:
    """Fork a child for one request and wait for its end; False where nobody listens any more."""
    _import_once(value.get("runtime"))
    lifeline, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(held)
        _child(kind, value, lifeline, send)
    os.close(lifeline)
    with contextlib.suppress(OSError):  # the child does the same; whoever is first
        os.setpgid(pid, pid)
    try:
        send("started", {"pid": pid})
        heard = _wait(pid)
    finally:
        with contextlib.suppress(ProcessLookupError):  # what it has started must not disturb the next one
            os.killpg(pid, signal.SIGKILL)
        os.close(held)
        status = os.waitpid(pid, 0)[1]
    _say_ended(messages, send, status)
    return heard


def _import_once(runtime: Any) -> None:
    """Have the children of a runtime find imported what each would else import for itself."""
    name = IMPORTED_ONCE.get(runtime)
    if name is not None and name not in sys.modules:
        with contextlib.suppress(Exception):  # the child fails in the same way, and says why
            importlib.import_module(name)
        gc.freeze()


def _wait(pid: int) -> bool:
    """Block until the child has ended (True) or the other end of stdin is gone (False)."""
    handle = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(0, 0)  # a hang-up is always told, even while unread requests wait
    try:
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if handle in ready:
                return True
            if 0 in ready:
                return False
    finally:
        os.close(handle)


def _say_ended(messages: int, send: Send, status: int) -> None:
    """The last message of a request, on a line of its own even where the child died in the middle of one."""
    forked.write_all(messages, b"\n")
    code = os.waitstatus_to_exitcode(status)
    send("ended", {"code": code if code >= 0 else None, "signal": -code if code < 0 else None})


# -- in the child ------------------------------------------------------------------------------------


def _child(kind: str, value: dict[str, Any], lifeline: int, send: Send) -> NoReturn:
    os.setpgid(0, 0)
    forked.die_with(lifeline)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    forked.leave(lambda: _answer(kind, value, send))


def _answer(kind: str, value: dict[str, Any], send: Send) -> None:
    """Do one request and say what came of it."""
    if kind == "roof":
        _roof(value, send)
    elif kind == "measure":
        began_s, limit_mb = value.pop("began_s", None), value.pop("memory_limit_mb", None)
        try:
            request = lines.request_of(value)
        except AdvisorError as exc:
            send("failed", {"reason": str(exc)})
            return
        if request.target == "cpu":
            _limit_memory(limit_mb)
        _measure(request, began_s, send)
    else:
        send("failed", {"reason": f"'{kind[:40]}' is nothing that a measuring process does."})


def _measure(request: Request, began_s: float, send: Send) -> None:
    if "max-batch" not in request.extras or not _can_fork():
        notes = (_NO_LARGEST,) if "max-batch" in request.extras else ()
        _say_result(request, began_s, send, notes=notes)
        return
    # This process stays as it is, to fork the tries of the largest batch; the rest is measured in one of its own.
    share = _LARGEST_SHARE * request.time_limit_s
    first = replace(request, time_limit_s=max(1.0, request.time_limit_s - share))
    child = forked.Forked(lambda write: _say_result(first, began_s, lambda k, v: write(lines.encode(k, v))))
    found, failed = None, False
    for line in child.lines():
        kind, value = lines.decode(line)
        if kind == "measured":
            found = lines.typed(value, Measured)
        else:
            failed = failed or kind == "failed"
            send(kind, value)
    if found is not None:
        send("measured", _with_largest_batch(found, request, began_s, send))
    elif not failed:
        code = os.waitstatus_to_exitcode(child.status or 0)
        send("failed", {"reason": death(code if code > 0 else None, -code if code < 0 else None, "")})


def _say_result(request: Request, began_s: float, send: Send, *, notes: tuple[str, ...] = ()) -> None:
    try:
        found = session.measure(request, lambda progress: send("progress", progress), began_s=began_s)
    # The process's last chance to say why in a sentence: networks and runtimes raise whatever they like.
    except Exception as exc:
        if not isinstance(exc, AdvisorError | CannotRun):
            traceback.print_exc()
        send("failed", {"reason": failures.in_words(exc, request)})
    else:
        send("measured", replace(found, notes=(*found.notes, *notes)))


def _with_largest_batch(found: Measured, request: Request, began_s: float, send: Send) -> Measured:
    """The same with its last part, or with a note that says why it is not there."""
    left_s = began_s + session.USABLE_SHARE * request.time_limit_s - time.monotonic()
    began = time.monotonic()
    try:
        largest = largest_batch.find(
            request, threads=found.threads, budget_s=left_s, say=lambda progress: send("progress", progress)
        )
    except (AdvisorError, CannotRun, OSError) as exc:
        return replace(found, notes=(*found.notes, f"The largest batch could not be found: {exc}"))
    notes = (*found.notes, _IN_EAGER) if request.runtime == "pytorch-compile" else found.notes
    return replace(
        found, largest_batch=largest, notes=notes,
        seconds=found.seconds | {"largest batch": time.monotonic() - began},
    )  # fmt: skip


def _roof(value: dict[str, Any], send: Send) -> None:
    try:
        threads = session.set_threads(value["threads"])
        found = roof.measure_roof(value["target"], value["precision"], threads)
    except (CannotRun, AdvisorError, RuntimeError, MemoryError) as exc:
        traceback.print_exc()
        send("failed", {"reason": f"What {value['target']} can do was not measured: {' '.join(str(exc).split())}"})
    else:
        send("roofs", [found])


def _limit_memory(limit_mb: float | None) -> None:
    """Let this process and all it starts take so much beside what they hold, so that more is an error, not a kill.

    RLIMIT_DATA and not RLIMIT_AS: runtimes reserve far more addresses than they use. Elsewhere than on Linux it does
    not hold what is mapped, so there is no limit.
    """
    if sys.platform != "linux":
        return
    limit = MEMORY_SHARE * _available_bytes() if limit_mb is None else limit_mb * 1e6
    with contextlib.suppress(OSError, ValueError):  # a container may forbid it
        limit += psutil.Process().memory_info().data
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = int(limit) if hard == resource.RLIM_INFINITY else min(int(limit), hard)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _available_bytes() -> int:
    """Of the machine, or of our control group if that is less."""
    available = int(psutil.virtual_memory().available)
    for folder in cgroup_folders():
        most, now = (read_text(folder / name) or "" for name in ("memory.max", "memory.current"))
        if most.isdigit() and now.isdigit():
            available = min(available, max(0, int(most) - int(now)))
    return available


if __name__ == "__main__":
    forked.leave(main)  # libraries report what they leak when an interpreter is taken apart
