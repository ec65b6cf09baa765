import subprocess
import sys

import numpy as np
import pytest
from skimage.color import deltaE_cie76, deltaE_ciede2000, rgb2lab

from percept.data import munsell
from percept.data.triplets import TripletsError
from percept.evaluation.similarity import two_alternative_items


@pytest.fixture(scope="module")
def sets():
    return munsell.munsell_triplets(fold=1, seed=3, size=8)


def test_published_rows_read_off_by_hand():
    table = munsell.renotation().set_index(["hue", "value", "chroma"])
    # Newhall, Nickerson and Judd (1943): x, y under illuminant C; Y with magnesium oxide = 100.
    for name, row in {
        ("5R", 4, 14): (0.5734, 0.3057, 12.00),
        ("10RP", 1, 2): (0.3629, 0.2710, 1.210),
        ("5Y", 8, 12): (0.4562, 0.4788, 59.10),
        ("5PB", 3, 10): (0.1718, 0.1562, 6.555),
    }.items():
        assert table.loc[name, ["x", "y", "Y"]].to_numpy(float) == pytest.approx(row, abs=1e-9)
    assert len(table) == 2734
    assert table["inside"].sum() == 1512
    assert sorted(table["hue_step"].unique()) == list(range(40))
    steps = {hue: int(step) for (hue, _, _), step in table["hue_step"].items()}
    assert (steps["2.5R"], steps["10R"], steps["2.5YR"], steps["10RP"]) == (0, 3, 4, 39)


def test_grey_under_illuminant_c_is_grey_on_the_screen():
    published = [[0.31006, 0.31616, luminance] for luminance in (1.21, 12.0, 19.77, 59.1, 100 / 0.975)]
    rgb = munsell.to_srgb(published)
    np.testing.assert_allclose(rgb, rgb[:, [1, 1, 1]], atol=1e-3)
    assert rgb[-1] == pytest.approx([1, 1, 1], abs=1e-3)  # a perfect white is the screen's white
    linear = 0.12 * 0.975
    assert rgb[1, 1] == pytest.approx(1.055 * linear ** (1 / 2.4) - 0.055, abs=1e-3)


def test_colours_look_like_their_names():
    table = munsell.renotation()
    inside = table[table["inside"] & (table["chroma"] >= 6)]
    for family, channel in {"5R": "red", "5G": "green", "5PB": "blue"}.items():
        rows = inside.loc[inside["hue"] == family, ["red", "green", "blue"]]
        assert len(rows) > 5
        assert (rows.idxmax(axis=1) == channel).all()
    one = inside[(inside["hue"] == "5R") & (inside["chroma"] == 6)].sort_values("value")
    assert one["green"].is_monotonic_increasing


def test_five_folds_hold_out_every_hue_once_and_splits_share_none():
    tested = []
    for fold in range(munsell.FOLDS):
        split = munsell.split_hues(fold)
        assert sorted(np.concatenate(list(split.values()))) == list(range(40))
        assert [len(split[name]) for name in ("train", "val", "test")] == [24, 8, 8]
        tested += split["test"].tolist()
    assert sorted(tested) == list(range(40))


@pytest.mark.parametrize("fold", range(5))
def test_no_hue_and_no_colour_leaks_between_splits(fold):
    sets = munsell.munsell_triplets(fold, per_kind={"train": 50, "val": 50, "test": 50}, size=1)
    hues, colours = {}, {}
    for split, part in sets.items():
        used = np.unique(part.triplets.items)
        hues[split] = set(part.table["hue"].iloc[used])
        colours[split] = {tuple(pixel) for pixel in part.triplets.images[:, 0, 0]}
        assert set(part.table["hue_step"]) <= set(munsell.split_hues(fold)[split])
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        assert not hues[a] & hues[b]
        assert not colours[a] & colours[b]


def test_triplets_of_an_axis_vary_there_alone_around_the_reference(sets):
    for part in sets.values():
        triplets = part.triplets
        assert triplets.groups.tolist() == np.repeat(munsell.KINDS, len(triplets) // 4).tolist()
        for axis in munsell.AXES:
            chosen = triplets.select(triplets.groups == axis)
            hvc = part.table[["hue_step", "value", "chroma"]].to_numpy()[chosen.items]
            column = munsell.AXES.index(axis)
            for other in {0, 1, 2} - {column}:
                assert (hvc[..., other] == hvc[:, :1, other]).all()
            step = 2 if axis == "chroma" else 1
            offset = (hvc[:, 1:, column] - hvc[:, :1, column]) / step
            offset = (offset + 20) % 40 - 20 if axis == "hue" else offset
            assert (offset.prod(axis=1) < 0).all()
            size = np.abs(offset)
            assert size.min() == 1
            assert size.max() == 4
            assert (size[:, 0] != size[:, 1]).all()
            np.testing.assert_array_equal(chosen.vote_right, size[:, 1] < size[:, 0])
            once = np.column_stack([chosen.items[:, 0], np.sort(chosen.items[:, 1:], axis=1)])
            assert len(np.unique(once, axis=0)) == len(chosen)


def test_pairs_of_steps_are_equally_frequent_where_there_are_enough(sets):
    part = sets["train"]
    chosen = part.triplets.select(part.triplets.groups == "value")
    value = part.table["value"].to_numpy()[chosen.items]
    pairs = np.sort(np.abs(value[:, 1:] - value[:, :1]), axis=1)
    counts = np.unique(pairs, axis=0, return_counts=True)[1]
    assert counts.tolist() == [100] * 6
    assert 0.4 < chosen.vote_right.mean() < 0.6


def test_triplets_by_formula_follow_nickerson_and_mix_axes(sets):
    part = sets["test"]
    chosen = part.triplets.select(part.triplets.groups == "nickerson")
    hvc = part.table[["hue_step", "value", "chroma"]].to_numpy()[chosen.items]
    differences = []
    for reference, left, right in hvc:
        row = []
        for other in (left, right):
            turn = abs(int(reference[0]) - int(other[0]))
            row.append(
                0.4 * reference[2] * 2.5 * min(turn, 40 - turn)
                + 6 * abs(reference[1] - other[1])
                + 3 * abs(reference[2] - other[2])
            )
            assert (reference != other).sum() >= 2
        differences.append(row)
    differences = np.array(differences)
    assert differences.max() <= 24
    assert np.abs(np.diff(differences, axis=1)).min() >= 3
    np.testing.assert_array_equal(chosen.vote_right, differences[:, 1] < differences[:, 0])


def test_patches_are_uniform_and_lab_is_that_of_the_patches(sets):
    part = sets["test"]
    images = part.triplets.images
    assert images.dtype == np.uint8
    assert (images == images[:, :1, :1]).all()
    np.testing.assert_array_equal(images[:, 0, 0], part.table[["red", "green", "blue"]])
    expected = rgb2lab(images[:, 0, 0] / 255)
    np.testing.assert_allclose(part.lab, expected, atol=0.05)
    items = part.triplets.items
    for formula, function in (("CIE 1976", deltaE_cie76), ("CIE 2000", deltaE_ciede2000)):
        left, right = munsell.lab_distances(part, formula)
        np.testing.assert_allclose(left, function(part.lab[items[:, 0]], part.lab[items[:, 1]]), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(right, function(part.lab[items[:, 0]], part.lab[items[:, 2]]), rtol=1e-6, atol=1e-9)


def test_lightness_of_cielab_follows_munsell_value_and_hue_does_not_quite(sets):
    part = sets["test"]
    right = two_alternative_items(*munsell.lab_distances(part), part.triplets.vote_right)
    by_kind = {kind: right[part.triplets.groups == kind].mean() for kind in munsell.KINDS}
    assert by_kind["value"] == 1.0
    assert 0.75 < by_kind["hue"] < 1.0
    assert 0.75 < by_kind["nickerson"] < 1.0


def test_the_circle_of_hues_closes(sets):
    assert munsell.nickerson([39, 5, 6], [1, 5, 6]) == pytest.approx(12)
    train = sets["train"]  # holds both ends of the list of hues
    hues = train.table["hue_step"].to_numpy()[train.triplets.items[train.triplets.groups == "hue"]]
    assert (np.ptp(hues, axis=1) > 20).any()


def test_draws_repeat_and_differ_by_seed():
    few = {"train": 20, "val": 20, "test": 20}
    one, same, other = (munsell.munsell_triplets(0, seed, few, size=2)["test"].triplets for seed in (0, 0, 1))
    assert one.identity == same.identity != other.identity


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fold": 5}, "fold must be 0 to 4, got 5"),
        ({"fold": -1}, "fold must be 0 to 4"),
        ({"max_steps": 1}, "max_steps must be 2 to 8"),
        ({"size": 0}, "size at least 1"),
        ({"fold": 2, "per_kind": {"test": 500}}, "test has 100 triplets of kind chroma, not 500; ask for fewer"),
    ],
)
def test_settings_that_cannot_be_met_are_named(arguments, message):
    with pytest.raises(TripletsError, match=message):
        munsell.munsell_triplets(**arguments)


def test_unknown_formula(sets):
    with pytest.raises(TripletsError, match="formula must be one of CIE 1976, CIE 2000, got 'CMC'"):
        munsell.lab_distances(sets["test"], "CMC")


def test_import_is_cheap_and_use_is_silent():
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import percept.data.munsell as m; "
        "assert 'colour' not in sys.modules; m.split_hues(0); assert 'colour' not in sys.modules; "
        "import numpy; before = numpy.get_printoptions(); m.renotation(); assert numpy.get_printoptions() == before"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
