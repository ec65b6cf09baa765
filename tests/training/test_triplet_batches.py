import numpy as np

from percept.training.triplet_batches import epoch_rows


def test_every_epoch_shows_every_item_once_in_another_order():
    rows = epoch_rows(10, 4, seed=1)
    epochs = [np.concatenate([rows(3 * epoch + batch) for batch in range(3)]) for epoch in range(2)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert not np.array_equal(*epochs)
    assert np.array_equal(rows(4), epoch_rows(10, 4, seed=1)(4))


def test_items_that_share_something_follow_each_other():
    together = np.array([7, 7, 7, 2, 2, 2, 9, 9, 9, 4, 4, 4])
    rows = epoch_rows(12, 3, seed=0, together=together)
    for epoch in range(3):
        batches = [together[rows(4 * epoch + batch)] for batch in range(4)]
        assert sorted(batch[0] for batch in batches) == [2, 4, 7, 9]
        assert all(len(set(batch)) == 1 for batch in batches)
    assert len({tuple(together[rows(4 * epoch)]) for epoch in range(6)}) > 1
