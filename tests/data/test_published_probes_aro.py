"""Readers of ARO and SugarCrepe on tiny folders that are true to the published formats.

All sentences and pictures are made up here.
"""

import json
import os

import numpy as np
import pytest
from PIL import Image

from percept.data.images import load_images
from percept.data.probe_set import ProbeError
from percept.data.published_probes import (
    read_aro_attribution,
    read_aro_options,
    read_aro_order,
    read_aro_relation,
    read_sugarcrepe,
)
from percept.data.published_probes.aro_order import clean_words, false_orders, whole_trigrams, within_trigrams
from percept.data.published_probes.sugarcrepe import SIZES

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
LONG = "A grey cat, two hens and one ox walk over a wide bridge."


def picture(path, size=(8, 8), seed=0):
    """Noise that survives storing: PNG content, whatever the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "PNG")
    return pixels


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def told(probes):
    """Each item as the name of its picture and its sentences."""
    assert (probes.picture.dtype, probes.sentence.dtype) == (np.int64, np.int64)
    return [
        (probes.pictures[i].name, [probes.sentences[j] for j in row])
        for i, row in zip(probes.picture[:, 0].tolist(), probes.sentence.tolist(), strict=True)
    ]


# ------------------------------------------------------------------------------------------------ regions


def region(image, box, true, false, **more):
    x, y, width, height = box
    boxes = {"bbox_x": x, "bbox_y": y, "bbox_w": width, "bbox_h": height}
    return {"image_id": 1, "image_path": image, **boxes, "true_caption": true, "false_caption": false, **more}


def relation(folder):
    pixels = {name: picture(folder / "images" / name, (20, 12), seed) for seed, name in enumerate(("1.jpg", "2.jpg"))}
    entries = [
        region("1.jpg", (2, 3, 5, 4), "the owl is on the post", "the post is on the owl", relation_name="on"),
        region(
            "1.jpg", (0, 0, 20, 12), "the cup is left of the jar", "the jar is left of the cup", relation_name="left"
        ),
        region("2.jpg", (16, -2, 8, 6), "the owl is on the cup", "the cup is on the owl", relation_name="on"),
        region("1.jpg", (2, 3, 5, 4), "the owl is over the post", "the post is over the owl", relation_name="over"),
    ]
    write(folder / "visual_genome_relation.json", entries)
    return pixels


def attribution(folder, counts=(("old", "red", 25), ("new", "blue", 24))):
    picture(folder / "images/1.jpg")
    entries = [
        region("1.jpg", (0, 0, 4 + i % 2, 4), f"the {a} cup and the {b} jar {i}", f"the {b} cup and the {a} jar {i}",
               attributes=[a, b], obj1_name="cup", obj2_name="jar")
        for a, b, count in counts for i in range(count)
    ]  # fmt: skip
    write(folder / "visual_genome_attribution.json", entries)


def test_regions_hold_what_the_box_encloses(tmp_path):
    pixels = relation(tmp_path)
    probes = read_aro_relation(tmp_path, crops=tmp_path / "elsewhere")
    assert probes.shape == "sentences"
    assert probes.picture[:, 0].tolist() == [0, 1, 2, 0]
    assert {file.parent for file in probes.pictures} == {tmp_path / "elsewhere"}
    regions = [np.asarray(image) for image in load_images(probes.pictures)]
    np.testing.assert_array_equal(regions[0], pixels["1.jpg"][3:7, 2:7])
    np.testing.assert_array_equal(regions[1], pixels["1.jpg"])
    over_the_edge = np.zeros((6, 8, 3), np.uint8)  # black beyond the picture
    over_the_edge[2:, :4] = pixels["2.jpg"][:4, 16:]
    np.testing.assert_array_equal(regions[2], over_the_edge)


def test_true_caption_stands_first(tmp_path):
    relation(tmp_path)
    probes = read_aro_relation(tmp_path)
    assert told(probes)[2][1] == ["the owl is on the cup", "the cup is on the owl"]
    assert probes.groups == {"relation": ["on", "left", "on", "over"]}
    assert probes.ids == ["row 1", "row 2", "row 3", "row 4"]
    assert probes.notes == ["not the published number of items: VG-Relation 4 (23,937)"]


def test_regions_are_cut_once_and_again_when_their_picture_changes(tmp_path):
    relation(tmp_path)
    first = read_aro_relation(tmp_path).pictures
    assert {file.parent for file in first} == {tmp_path / "crops"}
    times = [file.stat().st_mtime_ns for file in first]
    assert [file.stat().st_mtime_ns for file in read_aro_relation(tmp_path).pictures] == times
    pixels = picture(tmp_path / "images/2.jpg", (20, 12), seed=7)
    later = max(times) / 1e9 + 100
    os.utime(tmp_path / "images/2.jpg", (later, later))
    again = read_aro_relation(tmp_path).pictures
    assert [file.stat().st_mtime_ns == time for file, time in zip(again, times, strict=True)] == [True, True, False]
    np.testing.assert_array_equal(np.asarray(load_images(again[2:])[0])[2:, :4], pixels[:4, 16:])


def test_rare_pairs_of_attributes_are_left_out(tmp_path):
    attribution(tmp_path)
    probes = read_aro_attribution(tmp_path)
    assert probes.groups == {"attributes": ["old_red"] * 25}
    assert told(probes)[3][1] == ["the old cup and the red jar 3", "the red cup and the old jar 3"]
    assert len(probes.pictures) == 2
    assert probes.notes[1] == "24 items left out whose pair of attributes has fewer than 25 items"
    everything = read_aro_attribution(tmp_path, least=0)
    assert (len(everything), everything.ids[-1]) == (49, "row 49")
    with pytest.raises(ProbeError, match=r"no pair of attributes has 26 items \(at most 25\); lower least"):
        read_aro_attribution(tmp_path, least=26)


# ------------------------------------------------------------------------------------------------ order of words


def order(folder):
    entries = [
        {"image": "val2014/COCO_val2014_000000000001.jpg", "caption": [LONG, "A hen."]},
        {"image": "val2014/COCO_val2014_000000000002.jpg", "caption": [LONG, "Four boats lie at anchor", LONG]},
    ]
    write(folder / "coco_karpathy_test.json", entries)
    for entry in entries:
        picture(folder / entry["image"])


def options(folder):
    picture(folder / "flickr30k-images/3.jpg")
    entries = [
        {"image": "flickr30k-images/3.jpg", "caption_options": ["a b c d", "b a c d", "a c b d", "c b a d", "d a b c"]},
        {"image": "flickr30k-images/3.jpg", "caption_options": ["e f", "f e", "E F", "f e", "f e"]},
    ]
    write(folder / "options.json", entries)


def test_orders_hold_the_same_words_and_are_no_true_caption(tmp_path):
    order(tmp_path)
    probes = read_aro_order(tmp_path)
    assert probes.sentence.shape == (4, 3)
    assert probes.ids == ["1/1", "2/1", "2/2", "2/3"]
    assert [name for name, _ in told(probes)] == [f"COCO_val2014_00000000000{i}.jpg" for i in (1, 2, 2, 2)]
    for _, texts in told(probes):
        true, *false = [text.split() for text in texts]
        assert all(sorted(words) == sorted(true) != words for words in false)
        assert all(words != true for words in false)
    assert told(probes)[0][1][0] == "a grey cat, two hens and one ox walk over a wide bridge"
    assert len({tuple(told(probes)[i][1]) for i in (0, 1, 3)}) == 3  # drawn anew wherever a caption stands
    assert probes.notes[1] == "1 captions left out that allow no other order"
    assert "chance is 1 of 3" in probes.notes[0]


def test_orders_depend_on_seed_and_place_alone(tmp_path):
    order(tmp_path)
    once = told(read_aro_order(tmp_path, seed=3))
    assert told(read_aro_order(tmp_path, seed=3)) == once
    assert told(read_aro_order(tmp_path, seed=4)) != once
    path = tmp_path / "coco_karpathy_test.json"
    write(path, json.loads(path.read_text())[:1])
    assert told(read_aro_order(tmp_path, seed=3)) == once[:1]


def test_shuffles_keep_groups_of_three_or_their_places():
    rng = np.random.default_rng(0)
    for length in range(1, 20):
        words = [f"w{i}" for i in range(length)]
        groups = [words[i : i + 3] for i in range(0, length, 3)]
        within = within_trigrams(words, rng)
        assert [sorted(within[i : i + 3]) for i in range(0, length, 3)] == [sorted(group) for group in groups]
        whole = whole_trigrams(words, rng)
        assert sorted(whole) == sorted(words)
        starts = [whole.index(group[0]) for group in groups]
        assert [whole[i : i + len(group)] for i, group in zip(starts, groups, strict=True)] == groups


def test_every_order_within_a_group_is_drawn_equally_often():
    rng = np.random.default_rng(1)
    drawn = [" ".join(within_trigrams(["a", "b", "c"], rng)) for _ in range(3000)]
    counts = [drawn.count(text) for text in set(drawn)]
    assert len(counts) == 6
    assert min(counts) > 400


@pytest.mark.parametrize("caption", ["", "word", "same same same same", "one two three"])
def test_captions_without_another_order_give_none(caption):
    assert false_orders(caption, np.random.default_rng(0)) == []


def test_captions_are_cleaned_as_by_the_authors():
    assert clean_words('An "OX" (old), #1: it\'s here!  Yes; no~*.') == [
        "an", "ox", "old", ",", "1", "it's", "here", "yes", "no"
    ]  # fmt: skip
    assert len(clean_words("hen " * 40)) == 30


def test_ready_made_options_keep_their_order(tmp_path):
    options(tmp_path)
    probes = read_aro_options(tmp_path / "options.json", tmp_path, "ARO Flickr30k order, run 1")
    assert told(probes)[0] == ("3.jpg", ["a b c d", "b a c d", "a c b d", "c b a d", "d a b c"])
    assert probes.sentence.shape == (2, 5)
    assert probes.name == "ARO Flickr30k order, run 1"
    assert probes.notes == [
        "chance is 1 of 5", "1 items have a false sentence equal to the true one: strict rules count them wrong"
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ SugarCrepe


def sugarcrepe(folder, sizes=None):
    picture(folder / "images/val2017/000000000009.jpg")
    for part in SIZES:
        count = (sizes or dict.fromkeys(SIZES, 2))[part]
        items = {
            str(3 * i): {
                "filename": "000000000009.jpg", "caption": f"{part} {i} hen", "negative_caption": f"{part} {i} wet hen"
            }
            for i in range(count)
        }  # fmt: skip
        write(folder / f"{part}.json", items)


def test_sugarcrepe_is_one_set_with_a_group_per_file(tmp_path):
    sugarcrepe(tmp_path)
    probes = read_sugarcrepe(tmp_path)
    assert len(probes) == 14
    assert told(probes)[5] == ("000000000009.jpg", ["replace_att 1 hen", "replace_att 1 wet hen"])
    assert probes.ids[4:6] == ["replace_att/0", "replace_att/3"]
    assert list(dict.fromkeys(probes.groups["file"])) == list(SIZES)
    assert probes.groups["edit"] == ["add"] * 4 + ["replace"] * 6 + ["swap"] * 4
    assert probes.notes[0].startswith("not the published number of items: add_att 2 (692), add_obj 2 (2,062)")


@pytest.mark.parametrize(("swapped", "total"), [(245, 7511), (246, 7512)])
def test_sugarcrepe_accepts_both_sizes_of_swap_obj_and_says_which(tmp_path, swapped, total):
    sugarcrepe(tmp_path, SIZES | {"swap_obj": swapped})
    probes = read_sugarcrepe(tmp_path)
    assert len(probes) == total
    assert probes.notes == [
        "numbers of items as published",
        f"swap_obj has {swapped} items; 245 are in the published file, 246 in the paper",
    ]


def test_sugarcrepe_says_that_a_size_is_no_published_one(tmp_path):
    sugarcrepe(tmp_path, SIZES | {"swap_obj": 244})
    assert read_sugarcrepe(tmp_path).notes[0] == "not the published number of items: swap_obj 244 (245)"


# ------------------------------------------------------------------------------------------------ bad input


def edit(file, old, new):
    def change(folder):
        path = folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def whole(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def without(file):
    return lambda folder: (folder / file).unlink()


READERS = {
    "relation": (relation, read_aro_relation),
    "attribution": (attribution, read_aro_attribution),
    "order": (order, read_aro_order),
    "options": (options, lambda folder: read_aro_options(folder / "options.json", folder)),
    "sugarcrepe": (sugarcrepe, read_sugarcrepe),
}
VGR, VGA = "visual_genome_relation.json", "visual_genome_attribution.json"
COCO, OPTIONS, SWAP = "coco_karpathy_test.json", "options.json", "swap_obj.json"


@pytest.mark.parametrize(
    ("form", "spoil", "message"),
    [
        ("relation", without(VGR), r"relation\.json: no such file; name the folder of ARO that holds visual"),
        ("relation", edit(VGR, '"bbox_w": 5', '"bbox_w": null'), r"row 1: bbox_x, .* are \[2, 3, None, 4\], not four"),
        ("relation", edit(VGR, '"bbox_w": 5', '"bbox_w": NaN'), r"row 1: bbox_x, .* not four numbers"),
        ("relation", edit(VGR, '"bbox_w": 5', '"bbox_w": 0'), r"row 1: bbox_w and bbox_h must be at least 1 pixel"),
        ("relation", edit(VGR, '"bbox_x": 16', '"bbox_x": 20'), r"row 3: the box lies outside .*2\.jpg of 20 x 12"),
        ("relation", edit(VGR, '"true_caption"', '"caption"'), r"relation\.json, row 1: has no 'true_caption'"),
        ("relation", without("images/2.jpg"), r"relation\.json, row 3: picture '2\.jpg': not found in .*images"),
        ("relation", whole("images/1.jpg", LFS), r"row 1: picture '1\.jpg': is a Git LFS pointer, not the image"),
        ("relation", edit(VGR, '"image_path": "1.jpg"', '"image_path": "/1.jpg"'), r"row 1: '/1\.jpg' must be the"),
        ("relation", whole("crops", b""), r"crops: cut pictures cannot be written \(.*\); name a folder as crops="),
        ("relation", lambda folder: cut_short(folder / "images/1.jpg"), r"1\.jpg: is truncated; copy it again"),
        ("attribution", edit(VGA, '["old", "red"]', '["old"]'), r"row 1: attributes \['old'\] are not two texts"),
        ("attribution", edit(VGA, '["old", "red"]', '"old"'), r"row 1: attributes 'old' is not a list"),
        ("order", without(COCO), r"coco_karpathy_test\.json: no such file; name the folder that holds coco"),
        ("order", edit(COCO, '"A hen."', "7"), r"test\.json, row 1: caption \[.*, 7\] is not a list of texts"),
        ("order", edit(COCO, f'"{LONG}", "Four boats lie at anchor", "{LONG}"', ""),
         r"test\.json, row 2: caption \[\] is not a list"),
        ("order", without("val2014/COCO_val2014_000000000002.jpg"), r"row 2: picture 'val2014/COCO_.*2\.jpg': not"),
        ("order", whole(COCO, b'[{"image": "x.jpg", "caption": ["A hen."]}]'), "no caption is long enough for"),
        ("options", edit(OPTIONS, ', "f e"]', "]"), r"row 2: caption_options .* are not 5 texts, the true"),
        ("options", edit(OPTIONS, '"d a b c"', "null"), r"row 1: caption_options .* are not 5 texts"),
        ("options", whole(OPTIONS, b'[{"image": "x", "caption_options": ["a"]}]'), r"row 1: .* are not 2 texts, the"),
        ("sugarcrepe", without(SWAP), r"swap_obj\.json: no such file; name the folder of SugarCrepe's seven files"),
        ("sugarcrepe", edit(SWAP, '"negative_caption"', '"negative"'), r"obj\.json, item '0': has no 'negative_"),
        ("sugarcrepe", whole(SWAP, b'{"0": {"filename": "a.jpg",\n}}'), r"swap_obj\.json, line \d: is no JSON \("),
        ("sugarcrepe", whole(SWAP, b"[]"), r"swap_obj\.json: holds no entries; get the file again"),
        ("sugarcrepe", without("images/val2017/000000000009.jpg"), r"add_att\.json, item '0': picture '0+9\.jpg': not"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_row_and_way_out(tmp_path, form, spoil, message):
    make, read = READERS[form]
    make(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ProbeError, match=message):
        read(tmp_path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:200])


def test_order_knows_its_data(tmp_path):
    with pytest.raises(ProbeError, match="data must be one of coco, flickr30k, got 'flickr'"):
        read_aro_order(tmp_path, "flickr")
