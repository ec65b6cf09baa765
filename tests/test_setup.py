"""The set-up keeps its promises: one set of versions in three files, a light import, a clean tree."""

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = {
    "linux": {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux", "platform_machine": "x86_64"},
    "darwin": {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin", "platform_machine": "arm64"},
    "win32": {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows", "platform_machine": "AMD64"},
}


def read_lock(platform: str, python: str = "3.11.9") -> dict[str, str]:
    """Name -> version of what the lock installs on a platform."""
    target = PLATFORMS[platform] | {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    rows = [Requirement(line) for line in lines if line and not line.startswith("#")]
    rows = [row for row in rows if row.marker is None or row.marker.evaluate(target)]
    names = [canonicalize_name(row.name) for row in rows]
    assert len(names) == len(set(names)), f"the lock names a package twice for {platform}, Python {python}"
    return {name: str(row.specifier).removeprefix("==") for name, row in zip(names, rows, strict=True)}


def read_pyproject() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"])
    return {canonicalize_name(row.name): row for row in rows}


def read_environment() -> dict[str, str]:
    parts = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(part["pip"] for part in parts if isinstance(part, dict))
    rows = [Requirement(line) for line in pip if not line.startswith("-")]
    return {canonicalize_name(row.name): str(row.specifier).removeprefix("==") for row in rows}


def test_three_files_name_the_same_direct_dependencies():
    assert set(read_environment()) == set(read_pyproject())


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", ["3.11.9", "3.12.4", "3.13.1"])
def test_lock_satisfies_pyproject_everywhere(platform, python):
    lock = read_lock(platform, python)
    for name, row in read_pyproject().items():
        assert name in lock, f"{name} is missing from the lock for {platform}; run `make lock`"
        assert row.specifier.contains(lock[name]), f"{name}: lock has {lock[name]}, pyproject asks {row.specifier}"


def test_environment_has_the_locked_versions():
    lock = read_lock("linux")
    differ = {
        name: (version, lock.get(name)) for name, version in read_environment().items() if lock.get(name) != version
    }
    assert not differ, f"environment.yml differs from requirements.lock: {differ}"


def test_environment_says_who_needs_each_dependency():
    lines = re.findall(r"^ +- ([\w.-]+==.*)$", (ROOT / "environment.yml").read_text(), flags=re.MULTILINE)
    assert len(lines) == len(read_environment())
    assert [line for line in lines if not re.search(r" # \w.{5,}", line)] == []


def test_cuda_is_locked_for_linux_only():
    def cuda(platform):
        return {name for name in read_lock(platform) if re.match(r"nvidia-|cuda-|triton$", name)}

    assert len(cuda("linux")) > 10
    assert cuda("darwin") == cuda("win32") == set()


def test_lock_holds_exact_versions_and_no_places():
    text = (ROOT / "requirements.lock").read_text()
    assert "make lock" in text
    assert not re.search(r"://|--|^\s*-|@ ", text, flags=re.MULTILINE)
    assert {re.match(r"[\w.-]+==", line) is not None for line in text.splitlines() if not line.startswith("#")} == {
        True
    }


def run_python(code: str, folder: Path) -> str:
    """What a fresh interpreter prints, started in `folder` without help from PYTHONPATH."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_works_from_notebooks_and_stays_light():
    heavy = "torch numpy pandas matplotlib scipy sklearn PIL open_clip IPython"
    code = f"import sys, percept; print([name for name in {heavy.split()} if name in sys.modules])"
    folder = ROOT / "notebooks"
    assert run_python(code, folder if folder.is_dir() else ROOT / "tests") == "[]"


def test_lazy_names():
    import percept

    assert "load_encoder" in dir(percept)
    assert percept.losses.__name__ == "percept.losses"
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = percept.no_such_thing


PUBLIC = {
    "percept": "load_encoder",
    "percept.losses": "clip_loss siglip_loss triplet_hinge_loss",
    "percept.evaluation": "recall_at_k two_alternative_score jnd_map odd_one_out_accuracy",
}


@pytest.mark.parametrize("package", PUBLIC)
def test_public_names_exist(package):
    """Names that other tools call; they stay."""
    module = importlib.import_module(package)
    assert [name for name in PUBLIC[package].split() if not callable(getattr(module, name, None))] == []


def test_version_is_the_installed_one():
    import percept

    code = "import importlib.metadata; print(importlib.metadata.version('percept'))"
    assert run_python(code, ROOT / "tests") == percept.__version__
    assert f"version: {percept.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_tests_cannot_reach_the_network():
    with pytest.raises(OSError, match="mark it `network`"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.2)


def test_ci_runs_the_tests():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_tracked_file_is_large():
    assert {path.name: path.stat().st_size for path in tracked() if path.stat().st_size > 10_000_000} == {}


def test_notebooks_are_stripped():
    found = []
    for path in tracked():
        if path.suffix != ".ipynb":
            continue
        notebook = json.loads(path.read_text(encoding="utf-8"))
        found += [f"{path.name}: metadata.{key}" for key in ("papermill", "widgets") if key in notebook["metadata"]]
        for number, cell in enumerate(notebook["cells"]):
            if cell.get("outputs") or cell.get("execution_count") or "papermill" in cell["metadata"]:
                found.append(f"{path.name}: cell {number} was executed")
    assert found == []


def test_readme_layout_is_the_real_one():
    """Every path of README's layout exists, and every module of the package stands in it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## Layout\n+```\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert block, "README.md has no layout block"
    named, folders = set(), []
    for line in block[1].splitlines():
        if not (match := re.match(r"( *)(\S+)", line)):
            continue
        depth = len(match[1]) // 2
        folders[depth:] = [match[2]]
        named.add("".join(folders))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
    files = [path.relative_to(ROOT).as_posix() for path in tracked()]
    modules = [name for name in files if re.match(r"percept/.*\.py$", name) and not name.endswith("__init__.py")]
    missing = [
        name for name in modules if name not in named and not any(name.startswith(f) for f in named_packages(named))
    ]
    assert missing == [], "modules that README's layout does not name"


def named_packages(named: set[str]) -> list[str]:
    """Folders that the layout describes as a whole, without naming what is inside."""
    folders = [name for name in named if name.endswith("/")]
    return [folder for folder in folders if not any(name != folder and name.startswith(folder) for name in named)]
