import nbformat
import pytest

from percept.workbook import contract, notebooks

CELL = nbformat.v4.new_code_cell
TEXT = nbformat.v4.new_markdown_cell
NAME = "02_seeing"
HEAD = "# Can it see?\n\n**What you will learn.** To see.\n\nRun time: 1 min. Reads: none. Writes: scores."
PARAMETERS = 'profile = "quick"  # size of the run\nseed = 0\nrate: float = 1e-4\nwords = ["a", "b"]'
BODY = f"run = runs.start('{NAME}', {{}})\nrun.save_figure(fig, 'f', 'A line that rises')"


def good():
    return [
        TEXT(HEAD),
        CELL(PARAMETERS, metadata={"tags": ["parameters"]}),
        CELL("from percept import runs"),
        CELL(BODY),
        TEXT("The line rises."),
        CELL("run.finish()"),
        TEXT("## Takeaways\n\nIt sees."),
        TEXT("## Exercises\n\nLook away."),
    ]


def save(folder, cells, name=NAME, reads=(), **metadata):
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    metadata = {"kernelspec": kernel, "percept": {"reads": list(reads)}, **metadata}
    node = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(node, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def changed(number, source=None, tags=None, **fields):
    """The good notebook with one cell (counted from 1) changed."""
    cells = good()
    cell = cells[number - 1]
    cell.source = cell.source if source is None else source
    cell.update(fields)
    if tags is not None:
        cell.metadata["tags"] = tags
    return cells


def without(number):
    cells = good()
    del cells[number - 1]
    return cells


def test_a_good_notebook_has_no_problems(tmp_path):
    save(tmp_path, good())
    assert contract.check(tmp_path) == []


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (without(1), "first cell must be markdown"),
        (changed(1, HEAD.replace("?", "!")), "cell 1: the title must be a question, not 'Can it see!'"),
        (changed(1, HEAD.replace("What you will learn", "Goal")), "cell 1: says nothing of 'what you will learn'"),
        (changed(1, HEAD.replace("Run time", "Cost")), "cell 1: says nothing of 'run time'"),
        (changed(1, HEAD.replace("Reads", "Uses")), "cell 1: says nothing of 'reads'"),
        (changed(1, HEAD.replace("Writes", "Makes")), "cell 1: says nothing of 'writes'"),
        (without(7), "has no section 'Takeaways'"),
        (without(8), "has no section 'Exercises'"),
        (good() + [TEXT("more") for _ in range(23)], "has 31 cells, at most 30"),
        (changed(6, "x = 1\n" * 25 + "run.finish()"), "cell 6: 26 lines, at most 25"),
        (changed(6, outputs=[nbformat.v4.new_output("stream", text="x")]), "cell 6: holds outputs"),
        (changed(6, execution_count=1), "cell 6: holds outputs or an execution count"),
        (without(5), "cell 4: a figure must be followed by a sentence"),
        (changed(4, BODY + "\nplt.show()"), "cell 4: use run.save_figure"),
        (changed(5, "![](figures/x.png)"), "cell 5: an image has no alt text"),
        (changed(5, '<img src="x.png">'), "cell 5: an image has no alt text"),
        (changed(5, "![a cat](https://far/cat.png)"), "cell 5: an image is fetched from a network"),
        (changed(3, "path = '/home/me/images'"), "cell 3: absolute path"),
        (changed(3, "path = 'C:\\\\images'"), "cell 3: absolute path"),
        (changed(3, "x ="), "cell 3: is not valid Python"),
        (changed(2, tags=[]), "has 0 cells tagged 'parameters'"),
        (changed(3, tags=["parameters"]), "has 2 cells tagged 'parameters'"),
        (changed(2, "seed = None"), "cell 2: parameter 'seed' must be a plain int, float, str, bool or list"),
        (changed(2, "a, b = 1, 2"), "cell 2: line 1 must be `name = literal`"),
        (changed(2, 'text = "a=b"'), "papermill cannot read parameter 'text'"),
        (changed(2, "rate: int | float = 1"), "papermill cannot read parameter 'rate'"),
        (changed(2, "seed = 1 + 1"), "parameter 'seed' = 1 + 1 is no plain literal"),
        (changed(2, "import os\nseed = 0"), "cell 2: line 1 must be `name = literal`"),
        (changed(4, BODY.replace(NAME, "02_other")), r"must call runs.start('02_seeing', ...) once"),
        (changed(6, "run.rows"), "never calls run.finish()"),
        (changed(3, "runs.require('01_judging', 'x')"), "reads 01_judging undeclared"),
    ],
)
def test_each_violation_is_named(tmp_path, cells, message):
    save(tmp_path, cells)
    problems = contract.check(tmp_path)
    assert len(problems) == 1, problems
    assert message in problems[0]
    assert problems[0].startswith(f"{NAME}.ipynb: ")


@pytest.mark.parametrize("name", ["00_start", "11_briefing"])
@pytest.mark.parametrize("line", ["import torch", "import timm.models", "from open_clip import tokenize"])
def test_the_light_notebooks_import_no_torch(tmp_path, name, line):
    cells = changed(4, BODY.replace(NAME, name))
    cells[2].source = line
    save(tmp_path, cells, name=name)
    assert "without torch" in " ".join(contract.check(tmp_path))
    save(tmp_path, cells, name="03_other")
    assert "without torch" not in " ".join(contract.check(tmp_path, ["03"]))


def test_reads_must_exist(tmp_path):
    save(tmp_path, good(), reads=["09_z"])
    assert "unknown notebook in percept.reads '09_z'" in contract.check(tmp_path)[0]


def test_an_empty_folder_keeps_no_contract(tmp_path):
    with pytest.raises(notebooks.NotebookError, match="no notebooks"):
        contract.check(tmp_path)


def test_strip_removes_what_a_machine_made_and_keeps_the_rest(tmp_path):
    cells = changed(6, outputs=[nbformat.v4.new_output("stream", text="x")], execution_count=3)
    for cell in cells:
        cell.metadata["collapsed"] = True
    path = save(tmp_path, cells, reads=["02_seeing"], widgets={"state": {}}, papermill={"duration": 1})
    assert contract.strip(path) is True
    node = nbformat.read(path, as_version=4)
    assert node.cells[5].outputs == []
    assert node.cells[5].execution_count is None
    assert [dict(cell.metadata) for cell in node.cells] == [{}, {"tags": ["parameters"]}] + [{}] * 6
    assert [cell.source for cell in node.cells] == [cell.source for cell in cells]
    assert set(node.metadata) == {"kernelspec", "language_info", "percept"}
    before = path.read_bytes()
    assert contract.strip(path) is False
    assert path.read_bytes() == before
