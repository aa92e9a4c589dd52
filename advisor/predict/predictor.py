"""Predict the latency of every network in a setup from a few that were measured there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.stats import norm
from threadpoolctl import ThreadpoolController

from advisor.errors import BadQuestion
from advisor.predict import suffering
from advisor.predict.belief import SPEED, Belief, Scales, belief
from advisor.predict.columns import Setup
from advisor.predict.deviations import key_of
from advisor.predict.history import History
from advisor.predict.own_bases import OwnBase, own_bases
from advisor.predict.pace import at_full_pace, doubt, full_pulse_ms, least_ms
from advisor.predict.probe import Probe
from advisor.predict.profile import Profiles

MIN_PROBES = 3  # fewer do not show whether the setup is like any other
# The probes' own surprise widens or narrows every interval, as if so many earlier probes had been as expected: the
# conjugate (inverse gamma) estimate of a common variance, so that 20 probes have the last word on how far the scales,
# learned from published devices, hold of another one.
_EXPECTED_PROBES = 10.0
# How far networks are expected to be from what a setup's own timed operators add up to, beside how far from published
# columns: standard deviations. Where other machines tell how networks of that setup deviate: with 1, intervals of 90 %
# that calibrations of two cores of an Intel Xeon (21 of eager mode, 4 to 7 of the others) gave for eager mode, ONNX
# Runtime, torch.compile and OpenVINO held 99 to 100 % of the latencies of 75 to 106 other networks in each; intervals
# 0.47 to 0.54 times as wide would have held 90 % (`tests.benchmarks.coverage`). Where none does: 0.5 held 78 to 81 %,
# intervals 1.22 to 1.34 times as wide would have held 90 % (two cores of another Xeon, the same with such lines taken
# from data/deviations.csv: 13 calibrations of eager mode, 4 of ONNX Runtime, 5 of OpenVINO in fp32; in torch.compile
# 0.96 times, with 3 probes).
FROM_TIMED, FROM_TIMED_UNTOLD = 0.5, 0.65
# How near a setup may be to a base, as a factor of all scales: two GPUs of one generation deviate by a fifth of what
# any two devices do. The shares are what is expected before the probes are seen: of a setup's own timed operators, what
# a dozen probes of eager mode, ONNX Runtime and OpenVINO gave each on average; three do not show it.
_NEARNESS = {1.0: 1 / 3, 0.5: 1 / 3, 0.25: 1 / 3}
_NEARNESS_OF_TIMED = {1.0: 0.05, 0.5: 0.2, 0.25: 0.75}
# How much noisier than published figures the probes may be, whatever the setup is like: a machine that others use too
# changes its pace by a fifth from one minute to the next.
# The shares are what is expected of a setup before its probes are seen.
_NOISINESS = {1.0: 0.75, 3.0: 0.2, 9.0: 0.05}
# What bases weigh, before the probes speak, that a setup's own timed operators have taught. A dozen probes of eager
# mode and of ONNX Runtime (two cores of an Intel Xeon) gave them over .98 by their evidence; three do not show it.
_TIMED = 0.9
_LEAST_NOISE = 0.01  # of a logarithm: published figures have three or four digits, and a second run differs by more
QUANTILES = (0.05, 0.5, 0.95)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _on_one_thread(function: _Function) -> _Function:
    """Its algebra is on matrices so small that more threads take no less time, but of cores that may be being timed."""
    return cast(_Function, ThreadpoolController().wrap(limits=1, user_api="blas")(function))


@dataclass(frozen=True, slots=True)
class Prior:
    """What was learned by leaving devices out.

    Attributes:
        widening: What standard deviations are multiplied with so that central 90 % intervals held 90 % of the networks
            of devices left out.
    """

    scales: Scales = field(default_factory=Scales)
    widening: float = 1.0


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


@dataclass(frozen=True, eq=False)
class _Guesses:
    """Bases of one origin.

    Attributes:
        at_probes: Shape (n_bases, n_probes): of each probe without what it has taught itself, which tells how good they
            are.
        with_all: The same with all that the probes have taught: what a base does not even then tell of a probe is what
            networks like it have for themselves.
        everywhere: Shape (n_bases, n_wanted).
        doubts: Variances of the same shape, or 0.
        slow_doubts: Variances of the same shape, or 0, that how well the bases tell the probes says nothing of.
        at_doubts: Variances of the probes, shape (n_probes,), or 0.
        weight: Shape (n_bases,): log of what each weighs before the probes.
        expected: How far networks are expected to be from them: a factor of the scales, a standard deviation.
        nearness: Of every nearness, the share that is expected.
        nearer: Whether a base that is nearer in its rates is so in single networks too, as two GPUs of one generation
            are. What a network takes beside the sum of its operators does not shrink with how well these are known:
            with it shrunk too, intervals come out too narrow.
    """

    at_probes: NDArray[np.float64]
    with_all: NDArray[np.float64]
    everywhere: NDArray[np.float64]
    doubts: NDArray[np.float64] | float
    slow_doubts: NDArray[np.float64] | float
    at_doubts: NDArray[np.float64] | float
    weight: NDArray[np.float64]
    expected: float
    nearness: Mapping[float, float]
    nearer: bool


@_on_one_thread
def posterior(
    believed: Belief, prior: Prior, rows: NDArray[np.intp], latency_ms: NDArray[np.float64],
    wanted: NDArray[np.intp], own: Sequence[OwnBase] = (), suffered: NDArray[np.float64] | float = 0.0,
    unsure: NDArray[np.float64] | float = 0.0, *, on_tiles: bool = False,
) -> Posterior:  # fmt: skip
    """Update what is believed with latencies of some rows, for the rows wanted.

    Every base is corrected at every nearness and noisiness; they are averaged with the weights that the probes give
    them (Bayesian model averaging), and the mixture is taken for a normal with its mean and variance.

    Args:
        rows: Of the probes, in the profiles of the belief.
        wanted: Rows to predict.
        own: Bases that the probes of this device have taught, beside those of the belief.
        suffered: Shape (n_probes, n_probes), or 0: covariance of the logarithms of their latencies, as far as it comes
            from slow moments, see `pace.doubt`.
        unsure: Shape (n_probes,): standard errors of the logarithms of their latencies, or of all.
        on_tiles: Whether units that neighbours may use too do the work: how far networks are from own bases there was
            not judged, and is expected to be as far as from published ones.
    """
    scales, published = prior.scales, len(believed.bases)
    timed = all(base.timed for base in own)
    weights = _log_weights(published, len(own), _TIMED if timed else None)
    here, there = believed.bases[:, rows], believed.bases[:, wanted]
    before = weights[:published]
    groups = [_Guesses(here, here, there, 0.0, 0.0, 0.0, before, 1.0, _NEARNESS, nearer=True)]
    if own:
        at_probes, everywhere = np.vstack([b.at_probes for b in own]), np.vstack([b.everywhere for b in own])
        doubts, slow_doubts = (
            np.square([told[wanted] for told in each])
            for each in zip(*((b.doubt, b.slow_doubt) for b in own), strict=True)
        )
        at_doubts = np.mean([base.probe_doubt**2 for base in own], axis=0)
        near = FROM_TIMED if any(base.told for base in own) else FROM_TIMED_UNTOLD
        groups.append(
            _Guesses(
                at_probes, everywhere[:, rows], everywhere[:, wanted], doubts, slow_doubts, at_doubts,
                weights[published:], near if timed and not on_tiles else 1.0,
                _NEARNESS_OF_TIMED if timed else _NEARNESS, nearer=False,
            )
        )  # fmt: skip
    shared, onto_shared = (believed.shared(to, rows, scales) for to in (rows, wanted))
    particular, onto_particular = (believed.particular(to, rows, scales) for to in (rows, wanted))
    alone_shared, alone_particular = believed.shared_variance(wanted, scales), scales.features**2 + scales.family**2
    means, variances, evidence = [], [], []
    for nearness, (noisiness, share), guesses in itertools.product(_NEARNESS, _NOISINESS.items(), groups):
        near, own_near = np.square([nearness, nearness if guesses.nearer else 1.0]) * guesses.expected**2
        noise = (guesses.expected * max(nearness * noisiness * scales.noise, _LEAST_NOISE)) ** 2
        at_doubts = guesses.expected**2 * guesses.at_doubts + np.square(unsure)
        spread = suffered + np.diag(noise + at_doubts * np.ones(len(rows)))
        lower = cholesky(SPEED**2 + near * shared + own_near * particular + spread, lower=True)
        whitened, left_over = (
            solve_triangular(lower, (np.log(latency_ms) - of_probes).T, lower=True)
            for of_probes in (guesses.at_probes, guesses.with_all)
        )
        onto = SPEED**2 + near * onto_shared + own_near * onto_particular
        told = solve_triangular(lower, onto.T, lower=True)
        means.append(guesses.everywhere + left_over.T @ told)
        left = SPEED**2 + near * alone_shared + own_near * alone_particular + noise - np.square(told).sum(axis=0)
        # What others do not tell of a probe says how far networks are off that are unlike all probes; what not even it
        # tells of itself, how far those are that are like one.
        surprises = [_without_speed(lower, off) for off in (whitened, left_over)]
        unlike, like = ((_EXPECTED_PROBES + one[:, None]) / (_EXPECTED_PROBES + len(rows) - 1) for one in surprises)
        doubted = unlike * guesses.expected**2 * guesses.doubts
        variances.append(like * np.maximum(left, noise) + doubted + guesses.slow_doubts)
        weight = guesses.weight + np.log(share * guesses.nearness[nearness])
        evidence.append(_evidence(lower, surprises[0]) + weight)
    return _averaged(np.vstack(means), np.vstack(variances), np.concatenate(evidence), prior.widening)


def _averaged(
    means: NDArray[np.float64], variances: NDArray[np.float64], evidence: NDArray[np.float64], widening: float
) -> Posterior:
    """The normal with the mean and variance of a mixture, its shares given by the log of the evidence."""
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    middle = weights @ means
    return Posterior(middle, widening * np.sqrt(weights @ (variances + np.square(means - middle))))


def _without_speed(lower: NDArray[np.float64], whitened: NDArray[np.float64]) -> NDArray[np.float64]:
    """What surprises in the probes of each base but for a common speed, which any device may have: squared."""
    speed = solve_triangular(lower, np.ones(len(lower)), lower=True)
    return np.asarray(np.square(whitened).sum(axis=0) - np.square(speed @ whitened) / (speed @ speed))


def _evidence(lower: NDArray[np.float64], surprise: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log density of the probes for each base, with the common variance integrated out: a Student t of as many
    degrees of freedom as probes were expected, less a constant that all bases share."""
    tail = (_EXPECTED_PROBES + len(lower) - 1) / 2 * np.log1p(surprise / _EXPECTED_PROBES)
    return np.asarray(-tail - np.log(np.diag(lower)).sum())


def _log_weights(n_bases: int, n_own: int, own_share: float | None) -> NDArray[np.float64]:
    """Of what each base weighs before the probes: the kind, all columns, all own, which have as much or that share."""
    sizes = np.array([n for n in (1, n_bases - 1, n_own) if n])
    shares = np.full(len(sizes), 1 / len(sizes))
    if n_own and own_share is not None:
        shares[:-1], shares[-1] = (1 - own_share) / (len(sizes) - 1), own_share
    return np.asarray(np.log(np.repeat(shares / sizes, sizes)))


class Predictor:
    """Latencies of networks in the setups of one device, with intervals, from a few probes and what other devices say.

    They are those of the device at its full pace: see `pace`.

    Args:
        past: What is known of other devices; the device asked about must not be in it if this is to be a test.
        prior: From `priors.learned`, from the same history.
    """

    def __init__(self, past: History, prior: Prior) -> None:
        self.past = past
        self.prior = prior

    @_on_one_thread
    def fit(self, probes: Mapping[Setup, Sequence[Probe]]) -> Predictor:
        """Learn setups of one device from the probes of each.

        Raises:
            BadQuestion: Fewer than `MIN_PROBES` different networks in a setup, or setups of several devices.
            UnknownName: A probe has no cost profile in the history.
        """
        if len({setup.device_id for setup in probes}) != 1:
            raise BadQuestion("A predictor learns one device: give it probes of one.")
        for setup, given in probes.items():
            check_enough(setup, given)
        # in one order whatever they were measured in
        profiles = self.past.profiles
        full_ms = full_pulse_ms(least_ms([probe.stretch for given in probes.values() for probe in given]))
        ordered = {
            setup: at_full_pace(suffering.of_each(probes[setup], profiles, full_ms), full_ms)
            for setup in sorted(probes)
        }
        self.full_ms_ = full_ms
        self.rows_ = {setup: profiles.rows([probe.key for probe in given]) for setup, given in ordered.items()}
        self.latency_ms_ = {setup: np.array([p.latency_ms for p in given]) for setup, given in ordered.items()}
        self.unsure_ = {setup: np.array([probe.unsure for probe in given]) for setup, given in ordered.items()}
        self.usual_ = {setup: suffering.usual(given) for setup, given in ordered.items()}
        self.on_tiles_ = {setup: any(probe.matrix_units for probe in given) for setup, given in ordered.items()}
        self.suffering_ = {setup: probes[setup][0].suffering for setup in ordered}
        self.suffered_ = {setup: self._suffered(setup, given) for setup, given in ordered.items()}
        self.belief_ = {setup: belief(self.past, setup) for setup in ordered}
        rates = {setup: believed.rates for setup, believed in self.belief_.items()}
        self.own_ = {
            setup: [*bases, *self._deviating(setup, bases)]
            for setup, bases in own_bases(profiles, ordered, rates).items()
        }
        return self

    def _suffered(self, setup: Setup, probes: Sequence[Probe]) -> NDArray[np.float64]:
        """How far slow moments leave the probes in doubt, and together, see `pace.doubt`."""
        n_operators = self.past.profiles.n_operators[self.rows_[setup]]
        told = self.suffering_[setup]
        busier = told.busier(n_operators, self.latency_ms_[setup])
        return doubt(np.array([probe.slow for probe in probes]), told.shared_doubt(busier))

    def _deviating(self, setup: Setup, bases: Sequence[OwnBase]) -> list[OwnBase]:
        """The same guesses with all networks as far from them as they were in that setup of each other machine."""
        known, rows = self.past.deviations.get(key_of(setup), ()), self.rows_[setup]
        return [one.added_to(base, rows) for one in known for base in bases]

    def posterior(self, setup: Setup, wanted: NDArray[np.intp] | None = None) -> Posterior:
        """What is believed of a setup, for those rows of the history's profiles or for all.

        Raises:
            BadQuestion: There are no probes of that setup.
        """
        if setup not in self.belief_:
            raise BadQuestion(
                f"Nothing was measured with {setup.runtime} {setup.precision} at batch {setup.batch_size} on "
                f"{setup.device_id}, and other setups say nothing certain about it: measure probes there."
            )
        rows = np.arange(len(self.past.profiles)) if wanted is None else wanted
        return posterior(
            self.belief_[setup], self.prior, self.rows_[setup], self.latency_ms_[setup], rows, self.own_[setup],
            self.suffered_[setup], self.unsure_[setup], on_tiles=self.on_tiles_[setup],
        )  # fmt: skip

    def suffers(self, setup: Setup) -> NDArray[np.float64]:
        """Shape (n_profiles,): what each network of the history suffers of a slow machine, see `suffering`."""
        own, profiles = self.own_[setup], self.past.profiles
        if own and not self.on_tiles_[setup]:
            return self.suffering_[setup].of(profiles.n_operators, np.exp(own[0].everywhere))
        told = own[0].suffers if own else None
        return np.full(len(profiles), self.usual_[setup]) if told is None else told

    def predict_quantiles(
        self, profiles: Profiles, setup: Setup, *, quantiles: Sequence[float] = QUANTILES
    ) -> NDArray[np.float64]:
        """Latencies in ms, shape (n_profiles, n_quantiles).

        Raises:
            BadQuestion: There are no probes of that setup.
            UnknownName: A network has no cost profile in the history.
        """
        names, sizes = profiles.models["architecture"].tolist(), profiles.models["img_size"].tolist()
        wanted = self.past.profiles.rows(list(zip(names, sizes, strict=True)))
        return self.posterior(setup, wanted).quantiles(quantiles)


def check_enough(setup: Setup, probes: Sequence[Probe]) -> None:
    """Refuse to predict from next to nothing.

    Raises:
        BadQuestion: Fewer than `MIN_PROBES` different networks.
    """
    n = len({probe.key for probe in probes})
    if n < MIN_PROBES:
        raise BadQuestion(
            f"{n} measured networks with {setup.runtime} {setup.precision} are too few to predict others: at least "
            f"{MIN_PROBES} different ones are needed. Measure more."
        )
