import json
import subprocess
import sys
import types

import nbformat
import pytest

from percept import cli, runs
from percept.workbook import notebooks


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path / "notebooks")
    (tmp_path / "notebooks/studies").mkdir(parents=True)


STUDY = """BUDGET = {}
ARMS = ["a"]
SEEDS = [0]

def run(arm, seed, budget):
    return {"x": 1}
"""


def write_notebook(folder, name="00_start"):
    cells = [
        nbformat.v4.new_markdown_cell("# Does it run?\n\n**Run time:** 1 minute (quick)"),
        nbformat.v4.new_code_cell("seed = 0  # start", metadata={"tags": ["parameters"]}, execution_count=4),
    ]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    node = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(node, folder / f"notebooks/{name}.ipynb")


def record(run, value, monkeypatch):
    monkeypatch.setenv("PERCEPT_RUN", run)
    started = runs.start("00_start", {})
    started.record("accuracy", value)
    started.finish()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "percept run: no notebooks named"),
        (["run", "--profile", "quik"], "did you mean 'quick'"),
        (["list"], "percept list: no notebooks named"),
        (["check"], "percept check: no notebooks named"),
        (["compare", "a", "b"], "percept compare: no run named 'a'"),
        (["study", "growth"], "percept study: unknown study 'growth' (known: none)"),
        (["bench", "nothing"], "percept bench: unknown benchmark 'nothing'"),
        (["export", "quick", "--folder", "pages"], "percept export: unknown run 'quick'"),
    ],
)
def test_what_the_user_got_wrong_is_one_line_and_code_2(capsys, arguments, message):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_unknown_commands_and_missing_arguments_are_code_2(capsys):
    for arguments in (["nonsense"], [], ["compare", "a"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(arguments)
        assert caught.value.code == 2
    assert "usage: percept" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / "notebooks/studies/broken.py").write_text(STUDY.replace("1}", "1 / 0}"))
    with pytest.raises(ZeroDivisionError):
        cli.main(["study", "broken"])


def test_list_shows_question_run_time_and_parameters(tmp_path, capsys):
    write_notebook(tmp_path)
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert "00_start  Does it run?" in out
    assert "run time: 1 minute (quick)" in out
    assert "-p seed=0" in out
    assert "start" in out


def test_check_fails_on_problems_and_fix_strips(tmp_path, capsys):
    write_notebook(tmp_path)
    assert cli.main(["check"]) == 1
    assert "execution count" in capsys.readouterr().out
    assert cli.main(["check", "--fix"]) == 1
    out = capsys.readouterr().out
    assert "stripped 00_start.ipynb" in out
    assert "execution count" not in out
    assert "Takeaways" in out


def test_compare_reports_and_may_fail(monkeypatch, capsys):
    record("monday", 0.5, monkeypatch)
    record("tuesday", 0.6, monkeypatch)
    assert cli.main(["compare", "monday", "tuesday"]) == 0
    out = capsys.readouterr().out
    assert "moved     00_start  accuracy  0.5 -> 0.6 (difference +0.1" in out
    assert "1 moved, 0 within" in out
    assert cli.main(["compare", "monday", "tuesday", "--fail-on-moved"]) == 1
    assert cli.main(["compare", "monday", "monday", "--fail-on-moved"]) == 0
    assert "accuracy" not in capsys.readouterr().out.split("\n", 3)[-1]


def test_study_runs_and_says_so(tmp_path, capsys):
    (tmp_path / "notebooks/studies/small.py").write_text(STUDY)
    assert cli.main(["study", "small", "--hours", "1"]) == 0
    assert "arm a, seed 0" in capsys.readouterr().out
    assert json.loads((tmp_path / "notebooks/studies/small.json").read_text())["rows"][0]["numbers"] == {"x": 1}


def test_embed_passes_the_options_on(tmp_path, monkeypatch, capsys):
    seen = {}

    def embed_folder(**options):
        seen.update(options)
        return {"images": 3}

    monkeypatch.setitem(sys.modules, "percept.embed", types.SimpleNamespace(embed_folder=embed_folder))
    assert cli.main(["embed", str(tmp_path / "photos"), "--shard-size", "8", "--strict"]) == 0
    assert seen == {
        "folder": tmp_path / "photos",
        "output": None,
        "encoder": "percept-tiny",
        "pretrained": None,
        "activation": None,
        "kind": "embedding",
        "device": "auto",
        "batch_size": 64,
        "shard_size": 8,
        "strict": True,
    }
    assert "images: 3" in capsys.readouterr().out


def test_bench_prints_rows_and_writes_json(tmp_path, monkeypatch, capsys):
    rows = [{"name": "render", "value": 310.0, "unit": "scenes/s", "note": "64 px"}]
    seen = {}

    def run(images=512, device="auto"):
        seen.update(images=images, device=device)
        return rows

    fake = types.SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "percept.benchmarks.scenes", fake)
    monkeypatch.setattr("percept.benchmarks.names", lambda: ["scenes"])
    assert cli.main(["bench", "scenes", "--json", str(tmp_path / "bench.json")]) == 0
    assert "310 scenes/s" in capsys.readouterr().out
    assert cli.main(["bench", "scenes", "-o", "images=8", "-o", "device=cuda"]) == 0
    assert seen == {"images": 8, "device": "cuda"}
    assert cli.main(["bench", "scenes", "-o", "image=8"]) == 2
    assert "unknown option of benchmark scenes 'image'; did you mean 'images'" in capsys.readouterr().err
    assert json.loads((tmp_path / "bench.json").read_text())["benchmarks"] == {"scenes": rows}


def test_export_writes_one_page_per_notebook(tmp_path, monkeypatch, capsys):
    record("monday", 0.5, monkeypatch)
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Does it run?")])
    nbformat.write(node, runs.home() / "monday/00_start/executed.ipynb")
    assert cli.main(["export", "monday", "--folder", str(tmp_path / "pages"), "--language", "ja"]) == 0
    page = (tmp_path / "pages/00_start.html").read_text()
    assert '<html lang="ja">' in page
    assert "Does it run?" in page


def test_the_command_starts_fast_and_imports_nothing_heavy():
    code = (
        "import sys; from percept import cli; cli._parser(); "
        "print([m for m in ('torch', 'numpy', 'pandas', 'papermill', 'IPython') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=runs.ROOT)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    "module", ["runs", *(f"workbook.{name}" for name in ("runner", "contract", "studies", "notebooks", "webpage"))]
)
def test_the_runner_imports_no_torch(module):
    code = f"import sys, percept.{module}; print('torch' in sys.modules, 'papermill' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=runs.ROOT)
    assert done.stdout.strip() == "False False", done.stderr
