"""How long an answer takes on the shipped store.

python -m tests.benchmarks.recommend [--repeats 15]

For each question: the median and the spread (10th to 90th percentile) of `workflows.recommend`, claims and reasons
included, with the store's tables in memory as the app has them; and once from a cold process start of the store.
The goal is a median of at most 60 ms over the questions. Beside it what the store's pages and predictions wait for
once a process: the contradictions of the shipped data (goal 1.5 s) and the cost profiles of the zoo (goal 0.3 s).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from advisor import workflows
from advisor.evidence.contradictions import contradictions
from advisor.evidence.store import Store
from advisor.predict import profile_files
from advisor.records import Question

QUESTIONS = (
    Question("i7-12700h", max_latency_ms=5),
    Question("i7-12700h", max_latency_ms=20),
    Question("i7-12700h", max_latency_ms=100, licence="commercial"),
    Question("rtx-4090", min_throughput=2000),
    Question("rtx-pro-6000-max-q", min_throughput=3000, max_params_m=50),
    Question("rtx-3090", task="train", min_throughput=300),
    Question("samsung-galaxy-s24", max_latency_ms=2),
    Question("hailo-8", min_throughput=200),
    Question("i7-12700h", max_latency_ms=20, accuracy="robust"),
)
GOAL_MS = 60


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as home:
        store = Store(Path(home), workflows.DATA)
        started = time.perf_counter()
        store.ensure()
        print(f"building the published store: {time.perf_counter() - started:.2f} s")
        started = time.perf_counter()
        workflows.recommend(Store(Path(home), workflows.DATA), QUESTIONS[0])
        print(f"first answer, nothing in memory: {1000 * (time.perf_counter() - started):.0f} ms\n")
        medians = [measure(store, question, repeats) for question in QUESTIONS]
        tables = store.query("speed_rows", device_ids=[]), store.query("accuracy_rows"), store.query("complexity")
        print(f"\ncontradictions: {_once(lambda: contradictions(*tables)):.2f} s, goal 1.5 s")
        print(f"cost profiles of the zoo: {_once(profile_files.load):.2f} s, goal 0.3 s")
    print(f"\nmedian over the questions: {statistics.median(medians):.1f} ms, goal {GOAL_MS} ms")


def _once(what: Callable[[], object]) -> float:
    """Seconds of one call, whose answer nothing keeps."""
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


def measure(store: Store, question: Question, repeats: int) -> float:
    """Print one line and return the median in ms."""
    workflows.recommend(store, question)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        answer = workflows.recommend(store, question)
        times.append(1000 * (time.perf_counter() - started))
    low, *_, high = statistics.quantiles(times, n=10)
    pick = answer.pick.weights if answer.pick else "no answer"
    asked = f"{question.device_id}, {question.axis or answer.axis}"
    print(f"{asked:<40} {statistics.median(times):7.1f} ms  ({low:.1f} to {high:.1f})  {pick}")
    return statistics.median(times)


if __name__ == "__main__":
    main()
