import numpy as np
import pytest

from percept.data import panel
from percept.data.triplets import Triplets
from percept.evaluation import agreement


class Pixels:
    """An encoder whose features are an 8x8 thumbnail."""

    def encode_images(self, images, batch_size=64):
        import torch

        return torch.from_numpy(np.stack([image[::8, ::8].ravel() for image in images]).astype(np.float32) / 255)

    def features(self, images, kind="global", batch_size=64):
        import torch

        if kind == "patch":
            return torch.from_numpy(np.stack([image[::8, ::8].transpose(2, 0, 1) for image in images])).float()
        return self.encode_images(images)


@pytest.fixture(scope="module")
def judged():
    return {split: panel.judged("mid-level", split, n) for split, n in (("tune", 150), ("validate", 60), ("test", 90))}


def test_every_way_scores_the_same_triplets(judged):
    train, validate, test = (judged[split].triplets for split in ("tune", "validate", "test"))
    ways = agreement.plain_ways(Pixels(), test) | agreement.frozen_ways(Pixels(), train, validate, test, "embedding")
    assert {"pixels", "frozen encoder", "linear read-out", "heads only", "gLocal-type"} <= set(ways)
    for name, items in ways.items():
        assert items.shape == (90,), name
        assert ((items >= 0) & (items <= 1)).all(), name
        assert items.mean() > 0.5, name  # plain pixels agree with the raters more often than a coin


def test_the_oracle_comes_near_the_ceiling_and_is_fooled_by_shuffled_votes(judged):
    test = judged["test"]
    good = agreement.attribute_oracle(judged["tune"], test).mean()
    assert good > test.ceiling - 0.06
    mixed = judged["tune"].triplets
    mixed = Triplets(mixed.images, mixed.items, np.random.default_rng(0).permutation(mixed.vote_right), mixed.votes)
    lost = panel.Judged(judged["tune"].shown, [], mixed, None, None, judged["tune"].contrast)
    assert agreement.attribute_oracle(lost, test).mean() < good - 0.1


def test_the_share_of_the_gap_that_is_closed():
    assert agreement.closed_gap(0.8, 0.8, 0.9) == 0
    assert agreement.closed_gap(0.9, 0.8, 0.9) == pytest.approx(1)
    assert agreement.closed_gap(0.7, 0.8, 0.9) == pytest.approx(-1)
    with pytest.raises(ValueError, match=r"no gap to close: base 0\.900, ceiling 0\.850"):
        agreement.closed_gap(0.9, 0.9, 0.85)
