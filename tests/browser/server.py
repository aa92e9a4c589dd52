"""A Streamlit server of a script in a process of its own, for the browser tests and the page benchmark."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_OPTIONS = ("--no-sandbox", "--disable-gpu")
_START_S = 60.0
_TAIL = 4000  # characters of its log


@contextmanager
def serving(script: Path, *, home: Path, log: Path) -> Iterator[str]:
    """The address of a running server; it is ended, whatever happens. A failure meanwhile tells how it fared."""
    port = _free_port()
    command = [
        sys.executable, "-m", "streamlit", "run", str(script), "--server.headless", "true",
        "--server.port", str(port), "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    environment = {**os.environ, "ADVISOR_HOME": str(home), "PYTHONFAULTHANDLER": "1"}
    with (
        log.open("wb") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=script.parent) as server,
    ):
        try:
            _wait_for(f"http://localhost:{port}/_stcore/health")
            yield f"http://localhost:{port}"
        except Exception as exc:
            fared = "was running" if server.poll() is None else f"had ended with {server.returncode}"
            exc.add_note(
                f"The server {fared}; its log ends: {log.read_text(encoding='utf-8', errors='replace')[-_TAIL:]}"
            )
            raise
        finally:
            server.terminate()
            server.wait(timeout=20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@retry(retry=retry_if_exception_type(httpx.HTTPError), wait=wait_fixed(0.2), stop=stop_after_delay(_START_S))
def _wait_for(address: str) -> None:
    httpx.get(address, timeout=2).raise_for_status()
