"""A web server on this machine that serves timm's raw tables, and can misbehave in every way a mirror can."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd

from advisor.evidence.published import read_text
from advisor.evidence.upstream import FOLDER

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with what the server was told to answer for that file name."""

    server: Server

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.asked.append(name)
        answer = self.server.answers.get(name, gone)
        answer(self)

    def send(self, body: bytes, *, status: int = 200, kind: str = "text/plain", length: int | None = None) -> None:
        """One answer; `length` may promise more than there is."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing on the terminal."""


class Server(ThreadingHTTPServer):
    """The server in a thread of its own; `with Server(files) as server:` closes everything."""

    daemon_threads = True

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Answer] = {name: text(body) for name, body in files.items()}
        self.asked: list[str] = []
        self.closing = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where the folder of tables is."""
        return f"http://127.0.0.1:{self.server_port}/results"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up is no error here."""


def text(body: str, *, kind: str = "text/plain") -> Answer:
    """The whole text."""
    return lambda handler: handler.send(body.encode(), kind=kind)


def raw(body: bytes) -> Answer:
    """Any bytes."""
    return lambda handler: handler.send(body)


def gone(handler: Handler) -> None:
    """404."""
    handler.send(b"404: Not Found", status=404)


def status(code: int) -> Answer:
    """Another status with an empty body."""
    return lambda handler: handler.send(b"", status=code)


def hang(handler: Handler) -> None:
    """No answer until the server is closed."""
    handler.server.closing.wait()


def cut_off(body: str) -> Answer:
    """Half of what the header promises, then the end of the connection."""

    def answer(handler: Handler) -> None:
        handler.send(body.encode()[: len(body) // 2], length=len(body.encode()))
        handler.close_connection = True

    return answer


def redirect(to: str) -> Answer:
    """302 to another address."""

    def answer(handler: Handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def at_first(trouble: Answer, *, times: int, then: Answer) -> Answer:
    """`trouble` for the first requests, `then` afterwards."""
    left = iter([trouble] * times)
    return lambda handler: next(left, then)(handler)


def raw_tables(published: Path) -> dict[str, str]:
    """Upstream's raw tables, written back from the tidy files of a data folder."""
    speed = read_text(published / "timm-benchmark.speed.csv")
    accuracy = read_text(published / "timm-eval.accuracy.csv")
    tables = {}
    for source_file, rows in speed.groupby("source_file", sort=False):
        task = rows["task"].iloc[0]
        tables[_name(source_file)] = _csv(
            {"model": rows["model"], f"{task}_img_size": rows["img_size"],
             f"{task}_samples_per_sec": rows["throughput_per_s"], f"{task}_step_time": rows["latency_ms"],
             f"{task}_batch_size": rows["batch_size"],
             "param_count": rows["note"].str.extract(r"params_m=([\d.]+)", expand=False).fillna("")}
        )  # fmt: skip
    for source_file, rows in accuracy.groupby("source_file", sort=False):
        top1 = rows[rows["metric"] == "top1"].reset_index()
        top5 = rows[rows["metric"] == "top5"].reset_index()
        assert list(top1["model"]) == list(top5["model"])
        tables[_name(source_file)] = _csv(
            {"model": top1["model"], "top1": top1["value"], "top5": top5["value"], "param_count": "",
             "img_size": top1["img_size"], "crop_pct": top1["crop_pct"],
             "interpolation": top1["interpolation"]}
        )  # fmt: skip
    return tables


def _name(source_file: object) -> str:
    return str(source_file).removeprefix(FOLDER)


def _csv(columns: dict[str, Iterable[str] | str]) -> str:
    return str(pd.DataFrame(columns).to_csv(index=False, lineterminator="\n"))
