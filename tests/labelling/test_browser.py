"""The panel in a real browser: JupyterLab and headless Chromium.

Needs Chromium (`PERCEPT_CHROMIUM` or on the PATH) and playwright, here or in another environment whose Python is
named by `PERCEPT_PLAYWRIGHT`; the test starts that Python on `browser_drive.py`. Pictures of the screen go to
`PERCEPT_SHOTS`, if set.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from percept.data.judgments import Judgments, descriptions_table, export_regions
from percept.data.region_files import read_regions
from percept.labelling.plan import plan_trials
from percept.runs import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
CHROMIUM = os.environ.get("PERCEPT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
PLAYWRIGHT = os.environ.get("PERCEPT_PLAYWRIGHT") or sys.executable
CELL = """
from percept.labelling import label_folder
panel = label_folder("photos", n=N, seed=3, study="STUDY", store="judgments.sqlite", OPTIONS)
panel
"""
DESCRIBE = """
from percept.labelling import INSPECTION, describe_folder
panel = describe_folder("parts", study="STUDY", store="judgments.sqlite", template=INSPECTION, OPTIONS)
panel
"""
NOTEBOOKS = {
    "one": (20, "pilot", "repeats=0.1, groups=['inspector', 'designer']"),
    "two": (20, "pilot", "repeats=0.1, rater='ann', language='ja'"),
    "rating": (8, "rating", "repeats=0, task='rating', rater='ann'"),
    "slider": (8, "slider", "repeats=0, task='slider', rater='ann'"),
    "pair": (8, "pair", "repeats=0, task='pair', rater='ann', language='ja'"),
    "describe": (0, "describe", ""),
    "describe2": (0, "describe", "rater='ann', language='ja'"),
}


def _has_playwright():
    return subprocess.run([PLAYWRIGHT, "-c", "import playwright"], capture_output=True).returncode == 0


@pytest.fixture
def lab(tmp_path):
    """A JupyterLab server on a folder with photos and a notebook; ends with the test."""
    if not CHROMIUM:
        pytest.skip("no chromium on this machine")
    if not _has_playwright():
        pytest.skip("no playwright: install it, or name a Python that has it in PERCEPT_PLAYWRIGHT")
    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(12):  # some small, some larger than their place and wide
        shape = (8, 8) if number % 2 else (300, 400)
        small = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize(shape[::-1], Image.Resampling.NEAREST).save(work / f"photos/{number:02d}.png")
    (work / "parts").mkdir()
    for number in range(4):  # larger than their place: a plate with a mark
        plate = Image.new("RGB", (1200, 800), (200 - 10 * number, 200, 200))
        plate.paste((190, 30, 30), (320 + 20 * number, 260, 560, 300))
        plate.save(work / f"parts/{number}.png")
    for name, (count, study, options) in NOTEBOOKS.items():
        filled = (
            (DESCRIBE if study == "describe" else CELL)
            .replace("n=N,", f"n={count},")
            .replace("STUDY", study)
            .replace("OPTIONS", options)
        )
        cells = [nbformat.v4.new_code_cell(filled.strip()),
                 nbformat.v4.new_code_cell("ffjj = 1")]  # fmt: skip
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), work / f"{name}.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    private = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = os.environ | private | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    settings = tmp_path / "JUPYTER_CONFIG_DIR/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    options = {"ServerApp.port": port, "ServerApp.port_retries": 0, "ServerApp.ip": "127.0.0.1",
               "ServerApp.root_dir": work, "ServerApp.disable_check_xsrf": True, "IdentityProvider.token": "",
               "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate"}  # fmt: skip
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=work, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(f"http://127.0.0.1:{port}/api/status", server)
            yield work, f"http://127.0.0.1:{port}"
        finally:
            server.terminate()  # shuts its kernels down too
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait(url, server):
    for _ in range(120):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError("the server did not start within a minute")


def _driven(lab, part):
    """What the driver reports of one part: what was pressed, how often undone."""
    work, url = lab
    shots = Path(os.environ.get("PERCEPT_SHOTS") or work / "shots")
    shots.mkdir(parents=True, exist_ok=True)
    command = [PLAYWRIGHT, str(Path(__file__).with_name("browser_drive.py")), url, CHROMIUM, str(shots), part]
    fonts = _japanese_fonts(work)
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, env=os.environ | fonts)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["foreign"] == [], "a request left the machine"
    return report


def test_ratings_slider_and_pairs_by_keyboard_and_after_a_reload(lab):
    report = _driven(lab, "scores")
    store = Judgments(lab[0] / "judgments.sqlite")
    assert store.answers("rating")["answer"].tolist() == [4, 1, "skip", 5]
    assert store.answers("slider")["answer"].tolist() == [11.0, 99.0, "skip", 51.0]
    pairs = store.answers("pair")
    exchanged = {"left": "right", "right": "left", "skip": "skip"}
    shown = [exchanged[a] if s else a for a, s in zip(pairs["answer"], pairs["swapped"], strict=True)]
    assert shown == ["left", "right", "skip", "right"]
    assert len(report["pressed"]) == 12


def test_describe_by_mouse_touch_and_keys_after_a_reload_and_in_another_kernel(lab):
    report = _driven(lab, "describe")
    store = Judgments(lab[0] / "judgments.sqlite")
    order = [trial.triplet for trial in plan_trials(np.zeros((4, 1)), (0, "describe", "ann"), repeats=0)]
    table = descriptions_table(store, "describe")
    first, second, third, fourth = (table[table["image"] == f"{number}.png"] for number in order)
    assert first["text"].tolist() == [
        "a grey plate with a red mark", "scratch at the upper left of the surface", "the middle <b>&amp;</b>"
    ]  # fmt: skip
    assert first["box"].iloc[0] is None
    assert first["box"].iloc[1] == pytest.approx((300, 200, 300, 400), abs=2)
    assert first["fields"].iloc[1] == {"part": "surface", "defect": "scratch", "location": "upper left"}
    # The picture is shown at half its size: a press is 4 px. The box begins in the middle, a quarter of each side.
    assert first["box"].iloc[2] == (450 + 8, 300 - 4, 300 + 4, 200 + 4)
    assert report["pressed"][0].startswith("About: a box, left 458, top 296, width 304, height 204 px")
    assert second["text"].tolist() == ["lower right quarter, grey"]
    assert second["box"].iloc[0] == pytest.approx((600, 400, 480, 320), abs=2)
    assert third["text"].tolist() == ["表面の上部に軽微な汚れ", "灰色の板に赤い印がある"]
    assert third["box"].iloc[0] == pytest.approx((120, 80, 1080, 400), abs=2)
    assert third["language"].tolist() == ["ja", "ja"]
    assert not len(fourth)
    asked = store.answers("describe", include_undone=True).query("kind == 'ask'")
    assert asked["answer"].tolist() == ["done", "done", "skip", "done"]
    assert read_regions(export_regions(store, "describe", lab[0] / "parts")).region_rows.tolist() == [0, 1, 2]


def test_twenty_triplets_by_keyboard_with_undo_reload_resume_and_japanese(lab):
    report = _driven(lab, "triplets")
    work, _ = lab
    store = Judgments(work / "judgments.sqlite")
    items = store.items("pilot")
    trials = plan_trials(np.zeros((len(items), 3)), (3, "pilot", "ann"), repeats=0.1)
    answers = store.answers("pilot", "ann")
    assert len(trials) == 22
    assert answers["position"].tolist() == list(range(22))
    assert answers["triplet"].tolist() == [str(trial.triplet) for trial in trials]
    exchanged = {"left": "right", "right": "left", "skip": "skip"}
    shown = [exchanged[a] if s else a for a, s in zip(answers["answer"], answers["swapped"], strict=True)]
    assert shown == report["pressed"]
    assert answers["seconds"].between(0.15, 60).all()
    history = store.answers("pilot", "ann", include_undone=True)
    assert len(history) == 22 + report["undone"]
    raters = store.raters().set_index("rater")
    assert raters.loc["ann", "group"] == "inspector"
    assert "free will" in raters.loc["ann", "consent"]


def _japanese_fonts(work):
    """Many test machines have no Japanese font: lend the browser the one that matplotlib-fontja carries."""
    import matplotlib_fontja

    folder = Path(matplotlib_fontja.__file__).parent
    config = work / "fonts.conf"
    config.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        '<include ignore_missing="yes">/etc/fonts/fonts.conf</include>'
        f"<dir>{folder}</dir></fontconfig>"
    )
    return {"FONTCONFIG_FILE": str(config)}
