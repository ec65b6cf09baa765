import numpy as np
import pytest
from PIL import Image

from percept.data.judgments import Judgments
from percept.data.triplets import Triplets
from percept.labelling.plan import Questions


@pytest.fixture
def store(tmp_path):
    return Judgments(tmp_path / "judgments.sqlite")


@pytest.fixture
def make_triplets():
    def make(count=20, size=8, seed=0):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (3 * count, size, size, 3), dtype=np.uint8)
        return Triplets(images, rng.permutation(3 * count).reshape(count, 3), np.full(count, 0.5))

    return make


@pytest.fixture
def make_questions():
    """Every picture once, or each with the next one as a pair."""

    def make(task, count=12, size=8):
        images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        rows = np.arange(count)
        return Questions(images, rows[:, None] if task != "pair" else np.stack([rows, (rows + 1) % count], 1), task)

    return make


@pytest.fixture
def grey_photos(tmp_path):
    """A folder of twelve pictures, 00.png the darkest."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        Image.fromarray(np.full((6, 9, 3), 20 * number, np.uint8)).save(folder / f"{number:02d}.png")
    return folder
