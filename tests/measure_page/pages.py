"""The Measure page in Streamlit's own harness: how tests open it, read it and wait for its jobs."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from advisor.measure.job_state import JobState
from advisor.measure.jobs import Jobs
from tests.conftest import ROOT
from tests.waiting import until

STREAMLITS_WARNINGS = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


def page(**link: str) -> AppTest:
    """The page as the app runs it, without the pages before it."""
    app = AppTest.from_file(str(ROOT / "pages" / "measure.py"), default_timeout=60)
    app.session_state["app_routed"] = True
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def through_the_app() -> AppTest:
    """Recommend, where the app opens."""
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()


def texts(app: AppTest) -> str:
    """Everything that the page says, one element a line."""
    alerts = [*app.info, *app.warning, *app.success]
    return "\n".join([*(m.value for m in (*app.markdown, *app.caption, *alerts)), *(h.value for h in app.html)])


def sentences(app: AppTest) -> list[str]:
    return [e.value for e in app.error]


def choose(app: AppTest, *names: str, runtime: str = "pytorch-eager") -> AppTest:
    app.multiselect(key="measure").set_value(list(names))
    return app.selectbox(key="mea_runtime").set_value(runtime).run()


def ended(queue: Jobs) -> JobState:
    """The newest job once it has ended."""
    return until(lambda: next((s for s in queue.states()[:1] if s.ended), None), "the job to end")  # type: ignore[return-value]
