"""Readers of published scores on tiny folders that are true to the published formats."""

import json

import numpy as np
import pytest
from PIL import Image

from percept.data import published_scores
from percept.data.published_scores import (
    read_emoset,
    read_emotion6,
    read_kadid10k,
    read_koniq10k,
    read_lamem,
    read_live,
    read_spaq,
    read_things_memorability,
    read_tid2013,
)
from percept.data.ratings import RatingsError, split_by_group

MIKELS = ("amusement", "awe", "contentment", "excitement", "anger", "disgust", "fear", "sadness")


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (90, 120, 200)).save(path)


def write(path, *lines, end="\n", encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))


def names(ratings, folder):
    return [path.relative_to(folder).as_posix() for path in ratings.images]


def kadid(folder):
    rows = [("I01_01_01", "4.57", "0.496"), ("I01_25_05", "1.6", "0.25"), ("I81_07_03", "2.93", "1")]
    for name, _, _ in rows:
        picture(folder / "images" / f"{name}.png")
    write(
        folder / "dmos.csv",
        "dist_img,ref_img,dmos,var",
        *(f"{name}.png,{name[:3]}.png,{dmos},{var}" for name, dmos, var in rows),
    )


def koniq(folder):
    for name in ("10004473376", "10007357496", "10007903636"):
        picture(folder / "1024x768" / f"{name}.jpg")
    picture(folder / "512x384" / "10004473376.jpg")
    write(
        folder / "koniq10k_distributions_sets.csv",
        "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set",
        "10004473376.jpg,0.0,0.0,0.238095238095,0.695238095238,0.0666666666667,105,77.3836206897,0.527277894494,training",
        "10007357496.jpg,0.0,0.03125,0.46875,0.489583333333,0.0104166666667,96,68.7285714286,0.580003024795,test",
        "10007903636.jpg,0.5,0.5,0,0,0,96,10,0.5,validation",
    )


def tid(folder):
    for name in ("I01_01_1.bmp", "i01_01_2.BMP", "i25_24_5.bmp"):
        picture(folder / "distorted_images" / name)
    write(
        folder / "mos_with_names.txt", "5.51429 I01_01_1.bmp", "5.56757 i01_01_2.bmp", "2.75 I25_24_5.bmp", end="\r\n"
    )


def live(folder):
    rows = ["jp2k/img2.bmp,jp2k,LIVE/refimgs/rapids.bmp,15.5", "jpeg/img57.bmp,jpeg,LIVE/refimgs/lighthouse.bmp,-2.64",
            "fastfading/img1.bmp,fastfading,LIVE/refimgs/rapids.bmp,111.77"]  # fmt: skip
    for row in rows:
        picture(folder / row.split(",")[0])
    write(folder / "LIVE.txt", "dis_img_path,dis_type,ref_img_path,score", *(f"LIVE/{row}" for row in rows))


def spaq(folder):
    for name in ("00001.jpg", "00002.jpg"):
        picture(folder / "TestImage" / name)
    write(
        folder / "Annotations/MOS and Image attribute scores.csv",
        "Image name,MOS,Brightness,Colorfulness,Contrast,Noisiness,Sharpness",
        "00001.jpg,48.86,50,50,50,50,50",
        "00002.jpg,62.5,1,2,3,4,5",
    )


def lamem(folder):
    for number in range(5):
        picture(folder / f"images/0000{number}.jpg")
    write(folder / "splits/train_2.txt", "00003.jpg 0.808176", "00001.jpg 0.5", "00000.jpg 1")
    write(folder / "splits/val_2.txt", "00004.jpg 0.25")
    write(folder / "splits/test_2.txt", "00002.jpg 0.75")


def things(folder):
    for name in ("aardvark/aardvark_01b", "aardvark/aardvark_02s", "zebra/zebra_01b"):
        picture(folder / "object_images" / f"{name}.jpg")
    write(
        folder / "THINGS_Memorability_Scores.csv",
        "image_nr,image_name,file_path,hit_rate,cr",
        "1,aardvark_01b.jpg,images/aardvark/aardvark_01b.jpg,0.9,0.8",
        "2,aardvark_02s.jpg,images/aardvark/aardvark_02s.jpg,0.2,-0.125",
        "3,bagel_01b.jpg,images/bagel/bagel_01b.jpg,,NaN",
        "4,bagel_02s.jpg,images/bagel/bagel_02s.jpg,,",
        "5,zebra_01b.jpg,images/zebra/zebra_01b.jpg,0.5,0.25",
    )


def emoset(folder):
    backwards = {name: number for number, name in reversed(list(enumerate(MIKELS)))}
    write(folder / "info.json", json.dumps({"emotion": {"label2idx": backwards, "idx2label": {}}, "scene": {}}))
    parts = {"train": ["sadness_1", "awe_2"], "val": ["amusement_3"], "test": ["fear_4"]}
    for part, items in parts.items():
        entries = []
        for item in items:
            emotion = item.split("_")[0]
            picture(folder / f"image/{emotion}/{item}.jpg")
            entries.append([emotion, item, f"image/{emotion}/{item}.jpg", f"annotation/{emotion}/{item}.json"])
        write(folder / f"{part}.json", json.dumps(entries))


def emotion6(folder):
    for name in ("disgust/1.jpg", "joy/12.jpg"):
        picture(folder / "images" / name)
    header = ["image_filename", "valence", "arousal", *(f"prob. {name}" for name in ("anger", "disgust", "fear"))]
    header += [f"prob. {name}" for name in ("joy", "sadness", "surprise", "neutral")]
    write(
        folder / "ground_truth.txt",
        "\t".join(f"[{name}]" for name in header),
        "disgust/1.jpg\t2.5\t3.8\t0.133333\t0.7\t0\t0.0666667\t0.1\t0\t0",
        "joy/12.jpg\t7\t5\t0\t0\t0\t0.5\t0\t0.25\t0.25",
    )


def test_kadid_spread_groups_kind_and_level(tmp_path):
    kadid(tmp_path)
    ratings = read_kadid10k(tmp_path)
    assert names(ratings, tmp_path) == [f"images/I{rest}.png" for rest in ("01_01_01", "01_25_05", "81_07_03")]
    assert ratings.score.tolist() == [4.57, 1.6, 2.93]
    np.testing.assert_allclose(ratings.spread, [0.496**0.5, 0.5, 1])
    assert ratings.groups.tolist() == ["I01", "I01", "I81"]
    assert (ratings.kind.tolist(), ratings.level.tolist()) == ([1, 25, 7], [1, 5, 3])
    assert (ratings.low, ratings.high, ratings.higher_is_better) == (1, 5, True)
    parts = split_by_group(ratings, (0.5, 0, 0.5))
    assert sorted(len(rows) for rows in parts) == [0, 1, 2]


def test_koniq_votes_official_parts_and_the_scale_of_sd(tmp_path):
    koniq(tmp_path)
    ratings = read_koniq10k(tmp_path)
    assert ratings.distribution.shape == (3, 5)
    np.testing.assert_allclose(ratings.distribution[2], [0.5, 0.5, 0, 0, 0])
    assert ratings.categories == ("bad", "poor", "fair", "good", "excellent")
    assert ratings.split.tolist() == ["train", "test", "validate"]
    assert [rows.tolist() for rows in split_by_group(ratings)] == [[0], [2], [1]]
    np.testing.assert_allclose(ratings.score, [77.3836206897, 68.7285714286, 10])
    # SD as published is that of the votes 1 to 5 with n - 1; the spread is in units of MOS.
    steps = np.arange(1, 6)
    for row, votes in ((0, 105), (1, 96)):
        share = ratings.distribution[row]
        variance = (share * (steps - share @ steps) ** 2).sum() * votes / (votes - 1)
        assert ratings.spread[row] == pytest.approx(27.82 * variance**0.5)
    assert len(set(ratings.groups)) == 3
    with pytest.raises(RatingsError, match=r"row 3: picture '10007357496.jpg' and 1 more not found in .*512x384"):
        read_koniq10k(tmp_path, pictures="512x384")


def test_tid_finds_files_whatever_their_case(tmp_path):
    tid(tmp_path)
    ratings = read_tid2013(tmp_path)
    assert names(ratings, tmp_path / "distorted_images") == ["I01_01_1.bmp", "i01_01_2.BMP", "i25_24_5.bmp"]
    assert ratings.score.tolist() == [5.51429, 5.56757, 2.75]
    assert ratings.groups.tolist() == ["I01", "I01", "I25"]
    assert (ratings.kind.tolist(), ratings.level.tolist()) == ([1, 1, 24], [1, 2, 5])
    assert (ratings.low, ratings.high, ratings.spread) == (0, 9, None)


def test_live_is_lower_better_until_turned(tmp_path):
    live(tmp_path)
    ratings = read_live(tmp_path)
    assert names(ratings, tmp_path) == ["jp2k/img2.bmp", "jpeg/img57.bmp", "fastfading/img1.bmp"]
    assert ratings.score.tolist() == [15.5, -2.64, 111.77]
    assert not ratings.higher_is_better
    assert ratings.groups.tolist() == ["rapids.bmp", "lighthouse.bmp", "rapids.bmp"]
    assert (ratings.kind.tolist(), ratings.level) == ([1, 2, 5], None)
    turned = ratings.with_direction_up()
    assert turned.higher_is_better
    np.testing.assert_allclose(turned.score, [93.5, 111.64, -2.77])
    assert turned.name == "LIVE release 2 (turned, higher is better)"


def test_spaq_by_the_saved_table(tmp_path):
    spaq(tmp_path)
    ratings = read_spaq(tmp_path)
    assert (ratings.score.tolist(), ratings.name) == ([48.86, 62.5], "SPAQ")
    assert names(ratings, tmp_path) == ["TestImage/00001.jpg", "TestImage/00002.jpg"]
    assert ratings.split.tolist() == ["", ""]
    table = tmp_path / "Annotations/MOS and Image attribute scores.csv"
    table.rename(table.with_suffix(".xlsx"))
    with pytest.raises(RatingsError, match=r"scores\.csv: no such file; open 'MOS .*\.xlsx' in a spreadsheet and save"):
        read_spaq(tmp_path)


def test_lamem_parts_of_a_fold(tmp_path):
    lamem(tmp_path)
    ratings = read_lamem(tmp_path, 2)
    assert names(ratings, tmp_path / "images") == [f"0000{number}.jpg" for number in (3, 1, 0, 4, 2)]
    assert ratings.score.tolist() == [0.808176, 0.5, 1, 0.25, 0.75]
    assert ratings.split.tolist() == ["train"] * 3 + ["validate", "test"]
    assert [rows.tolist() for rows in split_by_group(ratings)] == [[0, 1, 2], [3], [4]]
    assert ratings.name == "LaMem fold 2"
    for fold in (0, 6, "2"):
        with pytest.raises(RatingsError, match="fold must be 1 to 5, got"):
            read_lamem(tmp_path, fold)
    with pytest.raises(RatingsError, match=r"train_3\.txt: no such file; name the LaMem folder"):
        read_lamem(tmp_path, 3)


def test_things_counts_what_has_no_score_and_groups_by_concept(tmp_path):
    things(tmp_path)
    ratings = read_things_memorability(tmp_path / "THINGS_Memorability_Scores.csv", tmp_path / "object_images")
    assert ratings.score.tolist() == [0.8, -0.125, 0.25]
    assert ratings.groups.tolist() == ["aardvark", "aardvark", "zebra"]
    assert ratings.name == "THINGS memorability (2 rows without score left out)"
    assert (ratings.low, ratings.high) == (-1, 1)


def test_emoset_labels_stand_in_the_order_of_info(tmp_path):
    emoset(tmp_path)
    ratings = read_emoset(tmp_path)
    assert ratings.categories == MIKELS
    assert ratings.distribution.argmax(axis=1).tolist() == [7, 1, 0, 6]
    assert ratings.distribution.sum() == 4
    assert ratings.split.tolist() == ["train", "train", "validate", "test"]
    assert names(ratings, tmp_path)[3] == "image/fear/fear_4.jpg"
    assert ratings.score is None
    for part in ("train", "val", "test"):  # earlier copies have no id
        entries = json.loads((tmp_path / f"{part}.json").read_text())
        write(tmp_path / f"{part}.json", json.dumps([[entry[0], *entry[2:]] for entry in entries]))
    earlier = read_emoset(tmp_path)
    assert earlier.images == ratings.images
    np.testing.assert_array_equal(earlier.distribution, ratings.distribution)


def test_emotion6_shares_by_position(tmp_path):
    emotion6(tmp_path)
    ratings = read_emotion6(tmp_path)
    assert names(ratings, tmp_path) == ["images/disgust/1.jpg", "images/joy/12.jpg"]
    assert ratings.categories == ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
    np.testing.assert_allclose(ratings.distribution[0], [0.133333, 0.7, 0, 0.0666667, 0.1, 0, 0])
    np.testing.assert_allclose(ratings.distribution[1], [0, 0, 0, 0.5, 0, 0.25, 0.25])
    assert (ratings.score, ratings.split.tolist()) == (None, ["", ""])


def edit(file, old, new):
    def change(folder):
        path = folder / file
        text = path.read_bytes()
        assert text.count(old.encode()) >= 1
        path.write_bytes(text.replace(old.encode(), new.encode("utf-8"), 1))

    return change


def whole(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def without(file):
    return lambda folder: (folder / file).unlink()


def read_things(folder):
    return read_things_memorability(folder / "THINGS_Memorability_Scores.csv", folder / "object_images")


FORMATS = {
    "kadid": (kadid, read_kadid10k),
    "koniq": (koniq, read_koniq10k),
    "tid": (tid, read_tid2013),
    "live": (live, read_live),
    "spaq": (spaq, read_spaq),
    "lamem": (lamem, lambda folder: read_lamem(folder, 2)),
    "things": (things, read_things),
    "emoset": (emoset, read_emoset),
    "emotion6": (emotion6, read_emotion6),
}
KONIQ, TID = "koniq10k_distributions_sets.csv", "mos_with_names.txt"
SPAQ, THINGS = "Annotations/MOS and Image attribute scores.csv", "THINGS_Memorability_Scores.csv"


@pytest.mark.parametrize(
    ("form", "spoil", "message"),
    [
        ("kadid", without("dmos.csv"), r"dmos\.csv: no such file; name the KADID-10k folder"),
        ("kadid", edit("dmos.csv", ",var", ",sd"), r"dmos\.csv, row 1: has no column 'var'"),
        ("kadid", edit("dmos.csv", "1.6", "nan"), r"row 3: dmos 'nan' is not a score from 1 to 5"),
        ("kadid", edit("dmos.csv", "1.6", "6.1"), r"row 3: dmos '6.1' is not a score from 1 to 5"),
        ("kadid", edit("dmos.csv", "0.496", "-1"), r"row 2: var '-1' is not a variance"),
        ("kadid", edit("dmos.csv", "I01_25_05", "I01-25-05"), r"row 3: 'I01-25-05.png' has not the form of"),
        ("kadid", edit("dmos.csv", ",I81.png", ",I80.png"), r"row 4: ref_img 'I80.png' is not that of"),
        ("kadid", edit("dmos.csv", "I01_25_05", "I01_01_01"), r"row 3: picture .* already listed in row 2"),
        ("kadid", without("images/I81_07_03.png"), r"row 4: picture 'I81_07_03.png' not found in .*images"),
        ("kadid", whole("dmos.csv", b"dist_img,ref_img,dmos,var\n"), r"dmos\.csv: has a header but no rows"),
        ("kadid", whole("dmos.csv", b"dist_img\n\x81\xff\xff\n"), "neither UTF-8 nor Shift-JIS"),
        ("koniq", edit(KONIQ, ",validation", ",valid"), r"row 4: set 'valid' is none of training, valid"),
        ("koniq", edit(KONIQ, "0.5,0.5,0", "0.5,0.4,0"), r"row 4: the shares of votes add up to 0\.9, not"),
        ("koniq", edit(KONIQ, "0.03125", "-0.1"), r"row 3: c2 '-0.1' is not a share of votes"),
        ("koniq", edit(KONIQ, "10004473376.jpg", "../x.jpg"), r"row 2: '../x.jpg' must be the path of a"),
        ("koniq", edit(KONIQ, "MOS", "MOS_zscore"), r"row 1: has no column 'mos'"),
        ("tid", edit(TID, "5.56757 ", "5,56757 "), r"names\.txt, row 2: mos '5,56757' is not a score from 0"),
        ("tid", edit(TID, " I25_24_5", ""), r"row 3: has 1 columns instead of 2 \(mos, name\)"),
        ("tid", edit(TID, "I25_24_5", "I25_24_05"), r"row 3: 'I25_24_05.BMP' has not the form of I01_01_1"),
        ("tid", edit(TID, "i01_01_2", "I01_01_1"), r"row 2: picture .* is already listed in row 1"),
        ("tid", whole(TID, b"\n"), r"names\.txt: has no rows"),
        ("tid", whole(TID, b"5.5 I01\xff.bmp\n"), r"names\.txt: is no UTF-8 text"),
        ("live", edit("LIVE.txt", "jpeg,", "jpg,"), r"LIVE\.txt, row 3: dis_type 'jpg' is none of jp2k, jpeg"),
        ("live", edit("LIVE.txt", "111.77", "1111"), r"row 4: score '1111' is not a DMOS from -3 to 112"),
        ("live", without("jpeg/img57.bmp"), r"row 3: picture 'jpeg/img57.bmp' not found"),
        ("spaq", edit(SPAQ, "48.86", ""), r"scores\.csv, row 2: mos '' is not a score from 0 to 100"),
        ("spaq", edit(SPAQ, "Image name", "Name"), r"row 1: has no column 'image name'"),
        ("lamem", edit("splits/val_2.txt", "0.25", "25"), r"val_2\.txt, row 1: score"),
        ("lamem", edit("splits/test_2.txt", "00002", "00001"), r"00001\.jpg: is listed in both train and test"),
        ("things", edit(THINGS, ",cr", ",dprime"), r"Scores\.csv, row 1: has no column 'cr'"),
        ("things", edit(THINGS, "-0.125", "-1.5"), r"row 3: cr '-1\.5' is not a corrected recognition"),
        ("things", edit(THINGS, "images/zebra/", ""), r"row 6: file_path 'zebra_01b.jpg' names no folder"),
        ("things", whole(THINGS, b"file_path,cr\nimages/a/b.jpg,NA\n"), "gives no picture a score in cr"),
        ("emoset", without("val.json"), r"val\.json: no such file; name the EmoSet-118K folder"),
        ("emoset", edit("train.json", '"awe"', '"joy"'), r"train\.json, row 2: emotion 'joy' is none of amuse"),
        ("emoset", whole("test.json", b'[["fear", 4]]'), r"test\.json, row 1: \['fear', 4\] is not \[emotion"),
        ("emoset", whole("test.json", b"[["), r"test\.json: is no JSON"),
        ("emoset", whole("test.json", b"{}"), r"test\.json: must be a list of pictures"),
        ("emoset", whole("info.json", b'{"emotion": []}'), r"info\.json: has no table emotion / label2idx"),
        ("emoset", edit("info.json", '"sadness": 7', '"sadness": 9'), r"numbers of the emotions must be 0, 1"),
        ("emoset", without("image/awe/awe_2.jpg"), r"train\.json, row 2: picture 'image/awe/awe_2.jpg' not"),
        ("emotion6", edit("ground_truth.txt", "\t0.7\t", "\t0.6\t"), r"truth\.txt, row 2: .* add up to 0\.9,"),
        ("emotion6", edit("ground_truth.txt", "\t0.7\t", " 0.7 "), r"row 2: has 8 columns instead of 10"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_their_row(tmp_path, form, spoil, message):
    make, read = FORMATS[form]
    make(tmp_path)
    read(tmp_path)  # good before it is spoiled
    spoil(tmp_path)
    with pytest.raises(RatingsError, match=message):
        read(tmp_path)


def test_the_package_offers_its_readers_and_nothing_else():
    assert {name for name in dir(published_scores) if name.startswith("read_")} == set(published_scores._HOME)
    assert all(callable(getattr(published_scores, name)) for name in published_scores._HOME)
    with pytest.raises(AttributeError, match="has no attribute 'read_flive'"):
        published_scores.read_flive  # noqa: B018
