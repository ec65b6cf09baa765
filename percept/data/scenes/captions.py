"""Captions of a scene, in English and Japanese, from a small grammar over its truth.

A caption names only things that can be seen (``Scene.named``) and says "the dog" only where there is one dog.
"""

from percept.data.scenes.vocabulary import (
    ANIMAL_ACTIVITIES,
    COLOURS,
    FACES,
    INTERACTIONS,
    NUMBERS,
    NUMBERS_JA,
    PERSON_ACTIVITIES,
    SPATIAL,
    Noun,
    nouns,
)
from percept.data.scenes.world import Scene, Thing

_ACTIVITIES = {variant.key: (variant.en, variant.ja) for variant in PERSON_ACTIVITIES} | ANIMAL_ACTIVITIES
_EXPRESSIONS = {variant.key: (variant.en, variant.ja) for variant in FACES}

TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": ("{}", "a picture of {}", "there is {}", "{} on the grass", "{} on the road", "{} in a room"),
    "ja": ("{}", "{}の絵", "{}がある", "草の上の{}", "道路の上の{}", "部屋の中の{}"),
}  # fmt: skip


def noun_phrases(language: str = "en") -> list[str]:
    """All nouns as they stand in ``TEMPLATES``, by class id: "a dog", "犬"."""
    return [noun.en if language == "en" else noun.ja for noun in nouns()]


def captions(scene: Scene, language: str = "en") -> list[str]:
    """Reference captions of a scene, without repeats, shortest kinds first.

    Args:
        scene: the scene.
        language: "en" or "ja".

    Raises:
        ValueError: for another language.
    """
    if language not in ("en", "ja"):
        raise ValueError(f"captions are written in 'en' and 'ja', not {language!r}")
    grammar = _English(scene) if language == "en" else _Japanese(scene)
    if not scene.named:
        return [grammar.empty()]
    lines = [
        grammar.listing(detail=False),
        grammar.listing(detail=True),
        grammar.listing(detail=True, placed=True),
    ]
    lines += [grammar.framed(), *grammar.existence()]
    for subject, verb, target in scene.relations[:7]:
        if verb in INTERACTIONS:
            lines += grammar.action(subject, verb, target)
        elif grammar.unique(subject) and grammar.unique(target):
            lines.append(grammar.relation(subject, verb, target))
    for position in scene.named:
        if grammar.unique(position) and (scene.things[position].colour or scene.things[position].variant):
            lines += grammar.property(position)
    return list(dict.fromkeys(lines))


class _Grammar:
    """What both languages share: the scene, its groups of like things, and which things are one of their kind."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def unique(self, position: int) -> bool:
        return self.scene.counts[self.scene.things[position].noun] == 1

    def groups(self, detail: bool) -> list[tuple[Thing, int]]:
        """(one thing, how many like it), nearest first; with ``detail`` colours and activities tell groups apart."""
        tally: dict[tuple[int, str, str], tuple[Thing, int]] = {}
        for position in sorted(self.scene.named, key=lambda p: self.scene.things[p].depth):
            thing = self.scene.things[position]
            key = (thing.noun, thing.colour, thing.variant) if detail else (thing.noun, "", "")
            first, count = tally.get(key, (thing, 0))
            tally[key] = (first, count + 1)
        return list(tally.values())


class _English(_Grammar):
    def empty(self) -> str:
        return f"a view {self.scene.background.en}"

    def one(self, thing: Thing, detail: bool) -> str:
        kind, word = thing.kind, self.describe(thing) if detail else ""
        if not word:
            return kind.en
        if kind.key == "person":
            return f"a person {word}"
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word} {kind.en.partition(' ')[2]}"

    def describe(self, thing: Thing) -> str:
        """Adjective or participle of a thing, or "" if there is nothing to say."""
        words = {**_ACTIVITIES, **_EXPRESSIONS}
        return thing.colour or (words[thing.variant][0] if thing.variant else "")

    def many(self, thing: Thing, count: int, detail: bool) -> str:
        word = self.describe(thing) if detail else ""
        if thing.kind.key == "person" and word:
            return f"{NUMBERS[count]} people {word}"
        return f"{NUMBERS[count]} {word} {thing.kind.plural}".replace("  ", " ")

    def listing(self, *, detail: bool, placed: bool = False) -> str:
        parts = [self.one(t, detail) if n == 1 else self.many(t, n, detail) for t, n in self.groups(detail)]
        text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        return f"{text} {self.scene.background.en}" if placed else text

    def framed(self) -> str:
        return f"a picture of {self.listing(detail=True)}"

    def existence(self) -> list[str]:
        lines = []
        for thing, count in self.groups(detail=False):
            if count == 1:
                lines.append(f"there is {self.one(thing, False)} {self.scene.background.en}")
            else:
                lines.append(f"there are {self.many(thing, count, False)}")
        return lines

    def the(self, position: int) -> str:
        return f"the {self.scene.things[position].kind.en.partition(' ')[2]}"

    def action(self, subject: int, verb: str, target: int) -> list[str]:
        third, progressive, _, _ = INTERACTIONS[verb]
        doer, other = self.scene.things[subject], self.scene.things[target]
        place = self.scene.background.en
        return [
            f"{doer.kind.en} {third} {other.kind.en}",
            f"{self.one(doer, True)} is {progressive} {self.one(other, True)} {place}",
            f"there is {doer.kind.en} {place}. it is {progressive} {other.kind.en}",
        ]

    def relation(self, subject: int, relation: str, target: int) -> str:
        verb = "are" if self.scene.things[subject].kind.key in ("grapes", "scissors") else "is"
        verb = "is" if " of " in self.the(subject) else verb
        return f"{self.the(subject)} {verb} {SPATIAL[relation][0]} {self.the(target)}"

    def property(self, position: int) -> list[str]:
        thing = self.scene.things[position]
        word, place = self.describe(thing), self.scene.background.en
        pronoun = "they are" if thing.kind.key == "person" else "it is"
        return [f"{self.the(position)} is {word}", f"there is {thing.kind.en} {place}. {pronoun} {word}"]


class _Japanese(_Grammar):
    def empty(self) -> str:
        return f"{self.scene.background.ja}の風景"

    def noun(self, thing: Thing, detail: bool) -> str:
        if not detail or not (thing.colour or thing.variant):
            return thing.kind.ja
        words = {**_ACTIVITIES, **_EXPRESSIONS}
        return (COLOURS[thing.colour][1] if thing.colour else words[thing.variant][1]) + thing.kind.ja

    @staticmethod
    def counted(kind: Noun, count: int) -> str:
        if kind.key == "person":
            return f"{NUMBERS_JA[count]}人"
        return f"{NUMBERS_JA[count]}{kind.counter}"

    @staticmethod
    def be(kind: Noun) -> str:
        return "いる" if kind.has("n") else "ある"

    def listing(self, *, detail: bool, placed: bool = False) -> str:
        groups = self.groups(detail)
        if len(groups) == 1 and groups[0][1] == 1:
            text = self.noun(groups[0][0], detail)
        else:
            text = "と".join(f"{self.noun(t, detail)}{self.counted(t.kind, n)}" for t, n in groups)
        return f"{self.scene.background.ja}の{text}" if placed else text

    def framed(self) -> str:
        return f"{self.listing(detail=True)}の絵"

    def existence(self) -> list[str]:
        place = self.scene.background.ja
        return [
            f"{place}に{self.noun(thing, False)}が{self.counted(thing.kind, count)}{self.be(thing.kind)}"
            for thing, count in self.groups(detail=False)
        ]

    def action(self, subject: int, verb: str, target: int) -> list[str]:
        _, _, particle, doing = INTERACTIONS[verb]
        doer, other = self.scene.things[subject], self.scene.things[target]
        place = self.scene.background.ja
        act = f"{particle}{doing}"
        return [
            f"{doer.kind.ja}が{other.kind.ja}{act}",
            f"{self.noun(doer, True)}が{self.noun(other, True)}{act}",
            f"{place}に{doer.kind.ja}がいる。その{doer.kind.ja}は{other.kind.ja}{act}",
        ]

    def relation(self, subject: int, relation: str, target: int) -> str:
        one, other = self.scene.things[subject].kind, self.scene.things[target].kind
        return f"{one.ja}は{other.ja}{SPATIAL[relation][1]}に{self.be(one)}"

    def property(self, position: int) -> list[str]:
        thing = self.scene.things[position]
        place, be = self.scene.background.ja, self.be(thing.kind)
        words = {**_ACTIVITIES, **_EXPRESSIONS}
        if thing.colour:
            predicate = COLOURS[thing.colour][2]
            predicate += "" if predicate.endswith("い") else "だ"
            return [f"{thing.kind.ja}は{predicate}", f"{place}に{thing.kind.ja}が{be}。それは{predicate}"]
        if thing.kind.key == "face":
            return [f"{place}に{words[thing.variant][1]}顔がある"]
        doing = words[thing.variant][1]
        return [f"{thing.kind.ja}は{doing}", f"{place}に{thing.kind.ja}が{be}。その{thing.kind.ja}は{doing}"]
