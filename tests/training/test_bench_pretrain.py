from percept.benchmarks.pretrain import run


def test_both_loops_are_timed():
    rows = {row["name"]: row["value"] for row in run(batch_size=4, steps=2, rounds=1)}
    assert rows.keys() == {
        "pretrain_images_per_second", "bare_loop_images_per_second", "pretrain_to_bare_ratio"
    }  # fmt: skip
    speeds = rows["pretrain_images_per_second"], rows["bare_loop_images_per_second"]
    assert rows["pretrain_to_bare_ratio"] == speeds[0] / speeds[1]
