import numpy as np
import pandas as pd
import pytest
from PIL import Image

from percept.data.judgments import Judgments


@pytest.fixture
def store(tmp_path):
    """Study "photos" with four triplets, raters ann (inspectors) and ben (designers)."""
    store = Judgments(tmp_path / "judgments.sqlite")
    store.add_study("photos", table(), sampling="random, seed 0")
    store.register("ann", "inspectors", "ja", "回答は研究のために保存されます。")
    store.register("ben", "designers", "en", "Your answers are kept for research.")
    return store


def table(count=4):
    return pd.DataFrame(
        {
            "id": [f"t{i}" for i in range(count)],
            "reference": [f"r{i}.png" for i in range(count)],
            "left": [f"a{i}.png" for i in range(count)],
            "right": [f"b{i}.png" for i in range(count)],
            "category": ["cup", "plate"] * (count // 2),
        }
    )


@pytest.fixture
def photos(tmp_path):
    """A folder with the pictures of `table()`, in a sub-folder-free form."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in table()[["reference", "left", "right"]].to_numpy().ravel():
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name)
    return folder


def pictures(count=4):
    return pd.DataFrame({"id": [f"t{i}" for i in range(count)], "reference": [f"p{i}.png" for i in range(count)]})


def pairs(count=4):
    ids = [f"t{i}" for i in range(count)]
    return pd.DataFrame(
        {"id": ids, "left": [f"p{i}.png" for i in range(count)], "right": [f"p{i + 1}.png" for i in range(count)]}
    )


@pytest.fixture
def tasks(store):
    """The store with one study of each task; "photos" has the triplets."""
    store.add_study("five", pictures(), task="rating")
    store.add_study("line", pictures(), task="slider")
    store.add_study("better", pairs(), task="pair")
    return store
