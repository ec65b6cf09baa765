"""What holds for every notebook of the executed workbook, found by name so that none can be forgotten."""

import ast
import math
import subprocess
import sys

import pytest

from percept import runs
from percept.workbook import contract, notebooks, webpage

NAMES = sorted(path.stem for path in notebooks.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
MEMORY_LIMIT_MB = 4096


def test_there_are_notebooks_and_they_keep_the_contract():
    assert contract.check() == []


@pytest.mark.notebook
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_every_notebook_measures_something_finite(workbook_run, name):
    rows = workbook_run.rows(name)
    assert rows
    for row in rows.values():
        numbers = [row["value"], *(row[end] for end in ("low", "high") if row[end] is not None)]
        assert all(math.isfinite(number) for number in numbers), row
        assert numbers[1:] == sorted(numbers[1:]), row


@pytest.mark.notebook
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_every_page_opens_offline_and_can_be_heard(workbook_run, name):
    page = (workbook_run.folder / name / "executed.html").read_text("utf-8")
    assert webpage.external_requests(page) == []
    assert webpage.images_without_alt(page) == 0
    assert "missing from font" not in page, "a figure shows boxes instead of Japanese: call viz.style.use_style()"
    figures = workbook_run.folder / name / "figures"
    assert {p.stem for p in figures.glob("*.png")} == {p.stem for p in figures.glob("*.txt")}


@pytest.mark.notebook
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_every_executed_copy_is_portable_and_fits_a_laptop(workbook_run, name):
    text = (workbook_run.folder / name / "executed.ipynb").read_text("utf-8")
    assert str(runs.ROOT) not in text
    assert 0 < workbook_run.outcomes[name].peak_mb < MEMORY_LIMIT_MB


@pytest.mark.notebook
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_every_widget_has_a_static_twin(workbook_run, name):
    """A saved page cannot show a live widget; a progress bar would stand at 0 % for ever."""
    import nbformat

    node = nbformat.read(workbook_run.folder / name / "executed.ipynb", as_version=4)
    for number, cell in enumerate(node.cells, 1):
        kinds = ["widget-view" in " ".join(output.get("data", ())) for output in cell.get("outputs", ())]
        assert not kinds or not all(kinds), f"cell {number} shows only a widget"


@pytest.mark.parametrize("name", [name for name in NAMES if name[:2] in ("00", "11")])
def test_the_light_notebooks_load_no_torch(name):
    """Their import lines alone, in a fresh process: whatever they pull in indirectly counts too."""
    node = notebooks.discover()[name].node
    trees = [ast.parse(cell.source) for cell in node.cells if cell.cell_type == "code"]
    imports = [
        ast.unparse(statement)
        for tree in trees
        for statement in tree.body
        if isinstance(statement, ast.Import | ast.ImportFrom)
    ]
    code = "\n".join([*imports, "import sys", "print('torch' in sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=runs.ROOT)
    assert done.stdout.strip() == "False", done.stderr
