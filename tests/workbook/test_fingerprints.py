import pytest

from percept.workbook import fingerprints


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    monkeypatch.setattr(fingerprints, "PACKAGE", tmp_path / "percept")
    files = {
        "__init__.py": '_HOME = {"load": "models.encoders"}',
        "models/__init__.py": "",
        "models/encoders.py": "def load():\n    from percept.models import deep\n",
        "models/deep.py": "import numpy",
        "data/__init__.py": "",
        "data/scenes/__init__.py": "from percept.data.scenes.world import Thing",
        "data/scenes/world.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import percept.data.types",
        "data/types.py": "",
        "data/unused.py": "",
        "storage.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "percept" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "percept"


def names(package, source):
    return {path.relative_to(package).as_posix() for path in fingerprints.imported(source)} - {
        "__init__.py", "models/__init__.py", "data/__init__.py"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os, numpy", set()),
        ("from percept import load", {"models/encoders.py", "models/deep.py"}),
        ("def f():\n    import percept.models.deep", {"models/deep.py"}),
        ("from percept.data.scenes import Thing", {"data/scenes/__init__.py", "data/scenes/world.py"}),
        ("from percept.data import scenes", {"data/scenes/__init__.py", "data/scenes/world.py"}),
        ("from percept import storage", {"storage.py"}),
    ],
)
def test_imports_are_followed_wherever_they_stand(package, source, expected):
    assert names(package, source) == expected


def test_an_import_of_nothing_is_named(package):
    with pytest.raises(fingerprints.UnknownModuleError, match=r"percept\.data\.scene'"):
        fingerprints.imported("from percept.data.scene import Thing")


def test_only_what_is_imported_counts_and_comments_do_not(package):
    source = "from percept import load\n"
    before = fingerprints.of_imports(source)
    (package / "data" / "unused.py").write_text("x = 1")
    (package / "models" / "deep.py").write_text("import numpy  # for arrays\n")
    assert fingerprints.of_imports(source + "# a comment\n") == before
    (package / "models" / "deep.py").write_text("import numpy as np\n")
    assert fingerprints.of_imports(source) != before


def test_keeping_files_is_no_result(package):
    before = fingerprints.of_imports("from percept import storage")
    (package / "storage.py").write_text("x = 1")
    assert fingerprints.of_imports("from percept import storage") == before


def test_the_real_studies_lead_to_the_code_they_use():
    source = "from percept import load_encoder\nfrom percept.evaluation import language\n"
    found = {path.relative_to(fingerprints.PACKAGE).as_posix() for path in fingerprints.imported(source)}
    assert {"models/encoders.py", "models/clip.py", "evaluation/language.py", "data/scenes/render.py"} <= found
    assert not {"training/fit.py", "viz/style.py", "workbook/studies.py"} & found
