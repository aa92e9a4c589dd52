"""What is believed of the setups of this machine once more was measured: the predictor, fitted anew with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from advisor.predict.columns import Setup
from advisor.predict.history import History
from advisor.predict.known import Known
from advisor.predict.missed import correlation
from advisor.predict.predictor import Posterior, Predictor, Prior
from advisor.predict.probe import Probe
from advisor.workflows_find_play import Extra


class FittedBeliever:
    """Fits the predictor with the probes of all setups and what a search has measured beside them; remembers each fit.

    Args:
        probes: Of every setup known here, also of those that are not considered: setups share strength.
        knowns: The setups that are considered.
    """

    def __init__(
        self, past: History, prior: Prior, probes: Mapping[Setup, Sequence[Probe]], knowns: Sequence[Known]
    ) -> None:
        self._past, self._prior, self._probes, self._knowns = past, prior, probes, tuple(knowns)
        self._fits: dict[Extra, Predictor] = {}

    def posteriors(self, extra: Extra, rows: Sequence[NDArray[np.intp]]) -> list[Posterior]:
        """Of each setup, for those rows of its profiles."""
        fitted = self._fitted(extra)
        return [fitted.posterior(one.setup, some) for one, some in zip(self._knowns, rows, strict=True)]

    def correlation(self, extra: Extra, known: int, rows: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """How rows of a setup deviate together from what is predicted."""
        fitted, setup = self._fitted(extra), self._knowns[known].setup
        return correlation(fitted.belief_[setup], self._prior.scales, fitted.rows_[setup], rows)

    def _fitted(self, extra: Extra) -> Predictor:
        if extra not in self._fits:
            probes = {setup: list(given) for setup, given in self._probes.items()}
            for place, _row, probe in extra:
                probes[self._knowns[place].setup].append(probe)
            self._fits[extra] = Predictor(self._past, self._prior).fit(probes)
        return self._fits[extra]
