from percept.data.judgments import Judgments, data_card, export_nights

from .conftest import table


def test_card_by_hand(store, tmp_path):
    """ann and ben agree on t0, not on t1; ann repeats t0 as before and t1 not; ben skips t2; t3 is open."""
    for position, (triplet, answer, swapped, kind) in enumerate(
        [("t0", "left", True, "ask"), ("t1", "right", False, "ask"), ("t0", "left", False, "repeat"),
         ("t1", "left", False, "repeat"), ("t2", "right", True, "ask")]
    ):  # fmt: skip
        store.record("photos", "ann", triplet, position, answer, swapped, 1.0 + position, kind)
    for position, answer in enumerate(["left", "left", "skip"]):
        store.record("photos", "ben", f"t{position}", position, answer, False, 1.0)
    export_nights(store, "photos", tmp_path / "out", licence="CC BY 4.0")
    card = (tmp_path / "out" / "DATA_CARD.md").read_text("utf-8")
    for line in (
        "# Data card: photos",
        "- raters: 2 (known by pseudonyms only)",
        "- group inspectors: 1",
        "- language ja: 1",
        "- triplets: 4, answered: 3",
        '- first answers: 6, of these "can\'t tell": 1',
        "- repeats as attention checks: 2",
        "- raters per answered triplet: 2 to 2, median 2",
        "- in this export, votes: 5",
        "- in this export, not unanimous: 1",
        "- in this export, triplets without votes left out: 1",
        "- photos: random, seed 0",
        "- (ja) 回答は研究のために保存されます。",
        "- pairs of raters who agree on a triplet: 50.0% (1 of 2)",
        "- repeats answered as before: 50.0% (1 of 2)",
        # Left on the screen: ann t0 swapped left -> right, t1 right, t0 left, t1 left, t2 swapped right -> left.
        "- answers for the picture shown on the left: 71.4% (5 of 7)",
        "- of the answers: CC BY 4.0",
    ):
        assert line in card.splitlines(), line
    assert "ann" not in card.replace("unanimous", "")
    assert "ben" not in card


def test_what_is_not_known_is_said(tmp_path):
    store = Judgments(tmp_path / "j.sqlite")
    store.add_study("new", table())
    empty = data_card(store, "new")
    assert "- raters: 0" in empty
    assert "- new: not stated" in empty
    assert "- of the answers: not stated" in empty
    assert "- pairs of raters who agree on a triplet: none to count" in empty
    store.register("bot", consent="simulated rater")
    store.record("new", "bot", "t0", 0, "left")
    card = data_card(store, "new")
    assert "- one rater: nothing can be said about agreement between people" in card
    assert "- some raters are simulated: their answers are no human judgments" in card
    assert "response time: not recorded" in card
    assert "no answers" in data_card(Judgments(tmp_path / "other.sqlite"))
