import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from percept import runs


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("PERCEPT_HOME", str(tmp_path))
    monkeypatch.setenv("PERCEPT_RUN", "trial")
    monkeypatch.delenv("PERCEPT_READS", raising=False)


def _figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_a_finished_run_holds_everything_and_can_be_read_back(tmp_path):
    run = runs.start("02_x", {"seed": np.int64(3), "shape": (2, 4)})
    run.log(step=1, loss=np.float32(0.5))
    run.log(step=2, loss=float("nan"))
    run.record("accuracy", np.float32(0.5), low=0.25, high=0.75, n=8, seeds=[0, 1], unit="share")
    table = run.finish()
    assert table["value"].tolist() == [0.5]
    assert json.loads((tmp_path / "trial/02_x/config.json").read_text()) == {"seed": 3, "shape": [2, 4]}
    assert runs.metrics("trial", "02_x") == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": None}]
    row = {"notebook": "02_x", "name": "accuracy", "value": 0.5, "low": 0.25, "high": 0.75, "n": 8}
    assert runs.results("trial") == [row | {"seeds": [0, 1], "unit": "share", "note": ""}]
    assert runs.results("trial", "02_x") == runs.results("trial")
    environment = (tmp_path / "trial/02_x/env.json").read_text()
    assert "versions" in environment
    assert str(runs.ROOT) not in environment
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value": float("nan")}, "finite"),
        ({"value": float("inf")}, "finite"),
        ({"value": "0.5"}, "finite"),
        ({"value": True}, "finite"),
        ({"value": 0.5, "low": 0.4}, "half an interval"),
        ({"value": 0.5, "low": 0.6, "high": 0.4}, "above high"),
        ({"value": 0.5, "low": 0.4, "high": float("nan")}, "finite"),
    ],
)
def test_a_result_that_is_no_result_is_refused(arguments, message):
    with pytest.raises(runs.RunError, match=message):
        runs.start("02_x", {}).record("accuracy", **arguments)


def test_duplicates_late_rows_and_empty_runs_are_refused():
    run = runs.start("02_x", {})
    with pytest.raises(runs.RunError, match="without a single"):
        run.finish()
    run.record("accuracy", 1)
    with pytest.raises(runs.RunError, match="twice"):
        run.record("accuracy", 2)
    run.finish()
    with pytest.raises(runs.RunError, match="after finish"):
        run.record("late", 1)


def test_an_interval_object_is_unpacked():
    class Interval:
        value, low, high, n = 0.5, 0.4, 0.6, 12

    run = runs.start("02_x", {})
    run.record("accuracy", Interval())
    assert (run.rows[0]["value"], run.rows[0]["low"], run.rows[0]["high"], run.rows[0]["n"]) == (0.5, 0.4, 0.6, 12)


def test_a_figure_carries_its_alt_text(tmp_path):
    run = runs.start("02_x", {})
    shown = run.save_figure(_figure(), "curve", "Loss falls from one to zero")
    _, metadata = shown._repr_png_()
    assert metadata["alt"] == "Loss falls from one to zero"
    assert (tmp_path / "trial/02_x/figures/curve.txt").read_text() == "Loss falls from one to zero\n"
    assert (tmp_path / "trial/02_x/figures/curve.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(runs.RunError, match="alt text"):
        run.save_figure(_figure(), "curve", "plot")


def test_starting_again_drops_old_results_and_keeps_what_the_user_made(tmp_path):
    run = runs.start("02_x", {})
    run.path("judgments.db").write_text("precious")
    run.save_figure(_figure(), "old", "A line that goes up")
    run.log(step=1)
    run.record("accuracy", 1)
    run.finish()
    runs.start("02_x", {})
    left = {p.name for p in (tmp_path / "trial/02_x").iterdir()}
    assert left == {"judgments.db", "config.json", "env.json"}


def test_require_names_the_notebook_and_the_command(tmp_path, monkeypatch):
    with pytest.raises(runs.MissingArtifact, match=r"has not run.*percept run 03_x --run trial"):
        runs.require("03_x", "adapter")
    run = runs.start("03_x", {})
    run.path("adapter/weights.bin").write_text("w")
    with pytest.raises(runs.MissingArtifact, match="has not finished"):
        runs.require("03_x", "adapter")
    run.record("score", 1)
    run.finish()
    assert runs.require("03_x", "adapter") == tmp_path / "trial/03_x/adapter"
    with pytest.raises(runs.MissingArtifact, match=r"wrote no 'adaptor'.*adapter"):
        runs.require("03_x", "adaptor")
    monkeypatch.setenv("PERCEPT_RUN", "other")
    with pytest.raises(runs.MissingArtifact, match="runs that have it: trial"):
        runs.require("03_x", "adapter")


def test_an_undeclared_read_is_an_error_under_the_runner(monkeypatch):
    monkeypatch.setenv("PERCEPT_READS", "01_x")
    with pytest.raises(runs.RunError, match="add it to"):
        runs.require("03_x", "adapter")
    for name in ("01_x", "03_x"):
        run = runs.start(name, {})
        run.record("score", 1)
        run.finish()
    assert [row["notebook"] for row in runs.results("trial")] == ["01_x"]
    with pytest.raises(runs.RunError, match="add it to"):
        runs.results("trial", "03_x")
    monkeypatch.setenv("PERCEPT_RUN", "other")
    assert len(runs.results("trial")) == 2


def test_names_cannot_leave_the_folder():
    with pytest.raises(runs.RunError, match="valid notebook name"):
        runs.start("../evil", {})
    with pytest.raises(runs.RunError, match="leaves the folder"):
        runs.start("02_x", {}).path("../other/file")


def test_a_value_without_a_plain_form_is_refused():
    with pytest.raises(TypeError, match="cannot store object"):
        runs.start("02_x", {"model": object()})


def test_a_torn_last_line_is_left_out(tmp_path):
    run = runs.start("02_x", {})
    run.log(step=1)
    with (tmp_path / "trial/02_x/metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "lo')
    assert runs.metrics("trial", "02_x") == [{"step": 1}]


def _row(name, value, half=None, unit=""):
    interval = {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    return {"notebook": "02_x", "name": name, "value": value, "unit": unit, **interval}


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        # half-widths 3 and 4 allow a difference of 5
        (_row("r", 10.0, 3), _row("r", 14.9, 4), "within"),
        (_row("r", 10.0, 3), _row("r", 15.1, 4), "moved"),
        (_row("r", 10.0, 3), _row("r", 4.9, 4), "moved"),
        (_row("r", 10.0), _row("r", 10.0 + 1e-9), "within"),
        (_row("r", 10.0), _row("r", 10.1), "moved"),
        (_row("r", 10.0, unit="s"), _row("r", 99.0, unit="s"), "machine"),
        (_row("r", 10.0, unit="images/s"), _row("r", 99.0, unit="images/s"), "machine"),
        (_row("cpu_cores", 2, unit="machine"), _row("cpu_cores", 64, unit="machine"), "machine"),
    ],
)
def test_comparison_of_one_row(a, b, status):
    from percept.comparison import compare_rows

    assert [row["status"] for row in compare_rows([a], [b])] == [status]


def test_comparison_uses_the_sides_that_face_each_other():
    from percept.comparison import compare_rows

    a = {"notebook": "n", "name": "r", "value": 0.0, "low": -9.0, "high": 1.0, "unit": ""}
    b = {"notebook": "n", "name": "r", "value": 2.0, "low": 1.5, "high": 9.0, "unit": ""}
    assert compare_rows([a], [b])[0]["status"] == "moved"
    assert compare_rows([a], [b])[0]["allowed"] == pytest.approx(np.hypot(1.0, 0.5))


def test_compare_lists_rows_of_one_run_only(monkeypatch):
    for name, result in (("a", "gone"), ("b", "new")):
        monkeypatch.setenv("PERCEPT_RUN", name)
        run = runs.start("02_x", {})
        run.record(result, 1)
        run.record("same", 1)
        run.finish()
    assert [(r["name"], r["status"]) for r in runs.compare("a", "b")] == [
        ("gone", "only in A"),
        ("new", "only in B"),
        ("same", "within"),
    ]
    with pytest.raises(runs.RunError, match="known: a, b"):
        runs.compare("a", "c")


def test_kill_during_writes_leaves_whole_files(tmp_path):
    code = (
        "import sys; from pathlib import Path; from percept.runs import write_json\n"
        "i = 0\n"
        "while True:\n"
        "    i += 1; write_json(Path(sys.argv[1]), {'i': i, 'rows': [i] * 20000})\n"
    )
    target = tmp_path / "state.json"
    process = subprocess.Popen([sys.executable, "-c", code, str(target)], env=os.environ, cwd=runs.ROOT)
    while not target.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    content = json.loads(target.read_text())
    assert content["rows"] == [content["i"]] * 20000
