"""The page This machine as tests drive it."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from advisor import workflows_measure
from advisor.measure.job_state import JobState
from tests.calibration_lab import Lab
from tests.conftest import ROOT
from tests.waiting import until

STORED = {
    "plan": {"draws": 20},
    "predictions": [
        {"kind": "cpu", "task": "infer", "device": "", "probes": "chosen", "n_probes": 20, "method": method,
         "n_devices": 3, "n_setups": 4,
         "score": {"median_error": error, "within_10": 0.5, "coverage": held, "spearman": 0.98}}
        for method, error, held in (("MACs x constant", 0.41, None), ("predictor", 0.081, 0.9))
    ],
    "devices": [],
    "advice": [
        {"kind": "cpu", "task": "infer", "probes": "chosen", "n_probes": 20, "method": "predict, then confirm",
         "n_devices": 3, "n_answers": 76,
         "score": {"broken": 0.0, "regret": 0.04, "unanswered": 0.0, "confirmations": 3.2}},
    ],
}  # fmt: skip


def page(**link: str) -> AppTest:
    """The page as the app runs it, without the pages before it."""
    app = AppTest.from_file(str(ROOT / "pages" / "this_machine.py"), default_timeout=60)
    app.session_state["app_routed"] = True
    for name, value in link.items():
        app.query_params[name] = value
    app.run()
    assert app.title[0].value == "This machine"
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    """Everything that the page says, one element a line."""
    alerts = [*app.info, *app.warning, *app.success]
    return "\n".join([*(m.value for m in (*app.markdown, *app.caption, *alerts)), *(h.value for h in app.html)])


def sentences(app: AppTest) -> list[str]:
    return [e.value for e in app.error]


def click(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def ended(lab: Lab) -> JobState:
    """The newest job once it has ended."""
    queue = workflows_measure.jobs(lab.store)
    return until(lambda: next((s for s in queue.states()[:1] if s.ended), None), "the job to end")  # type: ignore[return-value]
