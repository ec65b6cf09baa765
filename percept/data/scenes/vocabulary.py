"""Words of the scene world: nouns, colours, activities, emotions and relations, in English and Japanese.

Each noun names one drawing of OpenMoji (CC BY-SA 4.0) and the drawing of the same noun in Twemoji (CC BY 4.0).
"""

from dataclasses import dataclass
from functools import cache

_SINGLE = {"loaves": "loaf", "bunches": "bunch", "pairs": "pair", "slices": "slice"}


@dataclass(frozen=True)
class Noun:
    """One kind of thing.

    Attributes:
        key: English singular; also the identifier.
        plural: English plural.
        ja: Japanese noun.
        counter: Japanese counter word (助数詞).
        category: one of ``CATEGORIES``.
        codepoint: file stem of the drawing, upper-case hexadecimal.
        size: height or width of the thing relative to the others before perspective (longest side).
        traits: letters: ``a`` actor (a land animal drawn in profile, facing left in both artworks), ``c`` may be
            recoloured, ``f`` may float in the air, ``n`` animate (Japanese いる instead of ある), ``s`` small enough
            to be carried.
    """

    key: str
    plural: str
    ja: str
    counter: str
    category: str
    codepoint: str
    size: float
    traits: str

    @property
    def en(self) -> str:
        """English phrase for one of it, with its article: "an owl", "a pair of scissors"."""
        measure, of, rest = self.plural.partition(" of ")
        word = f"{_SINGLE[measure]} of {rest}" if of else self.key
        return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"

    def has(self, trait: str) -> bool:
        """Whether the noun has one of the traits listed above."""
        return trait in self.traits


# key | plural ("+" adds s) | Japanese | counter | codepoint | size | traits
_TABLE = """
# land animal
dog + 犬 匹 1F415 1 an
cat + 猫 匹 1F408 1 an
horse + 馬 頭 1F40E 1.15 an
cow cows 牛 頭 1F404 1.15 an
pig + 豚 頭 1F416 1 an
sheep sheep 羊 頭 1F411 1 an
elephant + 象 頭 1F418 1.2 an
rabbit + ウサギ 匹 1F407 .9 an
mouse mice ネズミ 匹 1F401 .85 an
turtle + カメ 匹 1F422 .9 an
crocodile + ワニ 匹 1F40A 1.1 an
monkey + サル 匹 1F412 1 an
tiger + トラ 頭 1F405 1.1 an
camel + ラクダ 頭 1F42A 1.15 an
kangaroo + カンガルー 頭 1F998 1.1 an
giraffe + キリン 頭 1F992 1.2 an
duck + アヒル 羽 1F986 .9 an
rooster + ニワトリ 羽 1F413 .9 an
# winged animal
penguin + ペンギン 羽 1F427 1 n
bird + 小鳥 羽 1F426 .9 cfns
owl + フクロウ 羽 1F989 .9 fns
butterfly butterflies チョウ 匹 1F98B .85 cfns
bee + ハチ 匹 1F41D .85 fns
# sea animal
fish fish 魚 匹 1F41F .9 cns
whale + クジラ 頭 1F40B 1.15 n
dolphin + イルカ 頭 1F42C 1.05 n
octopus octopuses タコ 匹 1F419 .9 n
crab + カニ 匹 1F980 .85 ns
# vehicle
car + 車 台 1F697 1.15 c
bus buses バス 台 1F68C 1.2 c
bicycle + 自転車 台 1F6B2 1.1 c
motorcycle + オートバイ 台 1F3CD 1.1 c
tractor + トラクター 台 1F69C 1.15 c
fire_truck + 消防車 台 1F692 1.2 -
locomotive + 機関車 両 1F682 1.2 -
airplane + 飛行機 機 2708 1.2 cf
helicopter + ヘリコプター 機 1F681 1.15 cf
rocket + ロケット 機 1F680 1.1 f
# food
apple + りんご 個 1F34E .85 s
banana + バナナ 本 1F34C .85 s
pizza slices_of_pizza ピザ 切れ 1F355 .9 s
hamburger + ハンバーガー 個 1F354 .9 s
cake + ケーキ 台 1F382 .95 s
ice_cream + ソフトクリーム 個 1F366 .9 s
bread loaves_of_bread 食パン 斤 1F35E .9 s
carrot + にんじん 本 1F955 .85 s
grapes bunches_of_grapes ぶどう 房 1F347 .9 s
strawberry strawberries いちご 個 1F353 .85 s
pineapple + パイナップル 個 1F34D .95 s
# clothing
hat + 帽子 個 1F3A9 .9 cs
shoe + 靴 つ 1F45F .9 cs
shirt + シャツ 枚 1F455 .95 cs
dress dresses ドレス 着 1F457 1 cs
umbrella + 傘 本 2602 1 cs
backpack + リュックサック 個 1F392 .95 cs
crown + 王冠 個 1F451 .9 s
boot + ブーツ つ 1F462 .9 cs
# household item
chair + 椅子 脚 1FA91 1.05 cs
bed + ベッド 台 1F6CF 1.15 c
door + ドア 枚 1F6AA 1.15 c
clock + 目覚まし時計 個 23F0 .9 cs
television + テレビ 台 1F4FA 1.05 s
teapot + ティーポット 個 1FAD6 .9 cs
key + 鍵 本 1F511 .85 cs
book + 本 冊 1F4D5 .9 cs
candle + ろうそく 本 1F56F .9 cs
bell + ベル 個 1F514 .9 cs
# tool
hammer + 金づち 本 1F528 .95 s
ladder + はしご 本 1FA9C 1.15 c
bucket + バケツ 個 1FAA3 .95 cs
telephone + 電話 台 260E .9 cs
camera + カメラ 台 1F4F7 .9 cs
scissors pairs_of_scissors はさみ 丁 2702 .9 cs
pencil + 鉛筆 本 270F .9 cs
# toy or instrument
football + サッカーボール 個 26BD .85 s
guitar + ギター 本 1F3B8 1.05 cs
drum + 太鼓 台 1F941 .95 cs
kite + 凧 枚 1FA81 .95 cfs
teddy_bear + くまのぬいぐるみ 体 1F9F8 .95 s
gift + プレゼント 個 1F381 .9 cs
balloon + 風船 個 1F388 .95 cfs
# plant
tree + 木 本 1F333 1.2 -
palm_tree + ヤシの木 本 1F334 1.2 -
cactus cacti サボテン 本 1F335 1.1 -
sunflower + ひまわり 本 1F33B 1 s
mushroom + きのこ 本 1F344 .85 s
tulip + チューリップ 本 1F337 .9 cs
# building
house + 家 軒 1F3E0 1.2 c
tent + テント 張り 26FA 1.15 c
castle + 城 つ 1F3F0 1.2 -
# person
person people 人 人 - 1.15 n
# face
face + 顔 つ - .95 -
"""


def _row(line: str, category: str) -> Noun:
    key, plural, ja, counter, codepoint, size, traits = line.split()
    key, plural = key.replace("_", " "), plural.replace("_", " ")
    return Noun(key, f"{key}s" if plural == "+" else plural, ja, counter, category, codepoint, float(size), traits)


@cache
def nouns() -> tuple[Noun, ...]:
    """All nouns in a fixed order; the position is the class id."""
    rows, category = [], ""
    for line in _TABLE.strip().splitlines():
        if line.startswith("# "):
            category = line[2:]
        else:
            rows.append(_row(line, category))
    return tuple(rows)


@cache
def noun_id(key: str) -> int:
    """Class id of a noun.

    Raises:
        KeyError: if the scene world has no such noun.
    """
    for position, noun in enumerate(nouns()):
        if noun.key == key:
            return position
    raise KeyError(f"the scene world has no noun {key!r}; see percept.data.scenes.nouns()")


# name -> (RGB, Japanese adjective before a noun, Japanese predicate)
COLOURS: dict[str, tuple[tuple[int, int, int], str, str]] = {
    "red": ((214, 39, 40), "赤い", "赤い"),
    "orange": ((255, 140, 26), "オレンジ色の", "オレンジ色"),
    "yellow": ((248, 214, 32), "黄色い", "黄色い"),
    "green": ((52, 160, 62), "緑の", "緑色"),
    "blue": ((38, 98, 217), "青い", "青い"),
    "purple": ((138, 62, 190), "紫の", "紫色"),
    "pink": ((250, 130, 190), "ピンクの", "ピンク色"),
    "brown": ((133, 84, 42), "茶色い", "茶色い"),
    "black": ((46, 46, 50), "黒い", "黒い"),
    "white": ((244, 244, 244), "白い", "白い"),
}


@dataclass(frozen=True)
class Variant:
    """One drawing of a person doing something, or of a face.

    Attributes:
        key: identifier.
        en: English: a present participle for persons, an adjective for faces.
        ja: Japanese: a continuous verb phrase (…ている) for persons, a modifier for faces.
        codepoint: file stem of the drawing.
        emotion: for faces: one of the eight emotions of Mikels et al. (2005), else "".
    """

    key: str
    en: str
    ja: str
    codepoint: str
    emotion: str = ""


PERSON_ACTIVITIES: tuple[Variant, ...] = (
    Variant("walk", "walking", "歩いている", "1F6B6"),
    Variant("run", "running", "走っている", "1F3C3"),
    Variant("dance", "dancing", "踊っている", "1F57A"),
    Variant("swim", "swimming", "泳いでいる", "1F3CA"),
    Variant("surf", "surfing", "サーフィンをしている", "1F3C4"),
    Variant("cycle", "riding a bike", "自転車に乗っている", "1F6B4"),
    Variant("row", "rowing a boat", "ボートをこいでいる", "1F6A3"),
    Variant("ski", "skiing", "スキーをしている", "26F7"),
    Variant("ride", "riding a horse", "馬に乗っている", "1F3C7"),
    Variant("lift", "lifting weights", "バーベルを持ち上げている", "1F3CB"),
    Variant("juggle", "juggling", "ジャグリングをしている", "1F939"),
    Variant("kneel", "kneeling", "ひざまずいている", "1F9CE"),
    Variant("golf", "playing golf", "ゴルフをしている", "1F3CC"),
    Variant("meditate", "meditating", "瞑想している", "1F9D8"),
    Variant("cartwheel", "doing a cartwheel", "側転をしている", "1F938"),
)

FACES: tuple[Variant, ...] = (
    Variant("laughing", "laughing", "大笑いしている", "1F602", "amusement"),
    Variant("smiling", "smiling", "ほほえんでいる", "1F60A", "contentment"),
    Variant("relieved", "relieved", "ほっとした", "1F60C", "contentment"),
    Variant("star-struck", "star-struck", "目を輝かせた", "1F929", "excitement"),
    Variant("amazed", "amazed", "驚いた", "1F62E", "awe"),
    Variant("angry", "angry", "怒った", "1F620", "anger"),
    Variant("furious", "furious", "激怒した", "1F621", "anger"),
    Variant("sick", "sick", "気分が悪そうな", "1F922", "disgust"),
    Variant("screaming", "screaming", "叫んでいる", "1F631", "fear"),
    Variant("frightened", "frightened", "おびえた", "1F628", "fear"),
    Variant("sad", "sad", "悲しそうな", "1F614", "sadness"),
    Variant("crying", "crying", "泣いている", "1F62D", "sadness"),
)

# Poses of an animal that geometry shows: tilt and speed lines, a gap above the shadow, lying with a "Zz" mark.
ANIMAL_ACTIVITIES: dict[str, tuple[str, str]] = {
    "run": ("running", "走っている"),
    "jump": ("jumping", "跳んでいる"),
    "sleep": ("sleeping", "眠っている"),
}

# verb -> (English third person, English present participle, Japanese object particle, Japanese continuous form)
INTERACTIONS: dict[str, tuple[str, str, str, str]] = {
    "chase": ("chases", "chasing", "を", "追いかけている"),
    "face": ("faces", "facing", "の方を", "向いている"),
    "push": ("pushes", "pushing", "を", "押している"),
    "pull": ("pulls", "pulling", "を", "引っ張っている"),
    "carry": ("carries", "carrying", "を", "運んでいる"),
    "stand on": ("stands on", "standing on", "の上に", "立っている"),
    "jump over": ("jumps over", "jumping over", "を", "飛び越えている"),
}

# relation -> (English, Japanese between landmark and subject)
SPATIAL: dict[str, tuple[str, str]] = {
    "left of": ("to the left of", "の左"),
    "right of": ("to the right of", "の右"),
    "above": ("above", "より上"),
    "below": ("below", "より下"),
    "in front of": ("in front of", "の手前"),
    "behind": ("behind", "の奥"),
}

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
NUMBERS_JA = ("零", "一", "二", "三", "四", "五", "六")


@dataclass(frozen=True)
class Background:
    """A kind of place.

    Attributes:
        key: identifier.
        en: English place phrase with its preposition.
        ja: Japanese place noun phrase (where), used before に or の.
        ground: stuff class below the horizon.
        top: stuff class above the horizon.
        colours: RGB of (top, far top, ground, far ground).
        held_out: appears only in the split ``test_backgrounds``.
    """

    key: str
    en: str
    ja: str
    ground: str
    top: str
    colours: tuple[tuple[int, int, int], ...]
    held_out: bool = False


STUFF = ("sky", "wall", "sea", "grass", "sand", "snow", "road", "floor")

BACKGROUNDS: tuple[Background, ...] = (
    Background(
        "meadow",
        "on the grass",
        "草の上",
        "grass",
        "sky",
        ((120, 180, 240), (190, 220, 248), (92, 158, 70), (130, 180, 100)),
    ),
    Background(
        "beach",
        "on the sand",
        "砂の上",
        "sand",
        "sky",
        ((110, 190, 240), (200, 230, 248), (226, 202, 150), (235, 215, 170)),
    ),
    Background(
        "snowfield",
        "in the snow",
        "雪の上",
        "snow",
        "sky",
        ((170, 190, 215), (215, 225, 235), (236, 242, 248), (220, 230, 240)),
    ),
    Background(
        "road",
        "on the road",
        "道路の上",
        "road",
        "sky",
        ((140, 180, 225), (205, 220, 235), (128, 128, 134), (150, 150, 155)),
    ),
    Background(
        "sea",
        "on the water",
        "海の上",
        "sea",
        "sky",
        ((130, 185, 240), (205, 225, 245), (48, 112, 178), (90, 150, 200)),
    ),
    Background(
        "room",
        "in a room",
        "部屋の中",
        "floor",
        "wall",
        ((236, 222, 200), (228, 212, 188), (170, 122, 84), (150, 106, 72)),
    ),
    Background(
        "dusk",
        "at dusk",
        "夕暮れの砂の上",
        "sand",
        "sky",
        ((150, 90, 130), (245, 160, 90), (190, 140, 100), (200, 150, 110)),
        held_out=True,
    ),
    Background(
        "night",
        "at night",
        "夜の道路の上",
        "road",
        "sky",
        ((16, 20, 52), (36, 42, 86), (74, 74, 88), (60, 60, 76)),
        held_out=True,
    ),
)
