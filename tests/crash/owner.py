"""A program that measures: submits one job for each argument after the home, says their ids, waits, saves to a file.

It submits once the file `go` is there, so that several can start at the same instant.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from advisor.measure.jobs import Jobs
from advisor.measure.lines import plain
from advisor.measure.request import Request
from advisor.measure.run import Run
from tests.job_place import FAKE
from tests.waiting import until

FOLDER = Path(os.environ["FAKE_DIR"])


def save(run: Run) -> None:
    with (FOLDER / "saved").open("a") as file:
        file.write(json.dumps(plain(run)) + "\n")


def main(home: str, *architectures: str) -> None:
    jobs = Jobs(
        Path(home), save=save, host_command=FAKE, device_id=lambda _target: "cpu-1",
        judge=lambda _found: ("steady", ()), machine_lock=FOLDER / "machine.lock",
    )  # fmt: skip
    print("imported", flush=True)
    until((FOLDER / "go").exists, "go")
    ids = [jobs.submit([Request(architecture=name)], title=name) for name in architectures]
    print(*ids, flush=True)
    if "leave" in os.environ.get("OWNER", ""):
        until(lambda: jobs.state(ids[0]).now is not None and (FOLDER / "events").exists(), "the child")
        return  # neither waits nor closes
    for job_id in ids:
        jobs.wait(job_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
