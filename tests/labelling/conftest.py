import numpy as np
import pytest

from percept.data.judgments import Judgments
from percept.data.triplets import Triplets


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
