"""A sweep: many requests in random order between two runs of a sentinel, resumable, with an estimate of its time.

A plan file is TOML or JSON with these keys, of which only `models` must be there:

    seed = 7                                  # of the random order
    sentinel = "mobilenetv3_small_100"        # a name or a table like those of `models`
    [defaults]                                # any field of `Request`; a list means one request for each value
    runtime = ["pytorch-eager", "openvino"]
    time_limit_s = 60
    [[models]]                                # or: models = ["resnet50", {architecture = "regnety_032"}]
    architecture = "resnet50"
    img_size = [160, 224]
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import random
import statistics
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from advisor.errors import BadQuestion
from advisor.measure.request import EXTRAS, Request

SENTINEL = "mobilenetv3_small_100"  # small enough for a few seconds on any machine
SENTINEL_LIMIT_S = 30.0
MAX_DRIFT = 0.05  # a sentinel that changed by more says that the machine was not the same throughout
MAX_REQUESTS = 20_000
_MAX_PLAN_BYTES = 10 * 2**20

# seconds that a request takes where nothing like it has run here; 2-core server CPU, a mid-sized network
_LATENCY_S = {"pytorch-eager": 6.0, "pytorch-compile": 60.0, "onnxruntime": 12.0, "openvino": 12.0}
_EXTRA_S = {"throughput": 15.0, "train": 10.0, "max-batch": 40.0, "end-to-end": 5.0, "features": 6.0, "operators": 4.0}

_FIELDS = tuple(field.name for field in dataclasses.fields(Request))
_MANY = tuple(
    name for name in _FIELDS if name not in ("architecture", "extras", "features_hw", "time_limit_s", "timing_s")
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep measures.

    Attributes:
        requests: In the order in which they run, each once.
        sentinel: Measured before the first and after the last.
    """

    requests: tuple[Request, ...]
    sentinel: Request


@dataclass(frozen=True, slots=True)
class Drift:
    """The sentinel's latency before and after a sweep, ms; None where it was not measured.

    It is that at the fullest pace of each: by its median a machine whose neighbours come and go within a second would
    drift all the time.

    Attributes:
        sentinel: The sentinel's architecture.
    """

    sweep_id: str
    job_id: str
    sentinel: str
    before_ms: float | None
    after_ms: float | None

    @property
    def drift(self) -> float | None:
        """|after / before - 1|; None where one of the two is missing."""
        if not self.before_ms or self.after_ms is None:
            return None
        return abs(self.after_ms / self.before_ms - 1)

    @property
    def marked(self) -> bool:
        """Whether the sweep's results are to be read with care."""
        return self.drift is not None and self.drift > MAX_DRIFT


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long requests will take, and how many of them had an earlier run like them to go by."""

    seconds: float
    n_known: int


def plan(requests: Iterable[Request], *, seed: int = 0, sentinel: Request | None = None) -> Plan:
    """Requests in random order; the order they are given in and repeated ones do not matter.

    Random, so that a machine that grows warm or busy disturbs no group of requests more than another.
    """
    chosen = sorted({request.key: request for request in requests}.values(), key=lambda request: request.key)
    if not chosen:
        raise BadQuestion("The plan names no model: add at least one under 'models'.")
    if len(chosen) > MAX_REQUESTS:
        raise BadQuestion(f"The plan has {len(chosen)} requests; {MAX_REQUESTS} are the most: split it.")
    if sentinel is None:
        # the most frequent target, the first by name among equals
        targets = [request.target for request in chosen]
        target = min(set(targets), key=lambda name: (-targets.count(name), name))
        sentinel = Request(architecture=SENTINEL, target=target, time_limit_s=SENTINEL_LIMIT_S)
    random.Random(seed).shuffle(chosen)
    return Plan(tuple(chosen), sentinel)


def sweep_id(what: Plan, *, device_ids: Collection[str], versions: Mapping[str, str | None]) -> str:
    """A name that is the same for the same plan, devices and package versions, whatever the order.

    Results of other versions or another device are no part of this sweep: it starts anew for them.
    """
    facts = [sorted(request.key for request in what.requests), what.sentinel.key, sorted(device_ids), dict(versions)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def left(what: Plan, done_keys: Collection[str]) -> tuple[Request, ...]:
    """What a sweep has still to measure, in order.

    Args:
        done_keys: `Request.key` of what has a result under this sweep's id already.
    """
    return tuple(request for request in what.requests if request.key not in done_keys)


def estimate(requests: Sequence[Request], known: Sequence[tuple[Request, float]]) -> Estimate:
    """How long requests will take, each at most its time limit.

    Args:
        known: Finished requests with the seconds that each took, oldest first.

    A request takes what it took last time; else the median of those with the same runtime, target and extras;
    else a default by runtime and extras.
    """
    same: dict[str, float] = {}
    alike: dict[tuple[Any, ...], list[float]] = {}
    for request, seconds in known:
        same[request.key] = seconds
        alike.setdefault(_kind(request), []).append(seconds)
    total, n_known = 0.0, 0
    for request in requests:
        if request.key in same:
            seconds = same[request.key]
        elif _kind(request) in alike:
            seconds = statistics.median(alike[_kind(request)])
        else:
            total += min(request.time_limit_s, default_s(request))
            continue
        total += min(request.time_limit_s, seconds)
        n_known += 1
    return Estimate(total, n_known)


def default_s(request: Request) -> float:
    """What a request takes where nothing is known of the machine, in seconds."""
    return _LATENCY_S[request.runtime] + sum(_EXTRA_S[extra] for extra in request.extras)


def read_plan(path: Path) -> Plan:
    """A plan from a TOML or JSON file, see the top of this module.

    Raises:
        BadQuestion: The file cannot be read, or what it asks for makes no sense; says which entry.
    """
    try:
        if path.stat().st_size > _MAX_PLAN_BYTES:
            raise BadQuestion(f"The plan {path} is over {_MAX_PLAN_BYTES // 2**20} MB: that is no plan.")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as exc:
        raise BadQuestion(f"The plan {path} cannot be read: {exc.strerror or exc}.") from exc
    except (ValueError, RecursionError) as exc:  # JSON, TOML and UTF-8 errors are ValueErrors
        form = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise BadQuestion(f"The plan {path} is no {form}: {exc}.") from exc
    return plan_of(content)


def plan_of(content: Any) -> Plan:
    """A plan from the plain values of a plan file; same errors as `read_plan`."""
    allowed = ("seed", "sentinel", "defaults", "models")
    if not isinstance(content, dict):
        raise BadQuestion(f"A plan is a table with the keys {', '.join(allowed)}, not a {type(content).__name__}.")
    for name in content:
        if name not in allowed:
            raise BadQuestion(f"The plan has an unknown key '{str(name)[:40]}'; known: {', '.join(allowed)}.")
    seed, models, defaults = content.get("seed", 0), content.get("models", []), content.get("defaults", {})
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise BadQuestion(f"'seed' of the plan must be a whole number, not {str(seed)[:40]!r}.")
    if not isinstance(models, list):
        raise BadQuestion("'models' of the plan must be a list of names or tables.")
    if not isinstance(defaults, dict):
        raise BadQuestion("'defaults' of the plan must be a table.")
    requests = [
        request
        for place, model in enumerate(models, start=1)
        for request in _requests(model, defaults, f"model {place}")
    ]
    sentinel = None
    if "sentinel" in content:
        several = _requests(content["sentinel"], {"time_limit_s": SENTINEL_LIMIT_S}, "the sentinel")
        if len(several) != 1:
            raise BadQuestion(f"The sentinel of the plan must be one request, not {len(several)}: give it no lists.")
        sentinel = several[0]
    return plan(requests, seed=seed, sentinel=sentinel)


def _requests(entry: Any, defaults: Mapping[str, Any], where: str) -> list[Request]:
    """The requests of one entry: one for each combination of the values that are lists."""
    own = {"architecture": entry} if isinstance(entry, str) else entry
    if not isinstance(own, dict):
        raise BadQuestion(f"{where.capitalize()} of the plan must be a name or a table, not {str(entry)[:40]!r}.")
    values = {**defaults, **own}
    for name in values:
        if name not in _FIELDS:
            raise BadQuestion(
                f"{where.capitalize()} of the plan has an unknown key '{str(name)[:40]}'; known: {', '.join(_FIELDS)}."
            )
    if "architecture" not in values:
        raise BadQuestion(f"{where.capitalize()} of the plan has no 'architecture'.")
    many = [name for name in _MANY if isinstance(values.get(name), list)]
    if not 1 <= (count := math.prod(len(values[name]) for name in many)) <= MAX_REQUESTS:
        raise BadQuestion(f"{where.capitalize()} of the plan asks for {count} requests, not 1 to {MAX_REQUESTS}.")
    try:
        return [
            msgspec.convert(values | dict(zip(many, chosen, strict=True)), Request)
            for chosen in itertools.product(*(values[name] for name in many))
        ]
    except (msgspec.ValidationError, BadQuestion) as exc:
        text = str(exc).replace("`", "'").replace(" - at '$.", " at '")
        raise BadQuestion(f"{where.capitalize()} of the plan: {text.rstrip('.')}.") from exc


def _kind(request: Request) -> tuple[Any, ...]:
    return request.runtime, request.target, tuple(extra for extra in EXTRAS if extra in request.extras)
