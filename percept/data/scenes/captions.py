"""Captions of a scene, in English and Japanese, from a small grammar over its truth.

A caption names only things that can be seen (``Scene.named``). It says "the dog", and gives numbers, only where no
half-hidden dog could be counted too, and it says "on the grass" only of what stands there. A plain list may leave out a
thing of a named kind that is mostly hidden.
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

_WORDS = {variant.key: (variant.en, variant.ja) for variant in (*PERSON_ACTIVITIES, *FACES)} | ANIMAL_ACTIVITIES
_GLIMPSE = 0.15  # share of a thing from which on a viewer may notice it
_ANYWHERE = ("room", "dusk", "night")  # places that are true of things in the air too
_LIFTING = ("carry", "stand on", "jump over")  # acts in which one of the two is off the ground

TEMPLATES: dict[str, tuple[str, ...]] = {
    "en": ("{}", "a picture of {}", "there is {}", "{} on the grass", "{} on the road", "{} in a room"),
    "ja": ("{}", "{}の絵", "雪の上の{}", "草の上の{}", "道路の上の{}", "部屋の中の{}"),
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
    lines = [grammar.listing(detail=False), grammar.listing(detail=True), grammar.listing(detail=True, placed=True)]
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
        named = set(scene.named)
        # Half-hidden things that are not named, but that a viewer might count.
        self.unclear = {
            thing.noun
            for position, thing in enumerate(scene.things)
            if position not in named and scene.visibility[position][0] > _GLIMPSE
        }

    def unique(self, position: int) -> bool:
        """Whether "the dog" can mean nothing else."""
        noun = self.scene.things[position].noun
        return self.scene.counts[noun] == 1 and noun not in self.unclear

    def grounded(self, position: int) -> bool:
        """Whether a thing is where the background says: "on the grass" is false of a kite or of what is carried."""
        if self.scene.background.key in _ANYWHERE:
            return True
        lifted = -1
        if self.scene.action and self.scene.action[1] in _LIFTING:
            subject, verb, target = self.scene.action
            lifted = target if verb == "carry" else subject
        return position != lifted and not self.scene.things[position].floating

    def all_grounded(self) -> bool:
        """Whether the place may be said of everything named."""
        return all(self.grounded(position) for position in self.scene.named)

    def groups(self, detail: bool) -> list[tuple[Thing, int]]:
        """(one thing, how many like it), nearest first; with ``detail`` colours and activities tell groups apart."""
        tally: dict[tuple[int, str, str], tuple[Thing, int]] = {}
        for position in sorted(self.scene.named, key=lambda p: self.scene.things[p].depth):
            thing = self.scene.things[position]
            key = (thing.noun, thing.colour, thing.variant) if detail else (thing.noun, "", "")
            first, count = tally.get(key, (thing, 0))
            tally[key] = (first, count + 1)
        # "A person riding a horse and a ladder": what follows an activity would seem to belong to it.
        return sorted(tally.values(), key=lambda group: group[0].kind.key == "person")

    def existing(self) -> list[tuple[Thing, int, bool]]:
        """(one thing, how many of its noun, whether the place may be said) for each noun whose number is clear."""
        found = []
        for thing, count in self.groups(detail=False):
            same = [position for position in self.scene.named if self.scene.things[position].noun == thing.noun]
            if thing.noun not in self.unclear:
                found.append((thing, count, all(self.grounded(position) for position in same)))
        return found


class _English(_Grammar):
    def empty(self) -> str:
        return f"a view of the {self.scene.background.ground}"

    def place(self, grounded: bool = True) -> str:
        return f" {self.scene.background.en}" if grounded else ""

    def one(self, thing: Thing, detail: bool) -> str:
        kind, word = thing.kind, self.describe(thing) if detail else ""
        if not word:
            return kind.en
        if kind.key == "person":
            return f"a person {word}"
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word} {kind.en.partition(' ')[2]}"

    def describe(self, thing: Thing) -> str:
        """Adjective or participle of a thing, or "" if there is nothing to say."""
        return thing.colour or (_WORDS[thing.variant][0] if thing.variant else "")

    def many(self, thing: Thing, count: int, detail: bool) -> str:
        word = self.describe(thing) if detail else ""
        if thing.kind.key == "person" and word:
            each = f"{word.replace(' a ', ' ')}s" if " a " in word else word  # riding a bike: riding bikes
            return f"{NUMBERS[count]} people {each}"
        return f"{NUMBERS[count]} {word} {thing.kind.plural}".replace("  ", " ")

    def listing(self, *, detail: bool, placed: bool = False) -> str:
        parts = [self.one(t, detail) if n == 1 else self.many(t, n, detail) for t, n in self.groups(detail)]
        text = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        return text + self.place(placed and self.all_grounded())

    def framed(self) -> str:
        return f"a picture of {self.listing(detail=True)}"

    def existence(self) -> list[str]:
        return [
            (f"there is {self.one(thing, False)}" if count == 1 else f"there are {self.many(thing, count, False)}")
            + self.place(grounded)
            for thing, count, grounded in self.existing()
        ]

    def the(self, position: int) -> str:
        return f"the {self.scene.things[position].kind.en.partition(' ')[2]}"

    def action(self, subject: int, verb: str, target: int) -> list[str]:
        third, progressive, _, _ = INTERACTIONS[verb]
        doer, other = self.scene.things[subject], self.scene.things[target]
        place = self.place(self.grounded(subject) and self.grounded(target))
        return [
            f"{doer.kind.en} {third} {other.kind.en}",
            f"{self.one(doer, True)} is {progressive} {self.one(other, True)}{place}",
            f"there is {doer.kind.en}{self.place(self.grounded(subject))}. it is {progressive} {other.kind.en}",
        ]

    def relation(self, subject: int, relation: str, target: int) -> str:
        return f"{self.the(subject)} is {SPATIAL[relation][0]} {self.the(target)}"

    def property(self, position: int) -> list[str]:
        thing = self.scene.things[position]
        word, place = self.describe(thing), self.place(self.grounded(position))
        pronoun = "they are" if thing.kind.key == "person" else "it is"
        return [f"{self.the(position)} is {word}", f"there is {thing.kind.en}{place}. {pronoun} {word}"]


class _Japanese(_Grammar):
    def empty(self) -> str:
        return f"{self.scene.background.ja}の風景"

    def place(self, grounded: bool = True) -> str:
        return f"{self.scene.background.ja}に" if grounded else ""

    def noun(self, thing: Thing, detail: bool) -> str:
        if not detail or not (thing.colour or thing.variant):
            return thing.kind.ja
        return (COLOURS[thing.colour][1] if thing.colour else _WORDS[thing.variant][1]) + thing.kind.ja

    def counted(self, thing: Thing, count: int, detail: bool) -> str:
        """The noun with its number: 犬二匹, 三人の人."""
        if thing.kind.key == "person" and not (detail and thing.variant):
            return f"{NUMBERS_JA[count]}人の人"
        return f"{self.noun(thing, detail)}{NUMBERS_JA[count]}{thing.kind.counter}"

    @staticmethod
    def be(kind: Noun) -> str:
        return "いる" if kind.has("n") else "ある"

    def listing(self, *, detail: bool, placed: bool = False) -> str:
        groups = self.groups(detail)
        kinds = [thing.noun for thing, _ in groups]
        text = "と".join(
            self.noun(thing, detail)
            if count == 1 and kinds.count(thing.noun) == 1
            else self.counted(thing, count, detail)
            for thing, count in groups
        )
        if not placed or not self.all_grounded():
            return text
        return f"{self.scene.background.ja}{'の' if len(groups) == 1 else 'に、'}{text}"

    def framed(self) -> str:
        return f"{self.listing(detail=True)}の絵"

    def existence(self) -> list[str]:
        return [
            f"{self.place(grounded)}{thing.kind.ja}が{NUMBERS_JA[count]}{thing.kind.counter}{self.be(thing.kind)}"
            for thing, count, grounded in self.existing()
        ]

    def action(self, subject: int, verb: str, target: int) -> list[str]:
        _, _, particle, doing = INTERACTIONS[verb]
        doer, other = self.scene.things[subject], self.scene.things[target]
        act = f"{particle}{doing}"
        return [
            f"{doer.kind.ja}が{other.kind.ja}{act}",
            f"{self.noun(doer, True)}が{self.noun(other, True)}{act}",
            f"{self.place(self.grounded(subject))}{doer.kind.ja}がいる。その{doer.kind.ja}は{other.kind.ja}{act}",
        ]

    def relation(self, subject: int, relation: str, target: int) -> str:
        one, other = self.scene.things[subject].kind, self.scene.things[target].kind
        return f"{one.ja}は{other.ja}{SPATIAL[relation][1]}に{self.be(one)}"

    def property(self, position: int) -> list[str]:
        thing = self.scene.things[position]
        ja, place, be = thing.kind.ja, self.place(self.grounded(position)), self.be(thing.kind)
        if thing.colour:
            predicate = COLOURS[thing.colour][2]
            predicate += "" if predicate.endswith("い") else "だ"
            subject = f"その{ja}" if thing.kind.has("n") else "それ"
            return [f"{ja}は{predicate}", f"{place}{ja}が{be}。{subject}は{predicate}"]
        doing = _WORDS[thing.variant][1]
        if thing.kind.key == "face":
            return [f"{place}{doing}顔がある"]
        return [f"{ja}が{doing}", f"{place}{ja}が{be}。その{ja}は{doing}"]
