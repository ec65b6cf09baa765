"""The scene world: seeded images with complete ground truth, made from open vector drawings.

Drawings: OpenMoji (CC BY-SA 4.0) and, as an unseen style, Twemoji (CC BY 4.0).
"""

from percept.data.scenes.captions import TEMPLATES, captions, noun_phrases
from percept.data.scenes.layout import number_of_things, scene
from percept.data.scenes.render import Truth, grayscale, picture, render, truth
from percept.data.scenes.splits import SPLITS, split_of
from percept.data.scenes.vocabulary import BACKGROUNDS, COLOURS, STUFF, noun_id, nouns
from percept.data.scenes.world import Scene, Thing

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "SPLITS",
    "STUFF",
    "TEMPLATES",
    "Scene",
    "Thing",
    "Truth",
    "captions",
    "grayscale",
    "noun_id",
    "noun_phrases",
    "nouns",
    "number_of_things",
    "picture",
    "render",
    "scene",
    "split_of",
    "truth",
]
