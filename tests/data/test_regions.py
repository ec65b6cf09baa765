"""Regions of scenes, captions made false, mirrored texts, and region records of a user's own pictures."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from percept.data.hard_captions import EDITS, false_caption, false_captions, mirrored
from percept.data.region_files import read_regions
from percept.data.regions import Phrase, Region, RegionsError, SceneRegions, draw_regions, scene_regions
from percept.data.scenes import COLOURS, SPLITS, nouns, scene, truth
from percept.data.scenes.splits import held_out_colour, held_out_triple
from percept.data.scenes.vocabulary import INTERACTIONS, SPATIAL
from percept.data.scenes.world import Scene

SCENES = [scene(index) for index in range(120)]
WORDS = {form: number for number, noun in enumerate(nouns()) for form in (noun.plural, noun.en.partition(" ")[2])}
NOUN = "|".join(sorted(WORDS, key=len, reverse=True))


@pytest.fixture(scope="module")
def source():
    return SceneRegions(SPLITS["pretrain"][:60])


# --- regions of scenes -----------------------------------------------------------------------------------------------


def test_boxes_and_labels_are_the_truth_of_the_picture():
    for made in SCENES[:60]:
        found, dense = scene_regions(made), truth(made)
        centres = np.array([region.box for region in found]).reshape(-1, 4)
        corners = np.concatenate([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2], 1) * 64
        np.testing.assert_allclose(corners, dense.boxes, atol=1e-9)
        assert [WORDS[region.label] for region in found] == dense.labels.tolist()


def slow_phrase(made: Scene, position: int, text: str) -> tuple[float, ...]:
    """Read a description back: find what it says of the thing, check it, and return the box that it should have."""
    thing, boxes = made.things[position], [made.visibility[position][1]]
    head, relation, other = text, "", ""
    for name, words in [*((v, f[1]) for v, f in INTERACTIONS.items()), *((r, f[0]) for r, f in SPATIAL.items())]:
        if f" {words} a" in text:
            (head, other), relation = text.split(f" {words} "), name
    assert WORDS[re.search(rf"\b(?:{NOUN})\b", head)[0]] == thing.noun
    colours = [colour for colour in COLOURS if colour in head.split()]
    assert colours == ([thing.colour] if thing.colour else [])
    if relation:
        matches = [t for s, r, t in made.relations if (s, r) == (position, relation)
                   and made.things[t].noun == WORDS[other.partition(" ")[2]]]  # fmt: skip
        assert matches, text
        boxes.append(made.visibility[matches[0]][1])
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    return (left + right) / 128, (top + bottom) / 128, (right - left) / 64, (bottom - top) / 64


def test_descriptions_are_true_and_their_box_holds_what_they_name():
    relations = 0
    for made in SCENES:
        if len({made.things[position].noun for position in made.named}) < len(made.named):
            continue  # reading back needs one thing of each noun
        for position, region in zip(made.named, scene_regions(made), strict=True):
            assert region.phrases[0].box == region.box
            for phrase in region.phrases:
                assert phrase.box == pytest.approx(slow_phrase(made, position, phrase.text))
                relations += phrase != region.phrases[0]
    assert relations > 100


def test_a_batch_has_the_regions_of_its_pictures(source):
    rows = np.array([4, 1, 7])
    for kind in ("labels", "descriptions"):
        found = source.regions(rows, kind, 2, np.random.default_rng(0))
        assert found.pictures.shape == (3, 64, 64, 3)
        assert found.boxes.dtype == np.float32
        assert np.bincount(found.owner, minlength=3).tolist() == [min(2, len(source.regions_of(row))) for row in rows]
        for owner, box, text in zip(found.owner, found.boxes, found.texts, strict=True):
            regions = source.regions_of(int(rows[owner]))
            phrases = [p for r in regions for p in ([Phrase(r.label, r.box)] if kind == "labels" else r.phrases)]
            assert any(phrase.text == text and phrase.box == pytest.approx(box.tolist()) for phrase in phrases)
    again = source.regions(rows, "descriptions", 2, np.random.default_rng(0))
    assert again.texts == found.texts
    others = {tuple(source.regions(rows, "labels", 1, np.random.default_rng(seed)).texts) for seed in range(8)}
    assert len(others) > 1


def test_captions_are_the_scenes_and_pictures_come_with_them(source):
    pictures, texts = source.captions(np.array([3, 0]), np.random.default_rng(0))
    assert texts[0] in scene(3).captions()
    assert texts[1] in scene(0).captions()
    np.testing.assert_array_equal(pictures, source.pictures(np.array([3, 0])))


def test_a_larger_share_of_annotated_pictures_holds_a_smaller_one():
    shares = [SceneRegions(range(1000), share=share).region_rows for share in (0.05, 0.1, 0.5, 1.0)]
    assert [len(rows) for rows in shares] == [50, 100, 500, 1000]
    for small, large in pairwise(shares):
        assert set(small) < set(large)
    assert len(SceneRegions(range(1000), share=0.05).caption_rows) == 1000


def test_given_regions_take_the_place_of_a_pictures_own(source):
    box = (0.5, 0.5, 0.2, 0.2)
    few = SceneRegions(source.indices, share=0.1)
    absent = int(np.setdiff1d(few.caption_rows, few.region_rows)[0])
    empty = int(np.setdiff1d(few.caption_rows, few.region_rows)[1])
    other = few.with_regions({absent: [Region(box, "unicorn", (Phrase("a unicorn", box),))], empty: []})
    assert set(other.region_rows) == {*few.region_rows.tolist(), absent}
    assert other.regions(np.array([absent]), "labels", 5, np.random.default_rng(0)).texts == ["unicorn"]
    assert other.regions(np.array([absent]), "descriptions", 5, np.random.default_rng(0)).texts == ["a unicorn"]
    assert other.regions_of(int(few.region_rows[0])) == few.regions_of(int(few.region_rows[0]))
    names = {each.identity for each in (source, few, other, few.with_regions({absent: []}))}
    assert len(names) == 4


def test_what_captions_say_names_single_things_only(source):
    for row in range(60):
        made = scene(row)
        single = {made.things[p].noun for p in made.named if made.counts[made.things[p].noun] == 1}
        assert {WORDS[word] for word in source.said(row, "labels")} == single
        phrases = {region.phrases[0].text for region in source.regions_of(row)}
        said = source.said(row, "descriptions")
        assert set(said) <= phrases
        assert len(said) >= len(single)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: SceneRegions([]), "need scene indices"),
        (lambda: SceneRegions(range(5), share=0), r"a share of them in \(0, 1\], got 5 and 0"),
        (lambda: SceneRegions(range(5), share=1.5), r"a share of them in \(0, 1\]"),
        (lambda: SceneRegions(range(5), given={7: []}), r"given has row 7, rows are 0\.\.4"),
        (lambda: draw_regions([], [], "words", 1, np.random.default_rng()), "kind must be one of labels, descriptions"),
    ],
)
def test_sources_that_cannot_be_made(call, message):
    with pytest.raises(RegionsError, match=message):
        call()


# --- captions made false ---------------------------------------------------------------------------------------------


def claims(text: str) -> tuple[set, set, set, set]:
    """What a caption says: nouns, (colour, noun), (noun, relation, noun) and (noun, act, noun)."""
    named = [WORDS[word] for word in re.findall(rf"\b(?:{NOUN})\b(?<!faces)(?! an? )", text)]
    found = re.findall(rf"\b({'|'.join(COLOURS)}) ({NOUN})\b", text)
    coloured = {(colour, WORDS[noun]) for colour, noun in found}
    if last := re.search(rf"(?:the|there is an?) ({NOUN})\b.* is ({'|'.join(COLOURS)})$", text):
        coloured.add((last[2], WORDS[last[1]]))
    relations, acts = set(), set()
    for name, (words, _) in SPATIAL.items():
        if between := re.fullmatch(rf"the ({NOUN}) is {words} the ({NOUN})", text):
            relations.add((WORDS[between[1]], name, WORDS[between[2]]))
    for verb, (third, progressive, _, _) in INTERACTIONS.items():
        colour = rf"(?:(?:{'|'.join(COLOURS)}) )?"
        if act := re.search(rf"\b({NOUN})\b[^,]*?\b(?:{third}|{progressive}) an? {colour}({NOUN})\b", text):
            acts.add((WORDS[act[1]], verb, WORDS[act[2]]))
    return set(named), coloured, relations, acts


def world(made: Scene) -> tuple[set, set, set, set]:
    """What can be said of a scene, in the same form."""
    nouns_there = {thing.noun for thing in made.things}
    triples = {(made.things[s].noun, r, made.things[t].noun) for s, r, t in made.relations}
    act = {t for t in triples if t[1] in INTERACTIONS}
    return nouns_there, {(thing.colour, thing.noun) for thing in made.things if thing.colour}, triples - act, act


def test_true_captions_claim_what_is_there():
    for made in SCENES:
        for caption in made.captions():
            if "riding" not in caption:  # "a person riding a horse" is one drawing
                assert all(said <= there for said, there in zip(claims(caption), world(made), strict=True)), caption


def test_false_captions_claim_what_is_not_there_and_nothing_that_is_held_out():
    counted = dict.fromkeys(EDITS, 0)
    for made in SCENES:
        there = world(made)
        for caption in made.captions():
            if "riding" in caption:
                continue
            for kind, options in false_captions(made, caption).items():
                for text in options:
                    said = claims(text)
                    part = {"noun": (0,), "colour": (1,), "relation": (2, 3)}[kind]
                    assert any(said[number] - there[number] for number in part), (caption, text)
                    assert not any(held_out_colour(noun, colour) for colour, noun in said[1]), text
                    assert not any(held_out_triple(*triple) for triple in said[3]), text
                    assert not re.search(r"\ba (?=[aeiou])|\ban (?![aeiou])", text), text
                    counted[kind] += 1
    assert min(counted.values()) > 200


@pytest.mark.parametrize(
    ("index", "caption", "kind", "wanted"),
    [
        (0, "the clock is in front of the giraffe", "relation", "the clock is behind the giraffe"),
        (0, "the clock is in front of the giraffe", "relation", "the giraffe is in front of the clock"),
        (1, "a monkey stands on a cat", "relation", "a cat stands on a monkey"),
        (1, "there is an owl", "noun", "there is a bee"),
        (4, "the door is red", "colour", "the door is blue"),
    ],
)
def test_edits_by_example(index, caption, kind, wanted):
    assert caption in scene(index).captions()
    assert wanted in false_captions(scene(index), caption)[kind]


@pytest.mark.parametrize(
    ("index", "caption", "wanted", "never"),
    [
        (23, "there is a fish on the sand", "there is a whale on the sand", "there is a whales on the sand"),
        (164, "two sheep and a bucket", "two cows and a bucket", "two cow and a bucket"),
    ],
)
def test_nouns_whose_plural_is_the_singular_keep_their_number(index, caption, wanted, never):
    found = false_captions(scene(index), caption)["noun"]
    assert wanted in found
    assert never not in found


def test_colours_of_two_things_are_exchanged():
    exchanged = 0
    for made in SCENES:
        for caption in made.captions():
            found = false_captions(made, caption)["colour"]
            exchanged += sum(sorted(text.split()) == sorted(caption.split()) for text in found)
    assert exchanged > 10


def test_drawing_is_seeded_and_a_caption_without_edits_gives_none(source):
    rows, texts = np.arange(8), [scene(index).captions()[0] for index in range(8)]
    drawn = source.false_captions(rows, texts, np.random.default_rng(0))
    assert drawn == source.false_captions(rows, texts, np.random.default_rng(0))
    assert len({tuple(source.false_captions(rows, texts, np.random.default_rng(seed))) for seed in range(5)}) == 5
    for index, text, false in zip(rows, texts, drawn, strict=True):
        options = [each for found in false_captions(scene(int(index)), text).values() for each in found]
        assert false in options
    assert false_caption(scene(0), "a view of the sea", np.random.default_rng(0)) is None


def test_mirrored_captions_are_true_of_the_mirror_image():
    sides = 0
    for made in SCENES:
        for caption in made.captions():
            for noun, relation, other in claims(caption)[2]:
                (a,), (b,) = ([p for p in made.named if made.things[p].noun == n] for n in (noun, other))
                flipped = [64 - made.visibility[p][1][2] for p in (a, b)]
                ((_, after, _),) = claims(mirrored(caption))[2]
                if relation in ("left of", "right of"):
                    assert after == ("left of" if flipped[0] < flipped[1] else "right of")
                    sides += 1
                else:
                    assert mirrored(caption) == caption
        for caption in made.captions("ja"):
            assert mirrored(mirrored(caption)) == caption
    assert sides > 50
    assert mirrored("upright, bright, leftover") == "upright, bright, leftover"


# --- region records --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (80, 40), (200, 10, 10)).save(tmp_path / "wide.png")
    Image.new("RGB", (30, 50), (10, 10, 200)).save(tmp_path / "tall.png")
    return tmp_path


def record(**changes):
    elem = {"caption": "a scratch", "attributes": ["long", "thin"], "bb": [30, 10, 20, 10]}
    return {"image": "wide.png", "caption": "a red plate", "elems": [elem]} | changes


def write(folder, content, name="regions.json"):
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_records_are_read_in_both_forms(folder, form):
    records = [record(), {"image": "tall.png", "caption": ["a tin", "a blue tin"]}, record(caption=None)]
    text = json.dumps(records) if form == "json" else "\n".join(map(json.dumps, records)) + "\n\n"
    source = read_regions(write(folder, text, f"regions.{form}"))
    assert source.caption_rows.tolist() == [0, 1]
    assert source.region_rows.tolist() == [0, 2]
    pictures, captions = source.captions(np.array([1, 0]), np.random.default_rng(0))
    assert [picture.size for picture in pictures] == [(30, 30), (40, 40)]
    assert captions[0] in ("a tin", "a blue tin")
    labels, phrases = (
        source.regions(np.array([0, 2]), k, 3, np.random.default_rng(0)) for k in ("labels", "descriptions")
    )
    assert labels.texts == ["a scratch"] * 2
    assert phrases.texts == ["long thin a scratch"] * 2
    # The centre square of 80 x 40 begins at x = 20: the box is at 10..30, 10..20 of 40.
    np.testing.assert_allclose(phrases.boxes, [[0.5, 0.375, 0.5, 0.25]] * 2)
    with pytest.raises(RegionsError, match="use hard_captions=False"):
        source.false_captions(np.array([0]), ["a red plate"], np.random.default_rng(0))
    assert read_regions(write(folder, text.replace("tin", "can"), f"regions.{form}")).identity != source.identity


def test_boxes_are_cut_to_the_square_and_left_out_below_half(folder):
    boxes = [[10, 0, 20, 20], [9, 0, 20, 20], [50, 30, 20, 30], [-5, -5, 500, 500]]
    elems = [{"caption": f"spot {number}", "bb": box} for number, box in enumerate(boxes)]
    source = read_regions(write(folder, [record(elems=elems)]))
    found = {region.label: region.box for region in source._regions[0]}
    assert found == {"spot 0": pytest.approx((0.125, 0.25, 0.25, 0.5))}  # exactly half is inside: 20..30
    assert len(source.notes) == 3
    assert "record 1 region 2: less than half of it is inside the centre square of wide.png" in source.notes[0]


def test_boxes_are_those_of_the_upright_picture(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter: stored 80 x 40, seen 40 x 80
    Image.new("RGB", (80, 40)).save(folder / "turned.jpg", exif=exif)
    source = read_regions(
        write(folder, [record(image="turned.jpg", elems=[{"caption": "dot", "bb": [0, 60, 40, 20]}])])
    )
    assert source.region_rows.tolist() == []  # below the square, which ends at y = 60
    with pytest.raises(RegionsError, match="no area inside the picture of 40 x 80 px"):
        read_regions(write(folder, [record(image="turned.jpg", elems=[{"caption": "dot", "bb": [60, 0, 10, 10]}])]))


BAD = [
    ("[]", "holds no records"),
    ("{", r"is not JSON .* needs the suffix .jsonl"),
    ("{}", "holds one dict, not a list of records"),
    (["x"], r'record 1 has no "image"'),
    ([record(image=None)], r'record 1 has no "image"'),
    ([record(), record(image="none.png")], r"record 2: picture .*none.png: no such file"),
    ([{"image": "wide.png"}], r'record 1 needs a list "elems"'),
    ([record(elems={"bb": []})], r'record 1 needs a list "elems"'),
    ([record(caption=["a", ""])], "record 1 needs a text"),
    ([record(elems=["x"])], r'region 1 needs "bb": \[x, y, width, height\] in px, got None'),
    ([record(elems=[{"caption": "a", "bb": [1, 2, 3]}])], r'region 1 needs "bb"'),
    ([record(elems=[{"caption": "a", "bb": [1, 2, 3, True]}])], r'region 1 needs "bb"'),
    ([record(elems=[{"caption": "a", "bb": [1, 2, 3, "4"]}])], r'region 1 needs "bb"'),
    ([record(elems=[{"caption": "a", "bb": [1, 2, 0, 4]}])], "has no area inside the picture of 80 x 40 px"),
    ([record(elems=[{"caption": "a", "bb": [80, 2, 3, 4]}])], "has no area inside"),
    ([record(elems=[{"caption": " ", "bb": [30, 2, 3, 4]}])], "region 1 needs a text, or a list of texts"),
    ([record(elems=[{"bb": [30, 2, 3, 4]}])], "region 1 needs a text"),
    ([record(elems=[{"caption": "a", "attributes": 3, "bb": [30, 2, 3, 4]}])], "region 1 needs a text"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_records_that_cannot_be_read(folder, content, message):
    with pytest.raises(RegionsError, match=message) as caught:
        read_regions(write(folder, content))
    assert "regions.json" in str(caught.value)


def test_files_that_cannot_be_read(folder):
    with pytest.raises(RegionsError, match=r"absent.json: no such file"):
        read_regions(folder / "absent.json")
    with pytest.raises(RegionsError, match=r"regions.jsonl line 2 is not JSON"):
        read_regions(write(folder, json.dumps(record()) + "\n{", "regions.jsonl"))
    (folder / "broken.png").write_bytes(b"\x89PNG")
    with pytest.raises(RegionsError, match=r"record 1: picture .*broken.png: is damaged"):
        read_regions(write(folder, [record(image="broken.png")]))
