"""A measuring process without torch that speaks the line protocol, and misbehaves where a request says so.

The architecture of a request names what the child does, see `BEHAVIOURS`. Of the advisor nothing is imported, so
that it starts at once and the lines are checked against an independent writer. `FAKE_DIR` is a folder shared
with the test: `events` holds one line "begin|end architecture pid monotonic" a child; a child "gate..." goes on
once `<architecture>.open` is there, and a roof is measured while `roof.held` is not.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["FAKE_DIR"])
SPACING_S = 0.005


def say(kind: str, value: Any) -> None:
    os.write(1, json.dumps({"kind": kind, "value": value}).encode() + b"\n")


def progress(stage: str, done: int = 0, total: int | None = None, error: float | None = None) -> None:
    say("progress", {"stage": stage, "done": done, "total": total, "error": error, "detail": ""})


def note(event: str, architecture: str) -> None:
    line = f"{event} {architecture} {os.getpid()} {time.monotonic():.6f}\n"
    fd = os.open(FOLDER / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)


def measured(request: dict[str, Any], p50: float = 10.0) -> dict[str, Any]:
    times = [p50 - 0.1, p50, p50 + 0.1]
    return {
        "img_size": request["img_size"] or 224, "threads": request["threads"] or 1,
        "precision_used": next((p for p in ("tf32", "bf16") if request["architecture"].endswith(p)), "fp32"),
        "params": 1000, "seconds": {"time": 0.1},
        "environment": {"cuda_device_order": os.environ.get("CUDA_DEVICE_ORDER")},
        "latency": {
            "times_ms": times, "block": 1, "p50": p50, "p90": p50 + 0.1, "p99": None, "mad": 0.1,
            "ci95": [p50 - 0.1, p50 + 0.1], "cold_start_ms": 2 * p50, "settled": True, "warmup_passes": 3,
            "stopped": "precise", "timer": "wall clock",
        },
        "memory": {"peak_allocated_mb": None, "peak_reserved_mb": None, "peak_rss_mb": 1.0, "weights_file_mb": 1.0},
        "load": {"other_cores": 0.0, "steal_share": 0.0, "throttled": ""},
    }  # fmt: skip


def ok(request: dict[str, Any]) -> None:
    progress("building")
    progress("timing", 34, 100, 0.031)
    say("measured", measured(request))


def gate(request: dict[str, Any]) -> None:
    progress("timing", 1, 100)
    while not (FOLDER / f"{request['architecture']}.open").exists():
        time.sleep(SPACING_S)
    say("measured", measured(request))


def slow(request: dict[str, Any]) -> None:
    for done in range(1, 101):
        progress("timing", done, 100)
        time.sleep(SPACING_S)
    say("measured", measured(request))


def drifting(request: dict[str, Any]) -> None:
    counter = FOLDER / "drifting"
    count = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(count + 1))
    say("measured", measured(request, 10.0 + count))


def forever(_request: dict[str, Any]) -> None:
    progress("timing", 1, 100)
    while True:
        time.sleep(60)


def half_line(_request: dict[str, Any]) -> None:
    os.write(1, b'{"kind":"measured","value":{"img_si')
    os.kill(os.getpid(), signal.SIGKILL)


def megabytes(_request: dict[str, Any]) -> None:
    while True:
        os.write(1, b"x" * 2**20)


def noise(line: bytes) -> Callable[[dict[str, Any]], None]:
    def print_it(request: dict[str, Any]) -> None:
        os.write(1, line + b"\n")
        say("measured", measured(request))

    return print_it


def noise_forever(request: dict[str, Any]) -> None:
    os.write(1, b"Segmentation fault (core dumped)\n")
    forever(request)


def much_log(request: dict[str, Any]) -> None:
    for _ in range(64):
        os.write(2, b"a warning\n" * 10_000)
    say("measured", measured(request))


def child_of_child(new_session: bool, then: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def start(request: dict[str, Any]) -> None:
        script = "import time; time.sleep(600)"
        grandchild = subprocess.Popen([sys.executable, "-S", "-c", script], start_new_session=new_session)
        (FOLDER / "grandchild.part").write_text(str(grandchild.pid))
        (FOLDER / "grandchild.part").replace(FOLDER / "grandchild")
        then(request)

    return start


def roof(request: dict[str, Any]) -> None:
    while (FOLDER / "roof.held").exists():
        time.sleep(SPACING_S)
    values = {"precision": request["precision"], "threads": request["threads"]}
    say("roofs", [values | {"macs_per_s": 1e11, "bytes_per_s": 1e10}])


def linger(request: dict[str, Any]) -> None:
    say("measured", measured(request))
    forever(request)


def answer_then_crash(request: dict[str, Any]) -> None:
    say("measured", measured(request))
    os.kill(os.getpid(), signal.SIGKILL)


def memory_error(_request: dict[str, Any]) -> None:
    raise MemoryError


def exit_3(_request: dict[str, Any]) -> None:
    os.write(2, b"cannot go on: no such kernel\n")
    os._exit(3)


BEHAVIOURS: dict[str, Callable[[dict[str, Any]], None]] = {
    "ok": ok, "gate": gate, "slow": slow, "drifting": drifting, "forever": forever, "roof": roof,
    "half_line": half_line, "megabytes": megabytes, "linger": linger, "answer_then_crash": answer_then_crash,
    "broken_json": noise(b'{"kind": "progress", "value'), "no_message": noise(b"[1, 2, 3]"),
    "unknown_kind": noise(b'{"kind": "surprise", "value": 1}'),
    "wrong_type": noise(b'{"kind": "measured", "value": {"img_size": "large"}}'),
    "wrong_progress": noise(b'{"kind": "progress", "value": {"stage": 7}}'),
    "noise_forever": noise_forever, "much_log": much_log, "memory_error": memory_error, "exit_3": exit_3,
    "silent": lambda _request: None,
    "refuse": lambda _request: say("failed", {"reason": "The image size 7 px is too small for it."}),
    "sigkill": lambda _request: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda _request: os.kill(os.getpid(), signal.SIGSEGV),
    "sigstop": lambda _request: os.kill(os.getpid(), signal.SIGSTOP),
    "grandchild": child_of_child(False, forever), "grandchild_session": child_of_child(True, forever),
    "grandchild_left": child_of_child(False, ok),
}  # fmt: skip


def behave(kind: str, request: dict[str, Any]) -> None:
    """The child: never returns."""
    architecture = "roof" if kind == "roof" else request["architecture"]
    note("begin", architecture)
    code = 1
    try:
        chosen = max((name for name in BEHAVIOURS if architecture.startswith(name)), key=len)
        BEHAVIOURS[chosen](request)
        code = 0
    except MemoryError:
        os.write(2, b"Traceback (most recent call last):\nMemoryError\n")
    note("end", architecture)
    os._exit(code)


def serve(kind: str, request: dict[str, Any]) -> None:
    """Fork a child with its own group and a lifeline, and report its end; exit when nobody asks any more."""
    lifeline, held = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.close(held)
        threading.Thread(
            target=lambda: (os.read(lifeline, 1), os.killpg(0, signal.SIGKILL)), daemon=True
        ).start()  # fmt: skip
        behave(kind, request)
    os.close(lifeline)
    say("started", {"pid": pid})
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if select.select([0], [], [], SPACING_S)[0] and not os.read(0, 1):
            os._exit(0)  # the lifeline breaks with us
    os.close(held)
    code = os.waitstatus_to_exitcode(status)
    os.write(1, b"\n")
    say("ended", {"code": code if code >= 0 else None, "signal": -code if code < 0 else None})


def main(manner: str) -> None:
    if manner == "never-ready":
        os.write(2, b"still importing\n")
        os.read(0, 1)
        return
    if manner == "cannot-start":
        os.write(
            2, b"Traceback\n  File x\nModuleNotFoundError: No module named 'torch'\nnanobind: leaked 4 instances!\n"
        )
        note("begin", "start")
        sys.exit(1)
    with (FOLDER / "hosts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    say("ready", {"pid": os.getpid(), "versions": {"torch": "fake"}})
    while line := os.read(0, 65536):  # a request is one line, written at once
        message = json.loads(line)
        architecture = message["value"].get("architecture", "")
        if architecture == "host_dies":
            os._exit(9)
        if architecture == "host_stuck":
            os.kill(os.getpid(), signal.SIGSTOP)
        if manner == "no-fork":
            say("started", {"pid": os.getpid()})
            behave(message["kind"], message["value"])
        serve(message["kind"], message["value"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
