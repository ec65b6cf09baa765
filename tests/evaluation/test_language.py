"""Naming and search on scenes, with encoders whose right answers are known."""

import numpy as np
import pytest

from percept.data import scenes
from percept.evaluation import language
from percept.evaluation.zero_shot import zero_shot_accuracy


class Oracle:
    """Reads the label that a picture's first pixel holds, and the noun that a sentence holds."""

    def __init__(self, known=None):
        self.known = known or {}

    def encode_images(self, pictures):
        return np.eye(len(scenes.nouns()))[[picture[0, 0, 0] for picture in pictures]]

    def encode_texts(self, texts):
        rows = np.zeros((len(texts), len(scenes.nouns())))
        for row, text in zip(rows, texts, strict=True):
            for code in ("en", "ja"):
                phrases = scenes.noun_phrases(code)
                found = [i for i, phrase in enumerate(phrases) if phrase in text]
                if found:
                    row[max(found, key=lambda i, phrases=phrases: len(phrases[i]))] = 1.0
        return rows + 1e-3


def marked(labels):
    pictures = np.zeros((len(labels), 8, 8, 3), np.uint8)
    pictures[:, 0, 0, 0] = labels
    return pictures, np.array(labels)


def test_naming_finds_what_the_oracle_knows_and_what_it_does_not():
    labels = list(range(0, 90, 3))
    right, wrong = marked(labels), (marked([(label + 1) % 90 for label in labels])[0], np.array(labels))
    tables = language.naming(Oracle(), {"right": right, "wrong": wrong})
    assert list(tables) == ["English prompts", "Japanese prompts"]
    for table in tables.values():
        values = table.set_index("shift")["value"]
        assert values["right"] > 0.9
        assert values["wrong"] < 0.1


def test_scene_weights_follow_the_templates():
    weights = language.scene_weights(Oracle())
    pictures, labels = marked([5, 17, 60])
    for matrix in weights.values():
        assert matrix.shape == (len(scenes.nouns()), len(scenes.nouns()))
        assert np.allclose(np.linalg.norm(matrix, axis=1), 1)
        assert zero_shot_accuracy(Oracle().encode_images(pictures), matrix, labels)["acc1"] == 1.0


def test_scene_sets_share_scenes_where_they_say_so():
    found = language.scene_sets(1)
    clean, labels = found["seen drawings"]
    assert sorted(labels.tolist()) == list(range(len(scenes.nouns())))
    for name in ("outlines only", "another artist", "grayscale", "blur"):
        pictures, same = found[name]
        assert np.array_equal(same, labels)
        assert pictures.shape == clean.shape
        assert (pictures != clean).any((1, 2, 3)).all()
    assert np.array_equal(found["grayscale"][0], scenes.grayscale(clean))
    other = language.scene_sets(1, block=1)["seen drawings"][0]
    assert not (other[:, None] == clean[None]).all((2, 3, 4)).any()


class Sentences:
    """Embeds a picture as its position and a sentence as the position of the scene it was written for."""

    def __init__(self, sentences, order):
        self.table = {}
        for position, sentence in enumerate(sentences):
            self.table.setdefault(sentence, order[position])
        self.size = len(sentences)

    def encode_images(self, pictures):
        return np.eye(self.size)

    def encode_texts(self, texts):
        return np.eye(self.size)[[self.table[text] for text in texts]]


@pytest.mark.parametrize("code", ["en", "ja"])
def test_search_ranks_scenes(code):
    indices = list(scenes.SPLITS["test"][90_000:90_040])
    blank = np.zeros((40, 8, 8, 3), np.uint8)
    sentences = [language._sentence(scenes.captions(scenes.scene(index), code)) for index in indices]
    straight = language.search(Sentences(sentences, list(range(40))), indices, blank, code)
    assert straight.sentences == sentences
    assert (straight.ranks == 1).all()
    assert straight.right([0, 3], 1).all()
    assert straight.chance == pytest.approx(1 / 40, rel=0.5)
    shifted = language.search(Sentences(sentences, [(i + 1) % 40 for i in range(40)]), indices, blank, code)
    assert (shifted.ranks == 1).mean() < 0.2
