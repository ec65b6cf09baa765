"""What the widget says, in English and Japanese: `TEXTS` about triplets, `words` about every task."""

LANGUAGES = {"en": "English", "ja": "日本語"}

# What becomes of the answers: the last paragraph of every consent text.
STORED = {
    "en": "We store your pseudonym, group and language, this text, and your answers with their time and how long they "
    "took. Nothing else about you is recorded. The answers are used to tune and to evaluate image models. You can "
    "have your answers handed to you or deleted at any time.",
    "ja": "記録する内容は、仮名、グループ、表示言語、この説明文、回答とその日時、回答にかかった時間です。"
    "これ以外の個人に関する情報は記録しません。回答は、画像認識モデルの調整と評価に使用します。"
    "ご自身の回答の開示や削除は、いつでもお申し出いただけます。",
}

# The end of every consent text about choices and ratings.
_RULES = {
    "en": "There is no right or wrong: we want to know how it looks to you. If you can't tell, say so. "
    "Some questions come twice. You can take a break or stop at any time and go on later.\n" + STORED["en"],
    "ja": "正解・不正解はありません。見たままの印象でお答えください。判断できないときは「判断できない」を選べます。"
    "同じ設問が2回表示されることがあります。いつでも休憩・中断でき、あとで続きから再開できます。\n" + STORED["ja"],
}

TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "question": "Which of the two pictures below looks more like the one above?",
        "reference": "Picture to compare with",
        "left": "Left candidate",
        "right": "Right candidate",
        "choose_left": "← Left (F)",
        "choose_right": "Right (J) →",
        "skip": "Can't tell (Space)",
        "undo": "Undo (U)",
        # The five words of ITU-T P.800 and ITU-R BT.500.
        "1": "Bad",
        "2": "Poor",
        "3": "Fair",
        "4": "Good",
        "5": "Excellent",
        "confirm": "Confirm (Enter)",
        "progress": "{done} of {total} answered",
        "minutes": "about {minutes} min left",
        "soon": "less than a minute left",
        "keys_on": "Keys are on: ← or F, → or J, Space or S = can't tell, U or Backspace = undo",
        "keys_off": "To use the keys, click here or point at this panel",
        "stalled": "No reply. All answers before this question are stored: run the cell again to go on.",
        "language": "Language",
        "consent_title": "Before you begin",
        "consent": "You will see one picture above and two below, and choose the one below that looks more like the "
        "picture above. " + _RULES["en"],
        "agree": "I have read this and take part of my own free will.",
        "pseudonym": "Pseudonym",
        "pseudonym_hint": "not your real name",
        "group": "Group",
        "group_hint": "optional, such as inspector",
        "begin": "Begin",
        "known": "{rater} has begun already: you continue where that session stopped.",
        "done_title": "Finished. Thank you!",
        "back": "Back to the last question",
        "done": "All {done} answers are stored. You can close this page.",
        "stored": "",
        "stale": "",
        "early": "Pressed too early, so it was not counted. Please look first.",
        "elsewhere": "This session has moved on in another window. Here is the next open question.",
        "undone": "Back at the previous question. Please answer it again.",
        "nothing": "There is nothing to undo.",
        "failed": "This was not stored: {reason}",
        "unreadable": "A picture cannot be shown ({reason}). Please choose “Can't tell”.",
    },
    "ja": {
        "question": "下の2枚のうち、上の画像により似ているのはどちらですか。",
        "reference": "基準の画像",
        "left": "左の候補",
        "right": "右の候補",
        "choose_left": "← 左（F）",
        "choose_right": "右（J）→",
        "skip": "判断できない（Space）",
        "undo": "1つ戻る（U）",
        "1": "非常に悪い",
        "2": "悪い",
        "3": "普通",
        "4": "良い",
        "5": "非常に良い",
        "confirm": "確定（Enter）",
        "progress": "{total}問中 {done}問回答済み",
        "minutes": "残り約{minutes}分",
        "soon": "残り1分未満",
        "keys_on": "キー操作：←・F で左、→・J で右、Space・S で「判断できない」、U・Backspace で1つ戻る",
        "keys_off": "キーで操作するには、ここをクリックするか、枠内にポインターを合わせてください",
        "stalled": "応答がありません。前の設問までの回答は保存されています。セルを再実行すると、続きから再開できます。",
        "language": "言語",
        "consent_title": "はじめにお読みください",
        "consent": "上に1枚、下に2枚の画像が表示されます。下の2枚のうち、上の画像により似ていると感じるほうを"
        "選んでください。" + _RULES["ja"],
        "agree": "上記の内容を確認し、自らの意思で参加することに同意します。",
        "pseudonym": "仮名",
        "pseudonym_hint": "本名は使わないでください",
        "group": "グループ",
        "group_hint": "任意（例：検査員）",
        "begin": "開始する",
        "known": "「{rater}」さんの回答が途中まで保存されています。続きから再開します。",
        "done_title": "以上で終了です。ご協力ありがとうございました。",
        "back": "最後の設問に戻る",
        "done": "{done}件の回答をすべて保存しました。このページは閉じていただいてかまいません。",
        "stored": "",
        "stale": "",
        "early": "操作が早すぎたため、記録していません。画像を確認してからお答えください。",
        "elsewhere": "別のウィンドウで回答が進んでいます。次の未回答の設問を表示します。",
        "undone": "1つ前の設問に戻りました。もう一度お答えください。",
        "nothing": "これより前には戻れません。",
        "failed": "保存できませんでした：{reason}",
        "unreadable": "画像を表示できません（{reason}）。「判断できない」を選んでください。",
    },
}  # fmt: skip

# What other tasks than triplets say differently.
_EN_RATING = {"question": "How good is this picture?", "reference": "Picture to rate"}
_JA_RATING = {"question": "この画像はどのくらい良いですか。", "reference": "評価する画像"}
BY_TASK: dict[str, dict[str, dict[str, str]]] = {
    "pair": {
        "en": {
            "question": "Which of the two pictures is better?",
            "left": "Left picture",
            "right": "Right picture",
            "consent": "You will see two pictures side by side, and choose the better one. " + _RULES["en"],
        },
        "ja": {
            "question": "2枚の画像のうち、より良いのはどちらですか。",
            "left": "左の画像",
            "right": "右の画像",
            "consent": "2枚の画像が並んで表示されます。より良いと感じるほうを選んでください。" + _RULES["ja"],
        },
    },
    "rating": {
        "en": _EN_RATING | {
            "keys_on": "Keys are on: 1 to 5 = the five answers, Space or S = can't tell, U or Backspace = undo",
            "consent": "You will see one picture at a time, and say in five steps, from bad to excellent, how "
            "good it is. " + _RULES["en"],
        },
        "ja": _JA_RATING | {
            "keys_on": "キー操作：1～5 で評価、Space・S で「判断できない」、U・Backspace で1つ戻る",
            "consent": "画像が1枚ずつ表示されます。どのくらい良いと感じるかを、「非常に悪い」から「非常に良い」までの"
            "5段階で評価してください。" + _RULES["ja"],
        },
    },
    "slider": {
        "en": _EN_RATING | {
            "keys_on": "Keys are on: ← → move the slider by 1, Page Up and Page Down by 10, Enter = confirm, "
            "Space or S = can't tell, U or Backspace = undo",
            "consent": "You will see one picture at a time, and say how good it is: move the slider to any place from "
            "bad to excellent, then confirm it. " + _RULES["en"],
        },
        "ja": _JA_RATING | {
            "keys_on": "キー操作：←・→ で1ずつ、PageUp・PageDown で10ずつ動かし、Enter で確定、"
            "Space・S で「判断できない」、U・Backspace で1つ戻る",
            "consent": "画像が1枚ずつ表示されます。どのくらい良いと感じるかを、「非常に悪い」から「非常に良い」までの"
            "スライダーで示し、確定してください。" + _RULES["ja"],
        },
    },
}  # fmt: skip


def words(language: str, task: str = "two_alternative") -> dict[str, str]:
    """All texts of one language, as a task says them.

    Example:
        >>> words("en", "pair")["question"], words("ja", "rating")["5"]
        ('Which of the two pictures is better?', '非常に良い')
    """
    return TEXTS[language] | BY_TASK.get(task, {}).get(language, {})


def text(key: str, language: str, **values: object) -> str:
    """One text with its values filled in.

    Example:
        >>> text("progress", "en", done=3, total=20)
        '3 of 20 answered'
    """
    return TEXTS[language][key].format(**values)


def remaining(seconds: float | None, language: str) -> str:
    """Remaining time in words; empty while unknown.

    Example:
        >>> remaining(150, "ja")
        '残り約3分'
    """
    if seconds is None:
        return ""
    return text("soon", language) if seconds < 60 else text("minutes", language, minutes=-int(-seconds // 60))
