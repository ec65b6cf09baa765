import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from percept import runs, storage
from percept.workbook import fingerprints, notebooks, runner, webpage

CELL = nbformat.v4.new_code_cell
TEXT = nbformat.v4.new_markdown_cell


def write(folder, name, *sources, reads=(), parameters='profile = "quick"'):
    cells = [TEXT(f"# What is {name}?\n\n**Run time:** 1 s"), CELL(parameters, metadata={"tags": ["parameters"]})]
    cells += [CELL(textwrap.dedent(source).strip()) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    node = nbformat.v4.new_notebook(cells=cells, metadata=metadata | {"percept": {"reads": list(reads)}})
    nbformat.write(node, folder / f"{name}.ipynb")


def finishing(name, more=""):
    body = f"from percept import runs\nrun = runs.start({name!r}, {{}})\nrun.record('score', 1)"
    return f"{body}\n{textwrap.dedent(more).strip()}\nrun.finish()"


PARAMETERS = """\
profile = "quick"  # size of the run
seed = 0  # start of the random numbers
rate = 0.5
fast = False
text = "abc"
data_dir = ""
shots = [1, 2]
"""
FIRST = """
from matplotlib.figure import Figure
run = runs.start("01_first", {"seed": seed})
block = b"x" * 150_000_000
for step in range(3):
    print("step", step, flush=True)
figure = Figure(figsize=(2, 1))
figure.subplots().plot([0, 1])
run.record("seed", seed)
run.path("artifact.txt").write_text(f"{seed} {rate!r} {fast!r} {text!r} {profile!r}")
print(runs.ROOT / "percept")
run.save_figure(figure, "line", "A line that rises to one")
"""
SETTINGS = ["seed=3", "rate=1", "fast=true", "text=x=y"]


def make_book(folder):
    write(folder, "01_first", "from percept import runs", FIRST, "run.finish()", parameters=PARAMETERS)
    second = "assert runs.require('01_first', 'artifact.txt').read_text().startswith('3')"
    write(folder, "02_second", finishing("02_second", second), reads=["01_first"])


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Two notebooks, the second reading the first, executed once."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "package").mkdir()
    (folder / "package/module.py").write_text("x = 1\n")
    make_book(folder)
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as monkeypatch:
        enter(folder, monkeypatch)
        outcomes = runner.run_workbook(request_of(folder), out=out)
    assert [(o.notebook, o.status) for o in outcomes] == [("01_first", "ran"), ("02_second", "ran")], out.getvalue()
    return folder


def enter(folder, monkeypatch):
    # The real package may be under edit while its tests run.
    monkeypatch.setattr(fingerprints, "PACKAGE", folder / "package")
    monkeypatch.setenv("PERCEPT_HOME", str(folder / "runs"))


@pytest.fixture
def book(executed, monkeypatch):
    enter(executed, monkeypatch)
    return executed


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """A folder for notebooks of the test's own."""
    (tmp_path / "package").mkdir()
    enter(tmp_path, monkeypatch)
    return tmp_path


def request_of(folder, **changes):
    return runner.plan(**{"settings": SETTINGS, "notebooks_dir": folder, **changes})


# --- before anything runs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": ["sede=3"]}, r"unknown parameter 'sede'; did you mean 'seed'\? \(known: data_dir, fast"),
        ({"settings": ["seed=three"]}, r"'seed' of 01_first must be int \(its default is 0\), not 'three'"),
        ({"settings": ["seed=1.5"]}, "must be int"),
        ({"settings": ["seed=true"]}, "must be int"),
        ({"settings": ["fast=1"]}, "must be bool"),
        ({"settings": ["rate=quick"]}, "must be float"),
        ({"settings": ["shots=[1, 'two']"]}, r"must be list \(its default is \[1, 2\]\)"),
        ({"settings": ["seed"]}, "write -p name=value"),
        ({"settings": ["profile=quik"]}, r"unknown profile 'quik'; did you mean 'quick'"),
        ({"profile": "fulll"}, r"unknown profile 'fulll'; did you mean 'full'\? \(known: quick, standard, full"),
        ({"names": ["02_secnd"]}, r"unknown notebook '02_secnd'; did you mean '02_second'"),
        ({"names": ["07"]}, r"unknown notebook '07' \(known: 01_first, 02_second\)"),
        ({"run": "../elsewhere"}, "no valid run name"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(book, changes, message):
    with pytest.raises(ValueError, match=message):
        request_of(book, **changes)


def test_a_read_of_nothing_and_a_circle_are_refused(empty):
    write(empty, "01_a", reads=["09_z"])
    with pytest.raises(notebooks.NotebookError, match=r"01_a reads unknown notebook '09_z'"):
        runner.plan(notebooks_dir=empty)
    write(empty, "01_a", reads=["02_b"])
    write(empty, "02_b", reads=["01_a"])
    with pytest.raises(notebooks.NotebookError, match="in a circle"):
        runner.plan(notebooks_dir=empty)


def test_a_folder_without_notebooks_and_a_broken_notebook_are_refused(empty):
    with pytest.raises(notebooks.NotebookError, match="no notebooks named"):
        runner.plan(notebooks_dir=empty)
    (empty / "01_a.ipynb").write_text("{")
    with pytest.raises(notebooks.NotebookError, match=r"01_a\.ipynb cannot be read"):
        runner.plan(notebooks_dir=empty)


def test_order_follows_reads_then_names(empty):
    write(empty, "01_a", reads=["03_c"])
    for name in ("00_z", "02_b", "03_c", "04_d"):
        write(empty, name)
    assert runner.plan(notebooks_dir=empty).order == ["00_z", "02_b", "03_c", "01_a", "04_d"]
    assert runner.plan(["01"], notebooks_dir=empty).order == ["03_c", "01_a"]


# --- one execution


def test_parameters_arrive_with_their_types(book):
    text = (book / "runs/quick/01_first/artifact.txt").read_text()
    assert text == "3 1.0 True 'x=y' 'quick'"


def test_executed_copy_is_whole_and_tells_nothing_of_this_machine(book):
    folder = book / "runs/quick/01_first"
    text = (folder / "executed.ipynb").read_text()
    assert str(book) not in text
    assert str(runs.ROOT) not in text
    node = nbformat.reads(text, as_version=4)
    assert "widgets" not in node.metadata
    streams = [o for cell in node.cells for o in cell.get("outputs", ()) if o.output_type == "stream"]
    assert streams[0].text == "step 0\nstep 1\nstep 2\npercept\n"
    assert len(streams) == 1
    assert not (folder / "executing.ipynb").exists()


def test_web_page_fetches_nothing_and_has_alt_text(book):
    page = (book / "runs/quick/01_first/executed.html").read_text()
    assert webpage.external_requests(page) == []
    assert webpage.images_without_alt(page) == 0
    assert 'alt="A line that rises to one"' in page
    assert "<script" not in page


def test_cost_is_measured(book):
    timing = json.loads((book / "runs/quick/01_first/timing.json").read_text())
    assert timing["peak_mb"] > 150
    assert 0 < timing["import_seconds"] < timing["wall_seconds"]
    assert 0 < timing["start_seconds"] < timing["wall_seconds"]
    summary = json.loads((book / "runs/quick/workbook.json").read_text())
    assert [row["notebook"] for row in summary["notebooks"]] == ["01_first", "02_second"]


# --- reuse


def test_unchanged_notebooks_are_reused(book):
    out = io.StringIO()
    outcomes = runner.run_workbook(request_of(book), out=out)
    assert [o.status for o in outcomes] == ["reused", "reused"], out.getvalue()
    assert outcomes[0].peak_mb > 150
    assert "0 ran, 2 reused, 0 failed, 0 skipped" in out.getvalue()


def test_each_kind_of_change_makes_stale_and_undoing_it_fresh(book, monkeypatch):
    fresh = {"01_first": "", "02_second": ""}
    assert runner.pending(request_of(book)) == fresh
    both = dict.fromkeys(fresh, "changed: code")
    module = book / "package/module.py"
    module.write_text("x = 2\n")
    assert runner.pending(request_of(book)) == both
    module.write_text("# a comment changes no result\nx = 1\n")
    assert runner.pending(request_of(book)) == fresh
    (book / "package/cli.py").write_text("y = 1\n")
    assert runner.pending(request_of(book)) == fresh
    weights = book / "package/models/tiny/weights.bin"
    weights.parent.mkdir(parents=True)
    weights.write_text("w")
    assert runner.pending(request_of(book)) == dict.fromkeys(fresh, "changed: encoder")
    weights.unlink()
    other = runner.pending(request_of(book, settings=["seed=4", *SETTINGS[1:]]))
    assert other == fresh | {"01_first": "changed: parameters"}
    monkeypatch.setattr(fingerprints, "of_environment", lambda: "other")
    assert runner.pending(request_of(book)) == dict.fromkeys(fresh, "changed: library versions")


def test_source_of_one_notebook_and_its_inputs(book):
    fresh = {"01_first": "", "02_second": ""}
    path = book / "02_second.ipynb"
    before = path.read_text()
    path.write_text(before.replace("'score', 1", "'score', 2"))
    assert runner.pending(request_of(book)) == fresh | {"02_second": "changed: code"}
    path.write_text(before)
    artifact = book / "runs/quick/01_first/artifact.txt"
    cached = artifact.parent / "cache/rows.sqlite"
    cached.parent.mkdir()
    cached.write_text("embeddings are no results")
    assert runner.pending(request_of(book)) == fresh
    text = artifact.read_text()
    artifact.write_text("by hand")
    assert runner.pending(request_of(book)) == fresh | {"01_first": "its artifacts were changed by hand"}
    artifact.write_text(text)
    state = book / "runs/quick/01_first/state.json"
    kept = state.read_text()
    state.write_text(kept.replace('"outputs": "', '"outputs": "0'))
    assert runner.pending(request_of(book))["02_second"] == "changed: inputs"
    state.write_text(kept)
    assert runner.pending(request_of(book)) == fresh


def test_the_users_data_folder_is_an_input(book, tmp_path):
    (tmp_path / "a.png").write_text("a")
    request = request_of(book, settings=[f"data_dir={tmp_path}"])
    before = runner._fingerprints(request, request.notebooks["01_first"])
    (tmp_path / "b.png").write_text("b")
    after = runner._fingerprints(request, request.notebooks["01_first"])
    assert [kind for kind in before if before[kind] != after[kind]] == ["inputs"]


def test_force_runs_what_was_asked_for_and_equal_artifacts_spare_the_rest(book):
    out = io.StringIO()
    outcomes = runner.run_workbook(request_of(book, names=["01"]), force=True, out=out)
    assert [(o.notebook, o.status) for o in outcomes] == [("01_first", "ran")]
    assert runner.pending(request_of(book)) == {"01_first": "", "02_second": ""}


def test_two_runners_do_not_share_a_run(book):
    with storage.locked(book / "runs/quick/.lock"), pytest.raises(notebooks.NotebookError, match="executed by another"):
        runner.run_workbook(request_of(book), out=io.StringIO())


# --- failure


def test_failures_are_named_and_stop_only_what_depends_on_them(empty):
    write(empty, "01_bad", finishing("01_bad"), "\n# why\nvalue = 1\nraise ValueError('too small')")
    write(empty, "02_dead", "import os\nos.kill(os.getpid(), 9)")
    write(empty, "03_needs", finishing("03_needs"), reads=["01_bad"])
    write(empty, "04_forgets", "x = 1")
    write(empty, "05_undeclared", "from percept import runs\nruns.require('04_forgets', 'x')")
    out = io.StringIO()
    outcomes = {o.notebook: o for o in runner.run_workbook(runner.plan(notebooks_dir=empty), out=out)}
    assert {name: o.status for name, o in outcomes.items()} == {
        "01_bad": "failed",
        "02_dead": "failed",
        "03_needs": "skipped",
        "04_forgets": "failed",
        "05_undeclared": "failed",
    }
    assert "cell 4 of 4 `# why`: ValueError: too small" in outcomes["01_bad"].reason
    assert "runs/quick/01_bad/executed.ipynb" in outcomes["01_bad"].reason
    assert "cell 3 of 3 `import os`: the kernel died" in outcomes["02_dead"].reason
    assert "run.finish()" in outcomes["04_forgets"].reason
    assert "percept.reads" in outcomes["05_undeclared"].reason
    assert outcomes["03_needs"].reason == "reads 01_bad"
    for name in ("01_bad", "02_dead"):
        copy = nbformat.read(empty / f"runs/quick/{name}/executed.ipynb", as_version=4)
        assert str(empty) not in nbformat.writes(copy)
        assert not (empty / f"runs/quick/{name}/state.json").exists()
        assert not (empty / f"runs/quick/{name}/executing.ipynb").exists()
    assert "too small" in (empty / "runs/quick/01_bad/executed.ipynb").read_text()


SLOW = """
import os, pathlib, time
from percept import runs
run = runs.start("02_slow", {})
here = pathlib.Path(os.environ["MARK"])
here.write_text(str(os.getpid()))
if os.environ.get("SLOW"):
    time.sleep(60)
run.record("score", 1)
run.finish()
"""
RUNNER = """
import sys; from pathlib import Path
from percept import cli
from percept.workbook import fingerprints, notebooks
notebooks.NOTEBOOKS = Path(sys.argv[1]); fingerprints.PACKAGE = Path(sys.argv[1]) / "package"
sys.exit(cli.main(["run"]))
"""


def _interrupted(folder, number):
    write(folder, "01_quick", finishing("01_quick"))
    write(folder, "02_slow", SLOW, reads=["01_quick"])
    mark = folder / "mark"
    environment = os.environ | {"MARK": str(mark), "SLOW": "1"}
    command = [sys.executable, "-c", RUNNER, str(folder)]
    runner = subprocess.Popen(command, env=environment, cwd=runs.ROOT, stdout=subprocess.PIPE, text=True)
    _until(lambda: mark.exists() and mark.read_text() != "")
    kernel = psutil.Process(int(mark.read_text()))
    runner.send_signal(number)
    output, _ = runner.communicate(timeout=20)
    _until(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE)
    assert (folder / "runs/quick/01_quick/state.json").exists()
    left = {p.name for p in (folder / "runs/quick/02_slow").iterdir()}
    assert left.isdisjoint({"state.json", "results.json", "executed.ipynb", "timing.json"})
    return runner.returncode, output


def _until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_kill_of_the_runner_leaves_nothing_half_valid(empty, monkeypatch):
    code, _ = _interrupted(empty, signal.SIGKILL)
    assert code == -signal.SIGKILL
    monkeypatch.setenv("MARK", str(empty / "mark"))
    outcomes = runner.run_workbook(runner.plan(notebooks_dir=empty), out=io.StringIO())
    assert [o.status for o in outcomes] == ["reused", "ran"]
    assert not (empty / "runs/quick/02_slow/executing.ipynb").exists()


def test_termination_ends_the_kernel_too(empty):
    code, _ = _interrupted(empty, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM


# --- pages


def test_external_requests_and_missing_alt_are_seen():
    page = """<link href="//cdn/x.css"><script src="https://cdn/x.js"></script><a href="https://fine/">x</a>
    <img src="data:image/png;base64,AA" alt="a cat"><img src="https://far/x.png"><style>a{b:url(http://u/f)}</style>
    <p style="background:url('https://s/t.png')"><script type="module">import m from 'https://m/m.js'</script>"""
    assert webpage.external_requests(page) == [
        "//cdn/x.css",
        "https://cdn/x.js",
        "https://far/x.png",
        "http://u/f",
        "https://s/t.png",
        "https://m/m.js",
    ]
    assert webpage.images_without_alt(page) == 1


def test_an_image_shown_without_alt_text_counts(tmp_path):
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    shown = nbformat.v4.new_output("display_data", data={"image/png": png})
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[shown])])
    page = webpage.export(node, "t", Path(tmp_path))
    assert webpage.images_without_alt(page) == 1
    assert '<html lang="ja">' in webpage.export(node, "t", Path(tmp_path), language="ja")
