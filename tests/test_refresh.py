"""Refreshing against a server on this machine: what is new, changed and gone, and everything a mirror can do."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tenacity import wait_none

from advisor.errors import AdvisorError, RefreshFailed, StoreUnusable
from advisor.evidence import download
from advisor.evidence.refresh import RefreshReport, refresh
from advisor.evidence.store import Store
from advisor.tables import refresh_report
from tests import upstream_server
from tests.small_data import INFER_4090, INFER_I7, WEIGHTS
from tests.upstream_server import Answer, Server, raw_tables

GPU_FILE = INFER_4090.removeprefix("results/")
I7_FILE = INFER_I7.removeprefix("results/")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting, and no proxy between us and 127.0.0.1."""
    monkeypatch.setattr(download, "_WAIT", wait_none())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def tables(small_data: Path) -> dict[str, str]:
    """Upstream's tables with the figures in use."""
    return raw_tables(small_data / "published")


@pytest.fixture
def server(tables: dict[str, str]) -> Iterator[Server]:
    """A server with the figures in use."""
    with Server(tables) as running:
        yield running


def edit(server: Server, name: str, old: str, new: str, tables: dict[str, str]) -> None:
    """Serve a table in which one passage reads otherwise."""
    assert tables[name].count(old) == 1
    server.answers[name] = upstream_server.text(tables[name].replace(old, new))


def speed_of(store: Store, model: str, device_id: str) -> list[float]:
    runs = store.query("runs", device_id=device_id, task="infer")
    return sorted(runs["throughput_per_s"][runs["architecture"] == model].dropna())


def in_use(store: Store) -> tuple[object, ...]:
    """Everything a failed refresh must leave as it is."""
    home = sorted(p.name for p in store.home.glob("*") if not p.name.startswith("published"))
    return (*home, store.refreshed, store.version())


def test_same_tables_change_nothing(small: Store, server: Server) -> None:
    before = in_use(small)
    report = refresh(small, url=server.url)
    assert (report.n_new, report.n_changed, report.n_gone, report.folder) == (0, 0, 0, None)
    assert {f.state for f in report.files} == {"same"}
    assert in_use(small) == before


def test_table_that_the_data_lacked_is_added(small: Store, small_data: Path, server: Server) -> None:
    shipped = small_data / "published" / "timm-eval.accuracy.csv"
    lines = shipped.read_text(encoding="utf-8").splitlines(keepends=True)
    shipped.write_text("".join(line for line in lines if "a-clean" not in line), encoding="utf-8")
    report = refresh(small, url=server.url)
    n_rows = 2 * sum(len(weights.top1) for weights in WEIGHTS.values())
    added = {f.file: f.n_new for f in report.files if f.state == "added"}
    assert added == {"results-imagenet-a-clean.csv": n_rows}
    assert (report.n_new, report.n_changed, report.n_gone) == (n_rows, 0, 0)
    assert small.refreshed == report.folder


def test_new_changed_and_gone_rows_are_told_apart(small: Store, server: Server, tables: dict[str, str]) -> None:
    text = tables[GPU_FILE].replace("resnet18,224,22000.00", "resnet18,224,23000.00")
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith("resnet34,")]
    server.answers[GPU_FILE] = upstream_server.text("".join(kept) + "resnet26,224,15000.00,68.3,1024,16.0\n")
    report = refresh(small, url=server.url)
    (change,) = [f for f in report.files if f.file == GPU_FILE]
    assert (change.n_new, change.n_changed, change.n_gone) == (1, 1, 1)
    setup = "on rtx-4090 (infer, pytorch-eager, amp-fp16, nchw, batch 1024) img/s"
    assert report.new == (f"resnet26 at 224 px {setup}: 15000.00",)
    assert report.changed == (f"resnet18 at 224 px {setup}: 22000.00 -> 23000.00",)
    assert report.gone == (f"resnet34 at 224 px {setup}: 12000.00",)
    assert speed_of(small, "resnet18", "rtx-4090") == [23000.0, 27500.0]
    assert speed_of(small, "resnet34", "rtx-4090") == [15000.0]  # the compiled run is in another file


def test_a_refresh_says_that_older_predictions_are_not_shown_any_more(
    small: Store, server: Server, tables: dict[str, str]
) -> None:
    assert "build-holes" not in str(list(refresh_report(refresh(small, url=server.url))))
    edit(server, GPU_FILE, "22000.00", "22500.00", tables)
    assert "run 'python -m advisor build-holes'" in list(refresh_report(refresh(small, url=server.url)))[-1]


def test_only_one_refreshed_folder_is_kept(small: Store, server: Server, tables: dict[str, str]) -> None:
    edit(server, GPU_FILE, "22000.00", "22500.00", tables)
    refresh(small, url=server.url)
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    report = refresh(small, url=server.url)
    assert list(small.home.glob("refreshed-*")) == [report.folder]


def test_tables_shipped_later_outdate_a_refresh(
    small: Store, small_data: Path, server: Server, tables: dict[str, str]
) -> None:
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    refresh(small, url=server.url)
    shipped = small_data / "published" / "timm-benchmark.speed.csv"
    shipped.write_text(shipped.read_text(encoding="utf-8").replace("22000.00", "24000.5"), encoding="utf-8")
    assert small.refreshed is None
    assert 24000.5 in speed_of(small, "resnet18", "rtx-4090")


def test_own_results_are_never_touched(small: Store, server: Server, tables: dict[str, str]) -> None:
    small.ensure()
    small.migrate()
    before = (small.local_path.read_bytes(), small.local_path.stat().st_mtime_ns)
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    refresh(small, url=server.url)
    assert (small.local_path.read_bytes(), small.local_path.stat().st_mtime_ns) == before


def test_file_that_is_gone_keeps_its_rows(small: Store, server: Server) -> None:
    server.answers[I7_FILE] = upstream_server.gone
    report = refresh(small, url=server.url)
    assert report.gone_files == (I7_FILE,)
    assert report.n_gone == 0
    assert speed_of(small, "resnet50", "i7-12700h") == [38.46, 62.5]  # 1000 / 26 ms and 1000 / 16 ms


def test_mirror_without_most_tables_is_refused(small: Store, server: Server) -> None:
    before = in_use(small)
    for name in list(server.answers)[:-3]:
        del server.answers[name]
    with pytest.raises(RefreshFailed, match=r"lacks 11 of 14 tables.*--url"):
        refresh(small, url=server.url)
    assert in_use(small) == before


def test_new_table_of_an_unknown_device_is_found_in_the_list(small: Store, server: Server) -> None:
    new = "benchmark-infer-amp-nchw-pt2101-cu130-h100.csv"
    server.answers[""] = upstream_server.text(f'<a href="{new}">{new}</a>', kind="text/html")
    header = "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count\n"
    server.answers[new] = upstream_server.text(header + "resnet50,224,9000.5,113.8,1024,25.6\n")
    report = refresh(small, url=server.url)
    assert report.new_devices == ("h100",)
    devices = small.query("devices").set_index("device_id")
    assert (devices.loc["h100", "kind"], devices.loc["h100", "n_models"]) == ("gpu", 1)
    assert speed_of(small, "resnet50", "h100") == [9000.5]
    assert refresh(small, url=server.url).folder is None  # the device is still known the next time
    assert small.query("devices")["device_id"].isin(["h100"]).any()


def test_suspect_mark_stays_while_the_value_does(
    small: Store, small_data: Path, server: Server, tables: dict[str, str]
) -> None:
    shipped = small_data / "published" / "timm-benchmark.speed.csv"
    lines = shipped.read_text(encoding="utf-8").splitlines(keepends=True)
    marked = [line.replace(",,pt=", ",yes,pt=") if ",resnet18," in line else line for line in lines]
    shipped.write_text("".join(marked), encoding="utf-8")
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    refresh(small, url=server.url)
    rows = small.query("speed_rows", device_ids=["rtx-4090"])
    rows = rows[rows["model"] == "resnet18"].set_index("throughput_per_s")
    assert dict(rows["suspect"]) == {23000.0: False, 27500.0: True}


def test_redirect_is_followed(small: Store, server: Server, tables: dict[str, str]) -> None:
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    server.answers["moved.csv"] = server.answers[GPU_FILE]
    server.answers[GPU_FILE] = upstream_server.redirect("/elsewhere/moved.csv")
    assert refresh(small, url=server.url).n_changed == 1


def test_trouble_that_passes_is_waited_out(small: Store, server: Server, tables: dict[str, str]) -> None:
    fine = upstream_server.text(tables[GPU_FILE])
    server.answers[GPU_FILE] = upstream_server.at_first(upstream_server.status(503), times=2, then=fine)
    assert {f.state for f in refresh(small, url=server.url).files} == {"same"}
    assert server.asked.count(GPU_FILE) == 3


HEADER = "model,infer_img_size,infer_samples_per_sec,infer_step_time,infer_batch_size,param_count\n"
MISBEHAVIOUR: dict[str, tuple[Answer, str]] = {
    "hangs": (upstream_server.hang, "no answer within 0.2 s"),
    "cuts off": (upstream_server.cut_off(HEADER * 10), "the answer was cut off"),
    "is busy": (upstream_server.status(503), "the server answered 503"),
    "forbids": (upstream_server.status(403), "the server answered 403"),
    "sends a page": (upstream_server.text("<!DOCTYPE html><html>Sign in</html>", kind="text/html"), "web page"),
    "sends nothing": (upstream_server.text(""), "line 1: the file is empty"),
    "sends bytes": (upstream_server.raw(b"\xff\xfe\x00"), "not UTF-8"),
    "sends too much": (upstream_server.raw(b"x" * 3000), "larger than"),
    "sends another table": (upstream_server.text("a,b\n1,2\n"), "line 1: the header lacks the column 'model'"),
    "sends a broken row": (
        upstream_server.text(HEADER + "resnet50,224,80.0,12.5,1,25.6\nresnet18,224,oops,1,1,11.7\n"),
        "line 3: throughput_per_s 'oops' is not a number",
    ),
    "sends a cut line": (upstream_server.text(HEADER + "resnet50,224,80.0,12.5,1,25.6\nresnet18,22"), "3: 2 cells"),
    "sends few rows": (upstream_server.text(HEADER + "resnet50,224,80.0,12.5,1,25.6\n"), "only 1 rows where 26 were"),
    "redirects in a circle": (upstream_server.redirect(f"/results/{I7_FILE}"), "redirects"),
    "redirects to a file": (upstream_server.redirect("file:///etc/hostname"), "file://"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", MISBEHAVIOUR)
def test_misbehaving_server_changes_nothing_and_is_told_in_one_sentence(
    trouble: str, small: Store, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = in_use(small)
    server.answers[I7_FILE], expected = MISBEHAVIOUR[trouble]
    if trouble == "sends too much":
        monkeypatch.setattr(download, "MAX_BYTES", 2999)
    with pytest.raises(RefreshFailed) as failure:
        refresh(small, url=server.url, timeout_s=0.2 if trouble == "hangs" else 5)
    message = str(failure.value)
    assert expected in message
    assert I7_FILE in message
    assert "\n" not in message
    assert in_use(small) == before


def test_refused_connection_is_told(small: Store) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RefreshFailed, match=r"could not be fetched from http://127\.0\.0\.1.*refused"):
        refresh(small, url=address)


@pytest.mark.parametrize("url", ["", "results", "file:///etc", "http://", "https://exa mple/x"])
def test_address_that_is_none_is_refused(small: Store, url: str) -> None:
    with pytest.raises(RefreshFailed):
        refresh(small, url=url)


class Interrupted(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("after", [0, 13, 14, 15, 16, 17])
def test_interruption_at_any_step_leaves_the_old_tables(
    after: int, small: Store, server: Server, tables: dict[str, str]
) -> None:
    before = (small.refreshed, small.version())
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    steps = iter(range(100))

    def progress(share: float, what: str) -> None:
        if next(steps) == after:
            raise Interrupted(what)

    with pytest.raises(Interrupted):
        refresh(small, url=server.url, progress=progress)
    assert (small.refreshed, small.version()) == before
    assert speed_of(small, "resnet18", "rtx-4090") == [22000.0, 27500.0]
    assert refresh(small, url=server.url).n_changed == 1


@pytest.mark.parametrize("target", ["refreshed-", "refreshed.txt"])
def test_kill_between_write_and_swap_leaves_the_old_tables(
    target: str, small: Store, server: Server, tables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (small.refreshed, small.version())
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)
    real = Path.replace

    def killed(self: Path, to: Path) -> Path:
        if to.name.startswith(target):
            raise Interrupted
        return real(self, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(Interrupted):
            refresh(small, url=server.url)
    assert (small.refreshed, small.version()) == before
    report: RefreshReport = refresh(small, url=server.url)
    assert [p for p in small.home.glob("refreshed*") if p.name != "refreshed.txt"] == [report.folder]
    assert speed_of(small, "resnet18", "rtx-4090") == [23000.0, 27500.0]


def test_full_disk_is_told_and_leaves_the_old_tables(
    small: Store, server: Server, tables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = in_use(small)
    edit(server, GPU_FILE, "22000.00", "23000.00", tables)

    def full(self: Path, *args: object, **more: object) -> int:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        with pytest.raises(StoreUnusable, match=r"No space left.*nothing was changed"):
            refresh(small, url=server.url)
    assert in_use(small) == before


def test_progress_grows_to_one(small: Store, server: Server) -> None:
    told: list[float] = []
    refresh(small, url=server.url, progress=lambda share, _what: told.append(share))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


def test_every_failure_is_ours() -> None:
    assert issubclass(RefreshFailed, AdvisorError)
