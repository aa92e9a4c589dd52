"""The one door to the network: text files of one folder on a web server, with bounded patience."""

from __future__ import annotations

from types import TracebackType

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from advisor.errors import RefreshFailed
from advisor.evidence import upstream

UPSTREAM = "https://raw.githubusercontent.com/huggingface/pytorch-image-models/main/results"
LISTING = "https://api.github.com/repos/huggingface/pytorch-image-models/contents/results"
MAX_BYTES = 20_000_000  # the largest table has 0.1 MB
ATTEMPTS = 3
_WAIT = wait_exponential_jitter(multiplier=0.5, max=4)  # s


class _Busy(Exception):
    """An answer that may be better in a moment."""


class Downloads:
    """Text files below `url`.

    Raises:
        RefreshFailed: `url` is not a web address.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        if not url.startswith(("https://", "http://")):
            raise RefreshFailed(f"--url must start with https:// or http://, not '{url}'.")
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._client = httpx.Client(timeout=timeout_s, follow_redirects=True)

    def __enter__(self) -> Downloads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def text(self, name: str) -> str | None:
        """The text of one file; None where the server says that there is none.

        Raises:
            RefreshFailed: No whole answer after `ATTEMPTS` attempts, or one that is no text.
        """
        try:
            for attempt in Retrying(
                retry=retry_if_exception(_may_pass), wait=_WAIT, stop=stop_after_attempt(ATTEMPTS), reraise=True
            ):
                with attempt:
                    return self._once(f"{self.url}/{name}", name)
        except (httpx.HTTPError, httpx.InvalidURL, _Busy) as exc:
            raise RefreshFailed(
                f"{name} could not be fetched from {self.url} ({self._reason(exc)}): check the network or the "
                "address given with --url; nothing was changed."
            ) from exc
        raise AssertionError("unreachable: the last attempt returns or raises")

    def listed(self) -> set[str]:
        """Names of result tables in the server's list of the folder; empty where it gives no list."""
        address = LISTING if self.url == UPSTREAM else f"{self.url}/"
        try:
            listing = self._once(address, "the list of files") or ""
        except (httpx.HTTPError, httpx.InvalidURL, _Busy, RefreshFailed):
            return set()  # a list is a courtesy: without it, the known files are refreshed
        return {match[0] for match in upstream.BENCHMARK_NAME.finditer(listing)}

    def _once(self, address: str, name: str) -> str | None:
        with self._client.stream("GET", address) as answer:
            if answer.status_code in (404, 410):
                return None
            if answer.status_code == 429 or answer.status_code >= 500:
                raise _Busy(f"the server answered {answer.status_code}")
            answer.raise_for_status()
            content = bytearray()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise RefreshFailed(
                        f"{name} from {self.url} is larger than {MAX_BYTES // 1_000_000} MB, so it is no result "
                        "table: check the address given with --url; nothing was changed."
                    )
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise RefreshFailed(
                f"{name} from {self.url} is not UTF-8 text: check the address given with --url; nothing was changed."
            ) from exc

    def _reason(self, exc: Exception) -> str:
        if isinstance(exc, httpx.TimeoutException):
            return f"no answer within {self.timeout_s:g} s"
        if isinstance(exc, httpx.RemoteProtocolError):
            return "the answer was cut off"
        if isinstance(exc, httpx.HTTPStatusError):
            return f"the server answered {exc.response.status_code}"
        return str(exc) or type(exc).__name__


def _may_pass(exc: BaseException) -> bool:
    """Whether trying again may help: not where the server answered clearly or the address is wrong."""
    return isinstance(exc, (httpx.TransportError, _Busy)) and not isinstance(exc, httpx.UnsupportedProtocol)
