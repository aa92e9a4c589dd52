"""Predict the latency of every network in a setup from a few that were measured there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.stats import norm

from advisor.errors import BadQuestion
from advisor.predict.belief import SPEED, Belief, Scales, belief
from advisor.predict.columns import Setup
from advisor.predict.history import History
from advisor.predict.profile import Profiles

MIN_PROBES = 3  # fewer do not show whether the setup is like any other
# The probes' own surprise widens or narrows every interval, as if this many earlier probes had been as expected: the
# conjugate (inverse gamma) estimate of a common variance, with a strength that leaves 20 probes the last word.
_EXPECTED_PROBES = 10.0
# How near a setup may be to a base, as a factor of all scales: two GPUs of one generation deviate by a fifth of what
# any two devices do.
_NEARNESS = (1.0, 0.5, 0.25)
_LEAST_NOISE = 0.01  # of a logarithm: published figures have three or four digits, and a second run differs by more
QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Prior:
    """What was learned by leaving devices out.

    Attributes:
        widening: What standard deviations are multiplied with so that central 90 % intervals held 90 % of the networks
            of devices left out.
    """

    scales: Scales = field(default_factory=Scales)
    widening: float = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """A network that was measured; `latency_ms` is of one forward pass of one batch of the setup."""

    architecture: str
    img_size: int
    latency_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.latency_ms < float("inf"):
            raise ValueError(f"a latency of {self.latency_ms} ms")


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is believed after the probes: normal logarithms of ms, for the rows asked for."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def quantiles(self, quantiles: Sequence[float] = QUANTILES) -> NDArray[np.float64]:
        """Shape (n, n_quantiles), ms."""
        return np.asarray(np.exp(self.mean[:, None] + self.deviation[:, None] * norm.ppf(quantiles)))

    def probability_within(self, budget_ms: float) -> NDArray[np.float64]:
        """Shape (n,): how probable it is that the latency is at most the budget."""
        return np.asarray(norm.cdf((np.log(budget_ms) - self.mean) / self.deviation))


def posterior(
    believed: Belief, prior: Prior, rows: NDArray[np.intp], latency_ms: NDArray[np.float64], wanted: NDArray[np.intp]
) -> Posterior:
    """Update what is believed with latencies of some rows, for the rows wanted.

    Every base is corrected at every nearness; they are averaged with the weights that the probes give them (Bayesian
    model averaging), and the mixture is taken for a normal with its mean and variance.
    """
    scales = prior.scales
    logs = np.log(latency_ms) - believed.bases[:, rows]  # (n_bases, n_probes)
    within, between = believed.covariance(rows, rows, scales), believed.covariance(wanted, rows, scales)
    alone = believed.variance(wanted, scales)
    means, variances, evidence = [], [], []
    for nearness in _NEARNESS:
        noise = max(nearness * scales.noise, _LEAST_NOISE) ** 2
        lower = cholesky(SPEED**2 + nearness**2 * within + noise * np.eye(len(rows)), lower=True)
        whitened = solve_triangular(lower, logs.T, lower=True)  # (n_probes, n_bases)
        told = solve_triangular(lower, (SPEED**2 + nearness**2 * between).T, lower=True)
        means.append(believed.bases[:, wanted] + whitened.T @ told)
        left = SPEED**2 + nearness**2 * alone + noise - np.square(told).sum(axis=0)
        surprise = _without_speed(lower, whitened)
        common = (_EXPECTED_PROBES + surprise) / (_EXPECTED_PROBES + len(rows) - 1)
        variances.append(np.outer(common, np.maximum(left, noise)))
        evidence.append(_evidence(lower, surprise) - _prior_weight(len(logs)))
    weights = np.exp(np.concatenate(evidence) - np.max(evidence))
    weights /= weights.sum()
    mean, variance = np.vstack(means), np.vstack(variances)
    middle = weights @ mean
    spread = weights @ (variance + np.square(mean - middle))
    return Posterior(middle, prior.widening * np.sqrt(spread))


def _without_speed(lower: NDArray[np.float64], whitened: NDArray[np.float64]) -> NDArray[np.float64]:
    """What surprises in the probes of each base but for a common speed, which any device may have: squared."""
    speed = solve_triangular(lower, np.ones(len(lower)), lower=True)
    return np.asarray(np.square(whitened).sum(axis=0) - np.square(speed @ whitened) / (speed @ speed))


def _evidence(lower: NDArray[np.float64], surprise: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log density of the probes for each base, with the common variance integrated out (a Student t)."""
    degrees = _EXPECTED_PROBES + len(lower) - 1
    return np.asarray(-0.5 * degrees * np.log1p(surprise / _EXPECTED_PROBES) - np.log(np.diag(lower)).sum())


def _prior_weight(n_bases: int) -> NDArray[np.float64]:
    """Minus the log of what each base weighs before the probes: what the kind shares as much as all columns."""
    return np.asarray(np.log([2.0, *[2.0 * (n_bases - 1)] * (n_bases - 1)]))


class Predictor:
    """Latencies of networks in one setup, with intervals, from a few probes and what other devices say.

    Args:
        past: What is known of other devices; the device asked about must not be in it if this is to be a test.
        setup: What the probes were measured in. Another setup needs probes and a predictor of its own.
        prior: From `priors.learned`, from the same history.
    """

    def __init__(self, past: History, setup: Setup, prior: Prior) -> None:
        self.past = past
        self.setup = setup
        self.prior = prior

    def fit(self, probes: Sequence[Probe]) -> Predictor:
        """Learn the setup from its probes.

        Raises:
            BadQuestion: Fewer than `MIN_PROBES` different networks.
            UnknownName: A probe has no cost profile in the history.
        """
        if len({(probe.architecture, probe.img_size) for probe in probes}) < MIN_PROBES:
            raise BadQuestion(
                f"{len(probes)} measured networks are too few to predict others: at least {MIN_PROBES} different "
                "ones are needed. Measure more."
            )
        self.rows_ = self.past.profiles.rows([(probe.architecture, probe.img_size) for probe in probes])
        self.latency_ms_ = np.array([probe.latency_ms for probe in probes])
        self.belief_ = belief(self.past, self.setup)
        return self

    def predict_quantiles(
        self, profiles: Profiles, setup: Setup, *, quantiles: Sequence[float] = QUANTILES
    ) -> NDArray[np.float64]:
        """Latencies in ms, shape (n_profiles, n_quantiles).

        Raises:
            BadQuestion: Another setup than that of the probes.
            UnknownName: A network has no cost profile in the history.
        """
        if setup != self.setup:
            raise BadQuestion(
                f"The probes were measured with {self.setup.runtime} {self.setup.precision} at batch "
                f"{self.setup.batch_size} on {self.setup.device_id}: they say nothing certain about another setup. "
                "Measure probes there."
            )
        names, sizes = profiles.models["architecture"].tolist(), profiles.models["img_size"].tolist()
        wanted = self.past.profiles.rows(list(zip(names, sizes, strict=True)))
        found = posterior(self.belief_, self.prior, self.rows_, self.latency_ms_, wanted)
        return found.quantiles(quantiles)
