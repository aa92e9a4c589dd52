"""What can go wrong, as a tree.

AdvisorError
├── BadQuestion         a limit that makes no sense, or limits that contradict each other
├── UnknownName         a device, model, family or metric that is not in the store (offers close names)
├── DataError           a file under data/ is missing or broken
├── ImportFailed        a results file that cannot be read at all
├── RefreshFailed       newer upstream tables could not be fetched or did not validate
├── CatalogueFailed     timm's catalogue could not be built
├── ProfilesFailed      the operators of networks could not be counted
└── StoreError
    ├── StoreLocked     another process holds the file
    ├── StoreTooNew     written by a newer version
    └── StoreUnusable   unwritable, full or damaged

Every message is one sentence that says what is wrong, with the value, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AdvisorError(Exception):
    """Base of every error that is the user's to mend; its text is shown as it stands."""


class BadQuestion(AdvisorError):
    """A limit that makes no sense, or limits that contradict each other."""


class UnknownName(AdvisorError):
    """A name that is not known, with the closest known ones."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.suggestions = close_names(name, known)
        offer = f" Did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        shown = " ".join(name.split())[:80]
        super().__init__(f"Unknown {what} '{shown}'.{offer}{' ' + hint if hint else ''}")


class DataError(AdvisorError):
    """A file under data/ is missing or broken."""


class ImportFailed(AdvisorError):
    """A results file that cannot be read at all."""


class RefreshFailed(AdvisorError):
    """Newer upstream tables could not be fetched or did not validate; the old data stays."""


class CatalogueFailed(AdvisorError):
    """timm's catalogue could not be built."""


class ProfilesFailed(AdvisorError):
    """The operators of networks could not be counted."""


class StoreError(AdvisorError):
    """The store cannot be used."""


class StoreLocked(StoreError):
    """Another process holds the file."""


class StoreTooNew(StoreError):
    """The store was written by a newer version."""


class StoreUnusable(StoreError):
    """The store is unwritable, full or damaged."""


def close_names(name: str, known: Iterable[str], *, limit: int = 3) -> tuple[str, ...]:
    """The known names closest to `name`: those that contain it first, then by similarity."""
    pool = sorted(set(known))
    wanted = name.strip().lower()
    containing = [k for k in pool if wanted and wanted in k.lower()]
    lower = {k.lower(): k for k in pool}
    similar = [lower[k] for k in difflib.get_close_matches(wanted, list(lower), n=limit, cutoff=0.6)]
    return tuple(dict.fromkeys([*containing[:limit], *similar]))[:limit]
