"""What the panel for descriptions says, in English and Japanese."""

from percept.labelling.texts import STORED, TEXTS

_OWN: dict[str, dict[str, str]] = {
    "en": {
        "question": "What do you see? Describe the whole picture, or drag a box and describe what is inside.",
        "reference": "Picture to describe",
        "about_whole": "About: the whole picture",
        "about_box": "About: a box, left {x}, top {y}, width {w}, height {h} px",
        "drop_box": "Remove box",
        "text": "Description",
        "placeholder": "In plain words, as you would tell a colleague",
        "save": "Save (Enter)",
        "change": "Save the change (Enter)",
        "cancel": "Cancel",
        "written": "Saved for this picture",
        "none": "Nothing is saved for this picture yet",
        "whole": "Whole picture",
        "box": "Box {number}",
        "edit": "Edit",
        "delete": "Delete",
        "skip": "Nothing to describe",
        "undo": "Undo",
        "next": "Next picture (Ctrl + Enter)",
        "progress": "{done} of {total} pictures",
        "hint": "Box: drag with the mouse or a finger. By keyboard: Tab to the picture, B = box, arrow keys = move it, "
        "Shift + arrow keys = its size, Enter = go to the text, Esc = remove it, U = undo. "
        "In the text: Enter = save, Ctrl + Enter = save and go to the next picture.",
        "stalled": "No reply: this was perhaps not stored. What you saved before is. Copy the text from the field and "
        "run the cell again to go on.",
        "consent": "You will see one picture at a time, and describe it in your own words: the whole of it in a "
        "sentence, or a part that you mark with a box. Write what can be seen, as you would tell a colleague; no names "
        "of people and nothing confidential. If there is nothing to describe, say so. You can take a break or stop at "
        "any time and go on later. What you change or delete is no longer used, but it stays in the record until you "
        "have your answers deleted.\n" + STORED["en"],
        "back": "Back to the last picture",
        "done": "All {done} pictures are done, and what you wrote is stored. You can close this page.",
        "saved": "Saved.",
        "deleted": "Deleted. Undo brings it back.",
        "undone": "The last step was taken back.",
        "elsewhere": "Something has changed in another window. Here is the present state.",
        "empty": "Please write something first, or choose “Nothing to describe”.",
        "long": "At most {most} characters, please; this text has {length}.",
        "small": "The box is too small: each side must be at least {least} pixels of the original picture.",
        "described": "Something is written for this picture. Save it and choose “Next picture”, or delete it first.",
        "unsaved": "Please save or cancel the text in the field first.",
        "kept": "Your own words were kept. Empty the field to have a sentence made from the choices.",
        "unreadable": "The picture cannot be shown ({reason}). Please choose “Nothing to describe”.",
    },
    "ja": {
        "question": "何が写っていますか。画像全体、またはドラッグで囲んだ範囲について説明してください。",
        "reference": "説明する画像",
        "about_whole": "対象：画像全体",
        "about_box": "対象：枠内（左 {x}、上 {y}、幅 {w}、高さ {h} px）",
        "drop_box": "枠を外す",
        "text": "説明文",
        "placeholder": "同僚に伝えるつもりで、見たままを書いてください",
        "save": "保存（Enter）",
        "change": "変更を保存（Enter）",
        "cancel": "キャンセル",
        "written": "この画像の保存済みの説明",
        "none": "この画像の説明はまだ保存されていません",
        "whole": "画像全体",
        "box": "枠{number}",
        "edit": "編集",
        "delete": "削除",
        "skip": "特記事項なし",
        "undo": "1つ戻る",
        "next": "次の画像へ（Ctrl＋Enter）",
        "progress": "{total}枚中 {done}枚完了",
        "hint": "枠の作成：マウスまたは指でドラッグします。キー操作：Tab で画像に移動し、B で枠を作成、矢印キーで移動、"
        "Shift＋矢印キーで大きさを変更、Enter で入力欄へ、Esc で枠を削除、U で1つ戻る。"
        "入力欄では、Enter で保存、Ctrl＋Enter で保存して次の画像へ進みます。",
        "stalled": "応答がありません。この操作は保存されていない可能性があります（それまでの内容は保存済みです）。"
        "入力欄の文章をコピーしてからセルを再実行すると、続きから再開できます。",
        "consent": "画像が1枚ずつ表示されます。画像全体を一文で説明するか、枠で囲んだ部分について説明してください。"
        "同僚に伝えるつもりで、見えるものをそのまま書いてください。個人名や機密情報は書かないでください。"
        "書くことがなければ「特記事項なし」を選べます。いつでも休憩・中断でき、あとで続きから再開できます。"
        "変更・削除した説明は使用しませんが、回答の削除をお申し出いただくまで記録には残ります。\n" + STORED["ja"],
        "back": "最後の画像に戻る",
        "done": "{done}枚すべて終了し、説明を保存しました。このページは閉じていただいてかまいません。",
        "saved": "保存しました。",
        "deleted": "削除しました。「1つ戻る」で元に戻せます。",
        "undone": "直前の操作を取り消しました。",
        "elsewhere": "別のウィンドウで変更がありました。最新の状態を表示しています。",
        "empty": "説明文を入力してください。書くことがなければ「特記事項なし」を選んでください。",
        "long": "説明文は{most}文字以内で入力してください（現在 {length}文字）。",
        "small": "枠が小さすぎます。元の画像で縦横それぞれ{least}ピクセル以上になるように囲んでください。",
        "described": "この画像には説明が入力されています。保存して「次の画像へ」を選ぶか、先に説明を削除してください。",
        "unsaved": "入力中の説明文を、先に保存またはキャンセルしてください。",
        "kept": "入力済みの文章はそのまま残しました。選択肢から文を作るには、入力欄を空にしてください。",
        "unreadable": "画像を表示できません（{reason}）。「特記事項なし」を選んでください。",
    },
}

WORDS = {language: TEXTS[language] | own for language, own in _OWN.items()}
