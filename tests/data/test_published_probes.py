"""Readers of SVO-Probes, VALSE, VSR and Winoground on tiny folders that are true to the published formats.

All sentences and pictures are made up here.
"""

import csv
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from percept.data import published_probes
from percept.data.probe_set import ProbeError
from percept.data.published_probes import read_svo, read_svo_pairs, read_valse, read_vsr, read_winoground
from percept.data.published_probes.files import look_up, number, number_rows, read_entries
from percept.data.published_probes.valse import INSTRUMENTS

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def picture(path, color=(90, 120, 200)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), color).save(path)


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_lines(path, entries):
    write(path, *(json.dumps(entry, ensure_ascii=False) for entry in entries))


def told(probes):
    """Each item as names of its pictures and its sentences."""
    return [
        ([probes.pictures[i].name for i in pictures], [probes.sentences[i] for i in sentences])
        for pictures, sentences in zip(probe_rows(probes.picture), probe_rows(probes.sentence), strict=True)
    ]


def probe_rows(rows):
    assert rows.dtype == np.int64
    return rows.tolist()


# ------------------------------------------------------------------------------------------------ SVO-Probes

SVO = [  # sentence, true picture, false picture, flags of subject, verb, object
    ("A fox sleeps on a log", 11, 12, (False, True, False)),
    ("A fox sleeps on a log", 11, 13, (True, False, False)),
    ("A fox sleeps on a log", 11, 12, (False, True, False)),  # again, as in the published table
    ("Boys paint a fence", 14, 15, (False, False, True)),
    ("Boys paint a fence", 14, 16, (True, False, True)),  # two changes
    ("Boys paint a fence", 17, 15, (False, False, True)),
]


def svo(folder, images=range(11, 18)):
    with open(folder / "svo_probes.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ("index", "sentence", "pos_triplet", "neg_triplet", "pos_url", "neg_url", "pos_image_id", "neg_image_id",
             "subj_neg", "verb_neg", "obj_neg")
        )  # fmt: skip
        for index, (sentence, pos, neg, flags) in enumerate(SVO):
            urls = (f"http://example.org/{pos}.jpg", f"http://example.org/{neg}.png?x=1")
            table.writerow((100 + index, sentence, "fox,sleep,log", "fox,sit,log", *urls, pos, neg, *flags))
    for name in images:
        picture(folder / "images" / f"{name}.{'png' if name % 2 else 'jpg'}")


def svo_lines(folder):
    entries = [
        {"svo_index": 100 + index, "caption": sentence, "pos_image": f"{pos}.jpg", "neg_image": f"{neg}.jpg",
         "pos_triplet": "fox,sleep,log", "neg_triplet": "fox,sit,log",
         "subj_neg": flags[0], "verb_neg": flags[1], "obj_neg": flags[2]}
        for index, (sentence, pos, neg, flags) in enumerate(SVO)
    ]  # fmt: skip
    write_lines(folder / "annotations" / "test.jsonl", entries)
    for name in range(11, 18):
        picture(folder / "images" / f"{name}.jpg")


def test_svo_true_picture_first_and_what_changed(tmp_path):
    svo(tmp_path)
    probes = read_svo(tmp_path)
    assert probes.shape == "pictures"
    assert told(probes) == [
        (["11.png", "12.jpg"], ["A fox sleeps on a log"]),
        (["11.png", "13.png"], ["A fox sleeps on a log"]),
        (["11.png", "12.jpg"], ["A fox sleeps on a log"]),
        (["14.jpg", "15.png"], ["Boys paint a fence"]),
        (["17.png", "15.png"], ["Boys paint a fence"]),
    ]
    assert (len(probes.pictures), len(probes.sentences)) == (6, 2)
    assert probes.groups == {"changed": ["verb", "subject", "verb", "object", "object"]}
    assert probes.ids == ["100", "101", "102", "103", "105"]
    assert probes.name == "SVO-Probes (100.0% of the pictures)"
    assert "1 rows left out that have not exactly one of subj_neg, verb_neg, obj_neg" in probes.notes
    everything = read_svo(tmp_path, single_change=False)
    assert len(everything) == 6
    assert everything.groups["changed"][4] == "subject+object"


def test_svo_lines_of_the_later_evaluation_are_the_same_items(tmp_path):
    svo_lines(tmp_path / "lines")
    (tmp_path / "table").mkdir()
    svo(tmp_path / "table")
    lines, table = read_svo(tmp_path / "lines"), read_svo(tmp_path / "table")
    np.testing.assert_array_equal(lines.picture, table.picture)
    np.testing.assert_array_equal(lines.sentence, table.sentence)
    assert (lines.groups, lines.ids, lines.sentences) == (table.groups, table.ids, table.sentences)


def test_svo_dead_links_are_left_out_and_counted(tmp_path):
    svo(tmp_path, images=(11, 12, 14, 15))
    (tmp_path / "images/13.png").write_bytes(b"<!doctype html><p>gone")
    (tmp_path / "images/17.jpg").touch()
    probes = read_svo(tmp_path)
    assert [pictures for pictures, _ in told(probes)] == [["11.png", "12.jpg"]] * 2 + [["14.jpg", "15.png"]]
    assert probes.groups["changed"] == ["verb", "verb", "object"]
    assert probes.name == "SVO-Probes (66.7% of the pictures)"
    assert probes.notes[0] == (
        "image coverage 66.7%: 4 of 6 pictures; 2 of 5 rows left out for a missing picture (dead links)"
    )
    assert probes.notes[1].startswith(
        "2 of the missing pictures are files that cannot be used, first 13: is a web page"
    )


def test_svo_pairs_are_deduplicated_as_by_the_authors(tmp_path):
    svo(tmp_path)
    sets = read_svo_pairs(tmp_path)
    assert list(sets) == ["all", "subject", "verb", "object"]
    single = [row for row in SVO if sum(row[3]) == 1]
    parts = {"all": single} | {name: [row for row in single if row[3][i]] for i, name in enumerate(list(sets)[1:])}
    for name, probes in sets.items():
        assert probes.shape == "truth"
        found = [(texts[0], int(files[0].split(".")[0])) for files, texts in told(probes)]
        true = [pair for pair, label in zip(found, probes.label, strict=True) if label]
        false = [pair for pair, label in zip(found, probes.label, strict=True) if not label]
        assert len(true) == len(set(true))
        assert len(false) == len(set(false))
        assert set(true) == {(sentence, pos) for sentence, pos, _, _ in parts[name]}
        assert set(false) == {(sentence, neg) for sentence, _, neg, _ in parts[name]}
        assert probes.groups["kind"] == ["true" if label else "false" for label in probes.label]
    assert [len(probes) for probes in sets.values()] == [6, 2, 2, 3]


def test_svo_pairs_leave_out_parts_without_rows(tmp_path):
    svo(tmp_path, images=(11, 12))
    assert list(read_svo_pairs(tmp_path)) == ["all", "verb"]


# ------------------------------------------------------------------------------------------------ VALSE


def valse_item(image, caption, foil, votes, piece="actions"):
    return {
        "dataset": "made up", "original_split": "val", "linguistic_phenomena": piece, "image_file": image,
        "caption": caption, "foil": foil, "classes": "", "classes_foil": "",
        "mturk": {"caption": votes, "foil": 3 - votes, "other": 0},
    }  # fmt: skip


def valse(folder):
    for number_of, (instrument, (piece, _, _)) in enumerate(INSTRUMENTS.items()):
        items = {
            "a_1": valse_item(f"v7w_{number_of}.jpg", f"There are {number_of} hens.", "There are 40 hens.", 3, piece),
            "a_2": valse_item(f"v7w_{number_of}.jpg", "Two goats climb.", "Two goats swim.", 2, piece),
            "a_7": valse_item("unwanted.jpg", "A man mows.", "a man mows.", 1, piece),
        }
        write(folder / f"{instrument}.json", json.dumps(items))
        place = ("images", "images/visual7w")[number_of % 2]
        picture(folder / place / f"v7w_{number_of}.jpg")


def test_valse_is_read_without_its_invalid_items(tmp_path):
    valse(tmp_path)
    probes = read_valse(tmp_path)
    assert probes.shape == "sentences"
    assert len(probes) == 22
    assert told(probes)[2:4] == [
        (["v7w_1.jpg"], ["There are 1 hens.", "There are 40 hens."]),
        (["v7w_1.jpg"], ["Two goats climb.", "Two goats swim."]),
    ]
    assert list(dict.fromkeys(probes.groups["instrument"])) == list(INSTRUMENTS)
    assert probes.groups["piece"][::2] == [piece for piece, _, _ in INSTRUMENTS.values()]
    assert probes.ids[:3] == ["existence/a_1", "existence/a_2", "plurals/a_1"]
    assert probes.notes[0] == "11 of 33 items left out as invalid (mturk.caption < 2)"
    assert "existence 3 (534), existence (valid) 2 (505), plurals 3 (1,000)" in probes.notes[1]
    assert len(probes.notes) == 2
    assert len(probes.pictures) == 11


def test_valse_with_its_invalid_items_says_that_captions_equal_foils(tmp_path):
    valse(tmp_path)
    picture(tmp_path / "images/unwanted.jpg")
    probes = read_valse(tmp_path, valid_only=False)
    assert (len(probes), probes.name) == (33, "VALSE with invalid items")
    assert probes.notes[0].startswith("all 33 items, valid or not")
    assert probes.notes[2].startswith("11 items have a false sentence equal to the true one")


def test_valse_pairs_that_differ_late_are_counted(tmp_path):
    valse(tmp_path)
    start = " ".join(f"w{i}" for i in range(30))
    items = {"x": valse_item("v7w_0.jpg", f"{start} yes", f"{start} no", 3)}
    write(tmp_path / "coreference-hard.json", json.dumps(items))
    assert read_valse(tmp_path).notes[-1] == "1 pairs are the same in their first 30 words: cut no text there"


def test_valse_of_the_published_size_has_7702_valid_items(tmp_path):
    picture(tmp_path / "images/v.jpg")
    for instrument, (_, raw, valid) in INSTRUMENTS.items():
        items = {str(i): valse_item("v.jpg", f"{i} hens", f"{i} ducks", 3 if i < valid else 1) for i in range(raw)}
        write(tmp_path / f"{instrument}.json", json.dumps(items))
    probes = read_valse(tmp_path)
    assert len(probes) == 7702
    assert probes.notes == [
        "1,080 of 8,782 items left out as invalid (mturk.caption < 2)", "numbers of items as published"
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------ VSR

FAMILIES = ("Adjacency: beside , against", "Directional: along", "Topological: in, among", "Unallocated: among, past\n")


def vsr_entry(image, caption, label, relation):
    return {
        "image": image, "image_link": f"http://example.org/{image}", "caption": caption, "label": label,
        "relation": relation, "annotator_id": 3, "vote_true_validator_id": [1, 2], "vote_false_validator_id": [],
    }  # fmt: skip


def vsr(folder, variant="random", part="test"):
    entries = [
        vsr_entry("000000000001.jpg", "The jug is beside the lamp.", 1, "beside"),
        vsr_entry("000000000002.jpg", "The jug is among\u2028the lamps.", 0, "among"),
        vsr_entry("000000000001.jpg", "The pot is near the lamp.", 0, "near"),
    ]
    write_lines(folder / "data/splits" / variant / f"{part}.jsonl", entries)
    write(folder / "analysis_scripts/rel_meta_category_dict.txt", *FAMILIES)
    picture(folder / "data/images/train2017/000000000001.jpg")
    picture(folder / "data/images/val2017/000000000002.jpg")


def test_vsr_labels_families_and_version(tmp_path):
    vsr(tmp_path, "zeroshot", "dev")
    probes = read_vsr(tmp_path, "zeroshot", "dev")
    assert probes.shape == "truth"
    assert probes.label.tolist() == [True, False, False]
    assert probes.label.dtype == bool
    assert told(probes)[0] == (["000000000001.jpg"], ["The jug is beside the lamp."])
    assert probes.picture.tolist() == [[0], [1], [0]]
    assert probes.groups == {
        "family": ["adjacency", "unallocated", "unallocated"], "relation": ["beside", "among", "near"]
    }  # fmt: skip
    content = (tmp_path / "data/splits/zeroshot/dev.jsonl").read_bytes()
    assert probes.notes == [
        f"version {hashlib.sha256(content).hexdigest()[:12]}, none that is known: 3 items, 1 of them true "
        "(one answer throughout is right for 66.7%)",
        "relation 'among' is listed twice, counted as unallocated",
        "relations in no family, so unallocated: near",
    ]
    assert (probes.name, probes.ids) == ("VSR zeroshot, dev", ["row 1", "row 2", "row 3"])


@pytest.mark.parametrize(
    ("variant", "part", "count", "true", "said"),
    [
        ("random", "test", 2024, 1053, "that of the evaluation at ACL 2023: 2,024 items, 1,053 of them true"),
        ("random", "test", 2195, 1181, "the current one: 2,195 items, 1,181 of them true (one answer .* for 53.8%)"),
        ("zeroshot", "test", 1222, 629, "the current one: 1,222 items, 629 of them true (one answer .* for 51.5%)"),
        ("zeroshot", "test", 1222, 630, "none that is known: 1,222 items"),
    ],
)
def test_vsr_versions_by_size_and_balance(tmp_path, variant, part, count, true, said):
    vsr(tmp_path)
    entries = [vsr_entry("000000000001.jpg", f"The jug is in lamp {i}.", int(i < true), "in") for i in range(count)]
    write_lines(tmp_path / "data/splits" / variant / f"{part}.jsonl", entries)
    note = read_vsr(tmp_path, variant, part).notes[0]
    start, _, end = said.partition(" .* ")
    assert f", {start}" in note
    assert note.rstrip(")").endswith(end.rstrip(")"))


# ------------------------------------------------------------------------------------------------ Winoground


def winoground(folder, count=3):
    """As many items, with tags and predicates in the published numbers if there are 400."""
    tags = ["Relation"] * 233 + ["Object"] * 141 + ["Both"] * 26
    entries = []
    for i in range(count):
        captions = {"caption_0": f"hen {i} sees ox {i}", "caption_1": f"ox {i} sees hen {i}"}
        images = {f"image_{j}": f"ex_{i}_img_{j}" for j in range(2)}
        entries.append(
            {"id": i, **captions, **images, "tag": "Noun", "secondary_tag": "", "num_main_preds": 1 if i < 292 else 2,
             "collapsed_tag": tags[i]}
        )  # fmt: skip
        for j in range(2):
            picture(folder / "images" / f"ex_{i}_img_{j}.png", (i % 256, i // 256, j))
    write_lines(folder / "examples.jsonl", entries)
    return entries


def test_winoground_caption_belongs_to_the_picture_of_its_number(tmp_path):
    winoground(tmp_path)
    probes = read_winoground(tmp_path)
    assert probes.shape == "square"
    assert told(probes)[1] == (["ex_1_img_0.png", "ex_1_img_1.png"], ["hen 1 sees ox 1", "ox 1 sees hen 1"])
    assert probes.groups == {"tag": ["Relation"] * 3, "predicates": ["1"] * 3}
    assert probes.ids == ["0", "1", "2"]
    assert probes.notes == ["order of the pictures checked by name in 3 of 3 items", "not the published 400 items"]


def test_winoground_with_other_names_says_that_their_order_is_not_checked(tmp_path):
    entries = winoground(tmp_path)
    for j in range(2):
        entries[2][f"image_{j}"] = f"mine{1 - j}"
        (tmp_path / f"images/ex_2_img_{j}.png").rename(tmp_path / f"images/mine{1 - j}.png")
    write_lines(tmp_path / "examples.jsonl", entries)
    assert read_winoground(tmp_path).notes[0] == "order of the pictures checked by name in 2 of 3 items"


def test_winoground_of_the_published_size(tmp_path):
    entries = winoground(tmp_path, 400)
    probes = read_winoground(tmp_path)
    assert {tag: probes.groups["tag"].count(tag) for tag in probes.groups["tag"]} == {
        "Relation": 233, "Object": 141, "Both": 26
    }  # fmt: skip
    assert probes.notes[1] == "numbers of items as published"
    entries[0]["collapsed_tag"] = "Object"
    write_lines(tmp_path / "examples.jsonl", entries)
    with pytest.raises(ProbeError, match=r"examples.jsonl: 400 items, but collapsed_tag has .*232.* instead of .*233"):
        read_winoground(tmp_path)
    entries[0] |= {"collapsed_tag": "Relation", "num_main_preds": 2}
    write_lines(tmp_path / "examples.jsonl", entries)
    with pytest.raises(ProbeError, match=r"400 items, but num_main_preds has .*291.* instead of .*292"):
        read_winoground(tmp_path)


# ------------------------------------------------------------------------------------------------ shared


def test_things_are_stored_once_in_the_order_of_their_first_appearance():
    rng = np.random.default_rng(0)
    rows = rng.choice(list("abcdefg"), (50, 3)).tolist()
    distinct, positions = number_rows(rows)
    assert [[distinct[i] for i in row] for row in positions] == rows
    assert distinct == list(dict.fromkeys(cell for row in rows for cell in row))
    assert number([])[1].shape == (0,)


def test_entries_are_named_by_row_or_key(tmp_path):
    for name, text in (("a.json", '[{"t": "x"}]'), ("b.json", '{"k": {"t": "x"}}'), ("c.jsonl", '\n{"t": "x"}\n')):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    found = [list(read_entries(tmp_path / name, {"t": str}, "")) for name in ("a.json", "b.json", "c.jsonl")]
    assert found == [[1], ["k"], [2]]


def test_pictures_are_found_by_name_below_the_folder_but_not_in_another_subfolder(tmp_path):
    for name in ("a/train/1.jpg", "a/train/2.b.PNG", "a/val/3.jpg"):
        picture(tmp_path / name)
    wanted = dict.fromkeys(("train/1.jpg", "1", "2.b", "val/1.jpg", "2", "a/val/3"), "list.json, row 1")
    found, trouble = look_up(tmp_path, wanted)
    assert {name: file.relative_to(tmp_path).as_posix() for name, file in found.items()} == {
        "train/1.jpg": "a/train/1.jpg", "1": "a/train/1.jpg", "2.b": "a/train/2.b.PNG", "a/val/3": "a/val/3.jpg"
    }  # fmt: skip
    assert trouble == dict.fromkeys(["val/1.jpg", "2"], f"not found in {tmp_path}")


def test_package_names_its_readers():
    assert "read_valse" in dir(published_probes)
    for name in published_probes._HOME:
        assert callable(getattr(published_probes, name))
    with pytest.raises(AttributeError, match="no attribute 'read_nothing'"):
        published_probes.read_nothing  # noqa: B018


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


def moved(old, new):
    return lambda folder: (folder / old).rename(folder / new)


def copied(old, new):
    return lambda folder: (folder / new).write_bytes((folder / old).read_bytes())


READERS = {
    "svo": (svo, read_svo),
    "svo lines": (svo_lines, read_svo),
    "svo pairs": (lambda folder: svo(folder, images=()), read_svo_pairs),
    "valse": (valse, read_valse),
    "vsr": (vsr, read_vsr),
    "winoground": (winoground, read_winoground),
}
CSV, LINES = "svo_probes.csv", "annotations/test.jsonl"
SWAP, EXIST = "actant-swap.json", "existence.json"
VSR, MAP, WINO = "data/splits/random/test.jsonl", "analysis_scripts/rel_meta_category_dict.txt", "examples.jsonl"


@pytest.mark.parametrize(
    ("form", "spoil", "message"),
    [
        ("svo", without(CSV), r"annotations/test\.jsonl: no such file; name the SVO-Probes folder that holds"),
        ("svo", edit(CSV, "neg_image_id", "negative"), r"svo_probes\.csv, row 1: has no column 'neg_image_id'"),
        ("svo", edit(CSV, "True", "yes"), r"svo_probes\.csv, row 2: subj_neg, .* must be true or false"),
        ("svo", edit(CSV, "Boys paint a fence", ""), r"csv, row 5: has an empty cell; sentence and both"),
        ("svo", edit(CSV, ",14,", ",../14,"), r"csv, row 5: '\.\./14' must be the path of a picture inside"),
        ("svo", whole(CSV, b"sentence,pos_image_id,neg_image_id,subj_neg,verb_neg,obj_neg\n"), "header but no rows"),
        ("svo", moved("images", "pictures"), r"images: no such folder; unpack the pictures there, or name"),
        ("svo lines", edit(LINES, '"verb_neg": true', '"verb_neg": 1'), r"row 1: verb_neg 1 is not true or false"),
        ("svo lines", edit(LINES, '"pos_image"', '"image"'), r"test\.jsonl, row 1: has no 'pos_image'; get the file"),
        ("svo pairs", lambda folder: (folder / "images").mkdir(), r"images: coverage is 0, no row of .*svo_probes\.csv "
         r"has both pictures \(0 of 6 are there\); get what is still online from image_urls\.txt"),
        ("valse", without(SWAP), r"actant-swap\.json: no such file; name the folder of VALSE's JSON files"),
        ("valse", edit(SWAP, '"foil"', '"foils"'), r"actant-swap\.json, item 'a_1': has no 'foil'; get the file"),
        ("valse", edit(SWAP, '"mturk": {"caption": 3', '"mturk": {"caption": 4'), r"'a_1': mturk\.caption 4 is not a"),
        ("valse", edit(SWAP, '"mturk": {"caption": 3', '"mturk": {"votes": 3'), r"'a_1': mturk\.caption None is not a"),
        ("valse", edit(EXIST, '"Two goats climb."', '["Two"]'), r"existence\.json, item 'a_2': caption \['Two'\] is"),
        ("valse", edit(EXIST, '"Two goats climb."', '""'), r"existence\.json, item 'a_2': caption '' is not a text"),
        ("valse", edit(EXIST, "}", ""), r"existence\.json, line 2: is no JSON \(.*column \d+\); get the file again"),
        ("valse", whole(EXIST, LFS), r"existence\.json: is a Git LFS pointer, not the data; run 'git lfs pull'"),
        ("valse", whole(EXIST, b'{"a": "\xff"}'), r"existence\.json: is no UTF-8 text; get the file again"),
        ("valse", whole(EXIST, b"{}"), r"existence\.json: holds no entries; get the file again"),
        ("valse", whole(EXIST, b'{"a": 3}'), r"existence\.json, item 'a': must be an object with image_file, .* got 3"),
        ("valse", without("images/v7w_0.jpg"), r"existence\.json, item 'a_1': picture 'v7w_0\.jpg': not found in"),
        ("valse", whole("images/v7w_0.jpg", LFS), r"picture 'v7w_0\.jpg': is a Git LFS pointer, not the image; run"),
        ("valse", copied("images/v7w_0.jpg", "images/visual7w/v7w_0.jpg"), r"'v7w_0\.jpg': 2 files of that name in"),
        ("vsr", edit(VSR, '"label": 1', '"label": 2'), r"test\.jsonl, row 1: label 2 is neither 0 \(false\) nor 1"),
        ("vsr", edit(VSR, '"label": 1', '"label": true'), r"test\.jsonl, row 1: label True is not a whole number"),
        ("vsr", edit(VSR, '"among", "annot', '"among, "annot'), r"test\.jsonl, row 2: is no JSON \(.*\); get the file"),
        ("vsr", without(VSR), r"test\.jsonl: no such file; name the VSR repository, the folder above data/splits"),
        ("vsr", without(MAP), r"dict\.txt: no such file; it maps relations to families; get it with the repository"),
        ("vsr", edit(MAP, "Directional:", "Directional"), r"dict\.txt, row 2: 'Directional along' is not 'family: rel"),
        ("vsr", without("data/images/val2017/000000000002.jpg"), r"row 2: picture '000000000002\.jpg': not found in"),
        ("winoground", without(WINO), r"examples\.jsonl: no such file; name the folder of Winoground's"),
        ("winoground", edit(WINO, '"image_0": "ex_1_img_0", "image_1": "ex_1_img_1"',
                            '"image_0": "ex_1_img_1", "image_1": "ex_1_img_0"'),
         r"examples\.jsonl, row 2: image_0 is 'ex_1_img_1': the pictures are swapped; turn them round"),
        ("winoground", edit(WINO, '"image_0": "ex_1_img_0"', '"image_0": "ex_1_img_1"'), r"row 2: image_0 and image_"),
        ("winoground", edit(WINO, '"ox 1 sees hen 1"', '"hen 1 sees ox 1"'), r"row 2: caption_0 and caption_1 are the"),
        ("winoground", edit(WINO, '"image_1": "ex_1', '"image_1": "ex_2'), r"row 2: 'ex_1_img_0' and 'ex_2_img_1' are"),
        ("winoground", edit(WINO, '"id": 1', '"id": 0'), r"examples\.jsonl, row 2: id 0 stands in row 1 too; keep one"),
        ("winoground", edit(WINO, 'ex_1_img_0", "image_1": "ex_1', 'ex_0_img_0", "image_1": "ex_0'),
         r"row 2: image_0 'ex_0_img_0' stands in row 1 too"),
        ("winoground", edit(WINO, '"num_main_preds": 1', '"num_main_preds": "1"'), r"row 1: num_main_preds '1' is"),
        ("winoground", copied("images/ex_1_img_0.png", "images/ex_1_img_1.png"),
         r"row 2: ex_1_img_0\.png and ex_1_img_1\.png are the same picture; unpack them again"),
        ("winoground", without("images/ex_2_img_1.png"), r"row 3: picture 'ex_2_img_1': not found in .*images"),
        ("winoground", whole("images/ex_2_img_1.png", b""), r"row 3: picture 'ex_2_img_1': is empty \(0 bytes\)"),
    ],
)  # fmt: skip
def test_bad_files_are_named_with_row_and_way_out(tmp_path, form, spoil, message):
    make, read = READERS[form]
    make(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ProbeError, match=message):
        read(tmp_path)


def test_first_of_several_missing_pictures_is_named(tmp_path):
    valse(tmp_path)
    for name in ("v7w_0.jpg", "v7w_2.jpg"):
        (tmp_path / "images" / name).unlink()
    with pytest.raises(ProbeError, match=r"picture 'v7w_0\.jpg' \(1 more have trouble\): not found"):
        read_valse(tmp_path)


def test_valse_without_a_valid_item_is_refused(tmp_path):
    for instrument in INSTRUMENTS:
        write(tmp_path / f"{instrument}.json", json.dumps({"a": valse_item("x.jpg", "A", "B", 1)}))
    with pytest.raises(ProbeError, match=r"no item is valid \(mturk\.caption >= 2\)"):
        read_valse(tmp_path)


@pytest.mark.parametrize(
    ("variant", "part", "message"),
    [
        ("zero-shot", "test", "variant must be one of random, zeroshot, got 'zero-shot'"),
        ("random", "val", "part must be one of train, dev, test, got 'val'"),
    ],
)
def test_vsr_knows_its_parts(tmp_path, variant, part, message):
    vsr(tmp_path)
    with pytest.raises(ProbeError, match=message):
        read_vsr(tmp_path, variant, part)
