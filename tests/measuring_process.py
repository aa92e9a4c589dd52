"""A real measuring process under a test's control: requests go in as lines, messages come out as they are."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from advisor.measure import lines
from advisor.measure.request import Request
from advisor.measure.run import Measured
from tests.conftest import ROOT

Message = tuple[str, Any]
_PATIENCE_S = 120.0  # a machine that is busy with other tests may take long


class MeasuringProcess:
    """The warm process of `advisor.measure.workers.host`."""

    def __init__(self) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "advisor.measure.workers.host"], bufsize=0, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._rest = b""
        self.ready = self.next()

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def send(self, kind: str, value: dict[str, Any]) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(json.dumps({"kind": kind, "value": value}).encode() + b"\n")

    def next(self) -> Message:
        """The next message; lines that are none are left out, as whoever reads them must."""
        while True:
            line = self._line()
            if line.strip():
                try:
                    return lines.decode(line)
                except lines.BrokenLine:
                    continue

    def _line(self) -> bytes:
        assert self.popen.stdout is not None
        while b"\n" not in self._rest:
            assert select.select([self.popen.stdout], [], [], _PATIENCE_S)[0], "nothing was said for two minutes"
            chunk = os.read(self.popen.stdout.fileno(), 65536)
            assert chunk, "the measuring process has closed its stdout"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def until(self, kind: str, which: Callable[[Any], bool] = lambda _value: True) -> list[Message]:
        """All messages up to the first of that kind, and with that value."""
        found = [self.next()]
        while found[-1][0] != kind or not which(found[-1][1]):
            found.append(self.next())
        return found

    def ask(self, request: Request, **beside: Any) -> list[Message]:
        """Have a request done; all messages of it."""
        self.send("measure", lines.request_values(request) | beside)
        return self.until("ended")

    def measure(self, request: Request, **beside: Any) -> Measured:
        """Have a request done that must succeed."""
        messages = self.ask(request, **beside)
        found = [value for kind, value in messages if kind == "measured"]
        assert found, messages[-3:]
        return lines.typed(found[0], Measured)

    def failure(self, request: Request, **beside: Any) -> str:
        """The reason of a request that must fail, in a process that ends as it should."""
        messages = self.ask(request, **beside)
        assert messages[-1] == ("ended", {"code": 0, "signal": None})
        (reason,) = [value["reason"] for kind, value in messages if kind == "failed"]
        return str(reason)

    def close(self) -> None:
        """End it and all that it has started."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        self.popen.wait(_PATIENCE_S)
        assert self.popen.stdout is not None
        self.popen.stdout.close()
