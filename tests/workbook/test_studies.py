import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest

from percept import runs, storage
from percept.workbook import fingerprints, studies

SOURCE = """
import os, time
BUDGET = {"images": 10}
ARMS = ["plain", "aligned"]
SEEDS = [0, 1]

def run(arm, seed, budget):
    if os.environ.get("HANG") == f"{arm} {seed}":
        open(os.environ["MARK"], "w").close()
        time.sleep(60)
    log = os.environ.get("CALLS")
    if log:
        open(log, "a").write(f"{arm} {seed}\\n")
    return {"accuracy": budget["images"] + seed, "gap": float("nan")}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(fingerprints, "PACKAGE", tmp_path / "package")
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    (tmp_path / "growth.py").write_text(SOURCE)
    return tmp_path


def calls(folder):
    path = folder / "calls"
    return path.read_text().splitlines() if path.exists() else []


def edit(folder, before, after):
    source = (folder / "growth.py").read_text()
    assert before in source
    (folder / "growth.py").write_text(source.replace(before, after))


def test_a_study_runs_all_arms_of_a_seed_first_and_is_read_back(folder):
    lines = []
    studies.run("growth", folder=folder, say=lines.append)
    assert calls(folder) == ["plain 0", "aligned 0", "plain 1", "aligned 1"]
    assert len(lines) == 5
    study = studies.load("growth", folder)
    assert study.table[["arm", "seed", "accuracy"]].values.tolist() == [
        ["plain", 0, 10],
        ["aligned", 0, 10],
        ["plain", 1, 11],
        ["aligned", 1, 11],
    ]
    assert all(math.isnan(value) for value in study.table["gap"].astype(float))
    assert (study.stale, study.missing, study.budget) == ("", (), {"images": 10})
    assert study.command == "percept study growth"
    assert study.date


def test_finished_pairs_are_not_run_again(folder):
    studies.run("growth", folder=folder)
    studies.run("growth", folder=folder)
    assert len(calls(folder)) == 4


def test_kill_loses_the_pair_under_way_and_no_more(folder):
    code = (
        "import sys; from pathlib import Path; from percept.workbook import fingerprints, studies\n"
        "fingerprints.ROOT = Path(sys.argv[1]); fingerprints.PACKAGE = Path(sys.argv[1]) / 'package'\n"
        "studies.run('growth', folder=Path(sys.argv[1]))"
    )
    mark = folder / "mark"
    environment = os.environ | {"HANG": "plain 1", "MARK": str(mark)}
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment, cwd=runs.ROOT)
    end = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert studies.load("growth", folder).missing == (("plain", 1), ("aligned", 1))
    studies.run("growth", folder=folder)
    assert calls(folder) == ["plain 0", "aligned 0", "plain 1", "aligned 1"]
    assert studies.load("growth", folder).missing == ()


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [('+ seed, "gap"', '- seed, "gap"', "code"), ('"images": 10', '"images": 20', "code, budget")],
)
def test_results_of_other_code_are_stale_and_never_mixed(folder, before, after, kind):
    studies.run("growth", folder=folder)
    old = (folder / "growth.json").read_text()
    edit(folder, before, after)
    assert studies.load("growth", folder).stale == "code"
    with pytest.raises(studies.StudyError, match=rf"4 results of other {kind}.*--restart"):
        studies.run("growth", folder=folder)
    assert (folder / "growth.json").read_text() == old
    studies.run("growth", folder=folder, restart=True)
    assert len(calls(folder)) == 8
    assert studies.load("growth", folder).stale == ""


def test_other_weights_make_stale(folder):
    studies.run("growth", folder=folder)
    (folder / "package/models/tiny").mkdir(parents=True)
    (folder / "package/models/tiny/weights.bin").write_text("w")
    assert studies.load("growth", folder).stale == "encoder"


def test_more_seeds_and_comments_leave_the_results_valid(folder):
    studies.run("growth", folder=folder)
    edit(folder, "SEEDS = [0, 1]", "# one more\nSEEDS = [0, 1, 2]")
    assert studies.load("growth", folder).stale == ""
    studies.run("growth", folder=folder)
    assert calls(folder)[4:] == ["plain 2", "aligned 2"]


def test_a_package_module_that_is_imported_counts_as_code(folder):
    (folder / "package/__init__.py").touch()
    (folder / "package/rule.py").write_text("x = 1")
    edit(folder, "    log = ", "    if not seed < 9:\n        from package import rule\n    log = ")
    studies.run("growth", folder=folder)
    assert studies.load("growth", folder).stale == ""
    (folder / "package/rule.py").write_text("x = 2")
    assert studies.load("growth", folder).stale == "code"


def test_no_pair_is_started_that_would_end_too_late(folder):
    edit(folder, "    log = ", "    time.sleep(0.2)\n    log = ")
    lines = []
    studies.run("growth", folder=folder, hours=0.3 / 3600, say=lines.append)
    assert calls(folder) == ["plain 0"]
    assert "3 pairs left" in lines[-1]
    assert json.loads((folder / "growth.json").read_text())["rows"][0]["seconds"] >= 0.2


def test_restart_keeps_the_old_results_until_there_are_new_ones(folder):
    studies.run("growth", folder=folder)
    old = (folder / "growth.json").read_text()
    studies.run("growth", folder=folder, restart=True, hours=0)
    assert (folder / "growth.json").read_text() == old
    edit(folder, 'return {"accuracy"', 'raise RuntimeError("no luck")\n    return {"accuracy"')
    with pytest.raises(RuntimeError, match="no luck"):
        studies.run("growth", folder=folder, restart=True)
    assert (folder / "growth.json").read_text() == old


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("growht", SOURCE, "unknown study 'growht'; did you mean 'growth'"),
        ("growth", SOURCE.replace("SEEDS", "SEED"), "growth.py lacks SEEDS"),
        ("growth", SOURCE + "    from package.nothing import x\n", "no module named 'package.noth"),
    ],
)
def test_what_is_no_study_is_refused(folder, name, source, message):
    (folder / "growth.py").write_text(source)
    with pytest.raises(studies.StudyError, match=message):
        studies.run(name, folder=folder)


def test_a_study_without_results_names_the_command(folder):
    with pytest.raises(studies.StudyError, match="percept study growth"):
        studies.load("growth", folder)


def test_two_processes_share_the_pairs_of_a_study(folder):
    edit(folder, "    log = ", "    time.sleep(0.3)\n    log = ")
    code = "import sys; from pathlib import Path; from percept.workbook import fingerprints, studies\n"
    code += "folder = Path(sys.argv[1]); fingerprints.PACKAGE, fingerprints.ROOT = folder / 'package', folder\n"
    code += "studies.run('growth', folder=folder)"
    drivers = [subprocess.Popen([sys.executable, "-c", code, str(folder)]) for _ in range(2)]
    assert [driver.wait(120) for driver in drivers] == [0, 0]
    assert sorted(calls(folder)) == ["aligned 0", "aligned 1", "plain 0", "plain 1"]
    rows = json.loads((folder / "growth.json").read_text())["rows"]
    assert [(row["arm"], row["seed"]) for row in rows] == [("plain", 0), ("aligned", 0), ("plain", 1), ("aligned", 1)]


def test_a_pair_that_another_process_runs_is_left_to_it(folder):
    taken = runs.home() / ".studies" / f"growth-{fingerprints.of_text('aligned', '0')}.lock"
    with storage.locked(taken):
        studies.run("growth", folder=folder)
    assert calls(folder) == ["plain 0", "plain 1", "aligned 1"]
    assert studies.load("growth", folder).missing == (("aligned", 0),)


def test_shown_results_say_what_they_are_worth(folder, capsys):
    assert studies.show("growth", folder) is None
    assert "percept study growth" in capsys.readouterr().out
    studies.run("growth", folder=folder)
    edit(folder, "SEEDS = [0, 1]", "SEEDS = [0, 1, 2]")
    edit(folder, '"images": 10', '"images": 20')
    assert len(studies.show("growth", folder)) == 4
    said = capsys.readouterr().out
    assert "STALE: code" in said
