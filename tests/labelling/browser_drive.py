"""Drives the panel with playwright; run by test_browser.py, prints one line of JSON: what was pressed."""

import json
import re
import sys

URL, CHROMIUM, SHOTS, PART = (*sys.argv[1:5], "", "", "", "")[:4]
PANEL, STAGE, DESK = ".percept-panel", ".percept-stage", ".percept-describe"
pressed, undone, foreign = [], 0, []


def note_foreign(request):
    if not request.url.startswith((URL, "data:", "blob:", URL.replace("http", "ws"))):
        foreign.append(request.url)


def open_notebook(page, name):
    page.goto(f"{URL}/lab/tree/{name}.ipynb?reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for(state="attached", timeout=90_000)
    page.wait_for_timeout(500)
    run_cell(page)


def run_cell(page):
    for _ in range(5):  # on a busy machine the page is there before its shortcuts are
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(2000)
        if page.locator(".jp-CodeCell .jp-InputPrompt").first.inner_text() != "[ ]:":
            break
    page.locator(PANEL).first.wait_for(timeout=90_000)


def token(page):
    return page.locator(STAGE).get_attribute("data-token", timeout=30_000)


def next_trial(page, before):
    page.wait_for_function(
        f"before => document.querySelector('{STAGE}').dataset.token !== before", arg=before, timeout=30_000
    )


def ready(page):
    """The first trial is on the screen."""
    page.locator(f"{STAGE}[data-token]").wait_for(timeout=30_000)


def press(page, key, action):
    before = token(page)
    page.wait_for_timeout(200)  # longer than the lock against double presses
    page.keyboard.press(key)
    next_trial(page, before)
    pressed.append(action)


def undo(page, key):
    global undone
    before = token(page)
    page.keyboard.press(key)
    next_trial(page, before)
    pressed.pop()
    undone += 1


def state(page, start):
    page.locator(".percept-panel .widget-label", has_text=start).first.wait_for(timeout=15_000)


def sign_in(page):
    panel = page.locator(PANEL)
    assert panel.locator("button", has_text="Begin").is_disabled()
    panel.locator("input[type=text]").first.fill("ann")
    panel.locator("select").select_option("inspector")
    panel.locator("input[type=checkbox]").check()
    page.wait_for_timeout(500)
    page.screenshot(path=f"{SHOTS}/1_consent_en.png")
    panel.locator("button", has_text="日本語").click()
    panel.get_by_text("はじめにお読みください").wait_for(timeout=10_000)
    page.wait_for_timeout(500)
    page.screenshot(path=f"{SHOTS}/1_consent_ja.png")
    panel.locator("button", has_text="English").click()
    panel.locator("button", has_text="Begin").click()
    ready(page)


def first_half(page):
    """Ten answers with every key, double presses, a held key, undo twice, typing in another cell."""
    keys = ("ArrowLeft", "ArrowRight", "f", "j", "Space")
    for key, action in zip(keys, ("left", "right", "left", "right", "skip"), strict=True):
        press(page, key, action)
    state(page, "5 of 22")
    page.screenshot(path=f"{SHOTS}/2_trial_en.png")
    before = token(page)
    page.wait_for_timeout(200)
    page.keyboard.down("j")  # held: repeats are ignored
    for _ in range(5):
        page.keyboard.down("j")
    page.keyboard.up("j")
    next_trial(page, before)
    pressed.append("right")
    page.keyboard.press("j")  # right after the display: a double press
    page.locator(".percept-message", has_text="too early").wait_for(timeout=10_000)
    state(page, "6 of 22")
    undo(page, "u")
    undo(page, "Backspace")
    state(page, "4 of 22")
    page.screenshot(path=f"{SHOTS}/3_undone_en.png")
    # The keys of somebody who types into another cell are not stolen, even with the pointer over the panel.
    second = page.locator(".jp-CodeCell .cm-content").nth(1)
    second.click()
    page.locator(STAGE).hover()
    page.keyboard.press("End")
    page.keyboard.type("fjsu")
    page.wait_for_timeout(700)
    assert "fjsu" in second.inner_text(), second.inner_text()
    state(page, "4 of 22")
    # In command mode, pointing at the panel is enough, and no notebook command runs.
    page.keyboard.press("Escape")
    page.locator(STAGE).hover()
    press(page, "s", "skip")
    press(page, "j", "right")
    # Without focus and pointer the keys are the notebook's.
    page.mouse.move(5, 5)
    page.wait_for_timeout(200)
    page.keyboard.press("j")
    page.wait_for_timeout(500)
    state(page, "6 of 22")
    # Buttons and pictures.
    for target, action in ((".percept-act-left button, button.percept-act-left", "left"),
                           (".percept-cell.percept-right", "right"), ("button.percept-act-skip", "skip")):  # fmt: skip
        before = token(page)
        page.wait_for_timeout(200)
        page.locator(target).first.click()
        next_trial(page, before)
        pressed.append(action)
    # A double click is one answer.
    before = token(page)
    page.wait_for_timeout(200)
    page.locator("button.percept-act-left").first.dblclick()
    next_trial(page, before)
    pressed.append("left")
    page.wait_for_timeout(500)
    state(page, "10 of 22")
    check_pictures(page)


def check_pictures(page):
    images = page.locator(".percept-picture")
    alts = images.evaluate_all("nodes => nodes.map(n => n.alt)")
    assert alts == ["Picture to compare with", "Left candidate", "Right candidate"], alts
    sources = images.evaluate_all("nodes => nodes.map(n => n.src.slice(0, 22))")
    assert sources == ["data:image/png;base64,"] * 3, sources
    shown = images.evaluate_all(
        "nodes => nodes.map(n => [n.width, n.naturalWidth, getComputedStyle(n).imageRendering])"
    )
    assert all(one in ([224, 8, "pixelated"], [224, 224, "auto"]) for one in shown), shown


def second_half(page):
    """The page is loaded anew and the cell run again: on at the same place; then Japanese."""
    page.evaluate("document.querySelector('.percept-panel').scrollIntoView({block: 'center'})")
    open_notebook(page, "one")
    panel = page.locator(PANEL)
    panel.locator("input[type=text]").first.fill("ann")
    panel.get_by_text("continue where that session stopped").wait_for(timeout=10_000)
    panel.locator("input[type=checkbox]").check()
    page.wait_for_timeout(300)
    panel.locator("button", has_text="Begin").click()
    ready(page)
    state(page, "10 of 22")
    for key, action in [("ArrowLeft", "left"), ("j", "right"), ("s", "skip")]:
        press(page, key, action)
    panel.locator("button", has_text="日本語").click()
    page.get_by_text("どちらですか").wait_for(timeout=10_000)
    page.wait_for_timeout(400)
    page.screenshot(path=f"{SHOTS}/4_trial_ja.png")
    for key, action in [("f", "left"), ("ArrowRight", "right")]:
        press(page, key, action)
    state(page, "22問中 15問")
    # Without its kernel the panel stays locked and says so; nothing is recorded.
    kernel = page.request.get(f"{URL}/api/sessions").json()[0]["kernel"]["id"]
    assert page.request.delete(f"{URL}/api/kernels/{kernel}").ok
    page.wait_for_timeout(500)
    page.locator(STAGE).hover()
    page.keyboard.press("f")
    page.get_by_text("応答がありません").wait_for(timeout=15_000)
    page.keyboard.press("f")
    page.screenshot(path=f"{SHOTS}/4_stalled_ja.png")


def other_kernel(page):
    """Another notebook, another kernel, the same rater: no first page, in Japanese, dark theme."""
    open_notebook(page, "two")
    ready(page)
    state(page, "22問中 15問")
    page.locator(STAGE).click()
    for key, action in [("f", "left"), ("j", "right"), ("Space", "skip")]:
        press(page, key, action)
    page.locator(".lm-MenuBar-itemLabel", has_text="Settings").click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Theme$")).click()
    page.locator(".lm-Menu-itemLabel", has_text=re.compile("^JupyterLab Dark$")).click()
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached", timeout=20_000)
    page.locator(STAGE).hover()
    page.wait_for_timeout(800)
    page.set_viewport_size({"width": 1366, "height": 768})  # a small laptop
    page.evaluate("document.querySelector('.percept-panel').scrollIntoView({block: 'start'})")
    page.screenshot(path=f"{SHOTS}/5_trial_dark_ja.png")
    page.locator(STAGE).click()
    for key, action in [("f", "left"), ("j", "right"), ("f", "left")]:
        press(page, key, action)
    page.wait_for_timeout(200)
    page.keyboard.press("j")
    pressed.append("right")
    page.get_by_text("以上で終了です").wait_for(timeout=10_000)
    page.wait_for_timeout(400)
    page.screenshot(path=f"{SHOTS}/6_final_dark_ja.png")


def triplets(page):
    open_notebook(page, "one")
    page.wait_for_timeout(500)
    sign_in(page)
    first_half(page)
    second_half(page)
    other_kernel(page)


def scores(page):
    """Ratings, slider and pairs, each in its notebook and kernel; the reload in the middle comes back to its place."""
    plans = {"rating": ("4", "1", "Space", "5"), "slider": None, "pair": ("f", "ArrowRight", "s", "j")}
    for task, keys in plans.items():
        open_notebook(page, task)
        if task == "rating":  # consent holds for the later studies
            page.locator(f"{PANEL} input[type=checkbox]").check()
            page.screenshot(path=f"{SHOTS}/7_consent.png")
            page.locator(f"{PANEL} button", has_text="Begin").click()
        ready(page)
        page.locator(STAGE).click(position={"x": 5, "y": 5})
        for key in keys or ():
            press(page, key, key)
        if keys is None:
            assert page.locator(".percept-act-confirm").is_disabled()
            page.keyboard.press("Enter")  # without a place it is no answer
            page.wait_for_timeout(500)
            slide(page, ("Home", "PageUp", "ArrowRight"), 11)
            slide(page, ("End", "ArrowLeft"), 99)
            page.screenshot(path=f"{SHOTS}/7_slider.png")
            press(page, "Space", "skip")
            slide(page, ("ArrowUp",), 51)
        page.wait_for_timeout(400)
        page.evaluate("document.querySelector('.percept-panel').scrollIntoView({block: 'center'})")
        page.screenshot(path=f"{SHOTS}/7_{task}_after.png")
        open_notebook(page, task)
        ready(page)
        state(page, "4 of" if task != "pair" else "8問中 4問")


def slide(page, keys, expected):
    for key in keys:
        page.keyboard.press(key)
    assert page.locator(".percept-value").inner_text() == str(expected)
    press(page, "Enter", expected)


def said(page, count):
    """The list of what is saved has so many lines."""
    page.wait_for_function(
        f"n => document.querySelectorAll('{DESK} .percept-entry').length === n", arg=count, timeout=15_000
    )
    return page.locator(f"{DESK} .percept-said").all_inner_texts()


def pictures_done(page, text):
    page.locator(f"{DESK} .percept-state", has_text=text).wait_for(timeout=15_000)


def corners(page, *shares):
    """Points on the screen at shares of the picture's width and height."""
    area = page.locator(f"{DESK} .percept-picture").bounding_box()
    return [(area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in shares]


def drag(page, *shares):
    (x, y), (u, v) = corners(page, *shares)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + u) / 2, v)
    page.mouse.move(u, v)
    page.mouse.up()
    page.locator(f"{DESK} .percept-draft").wait_for(timeout=5_000)


def touch(page, *shares):
    (x, y), (u, v) = corners(page, *shares)
    touched = page.context.new_cdp_session(page)
    for kind, points in (("touchStart", [(x, y)]), ("touchMove", [(u, v)]), ("touchEnd", [])):
        at = [{"x": a, "y": b} for a, b in points]
        touched.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})
    page.locator(f"{DESK} .percept-draft").wait_for(timeout=5_000)


def agree(page):
    panel = page.locator(PANEL)
    panel.locator("input[type=text]").first.fill("ann")
    panel.locator("input[type=checkbox]").check()
    page.wait_for_timeout(300)
    page.screenshot(path=f"{SHOTS}/8_consent.png", full_page=True)
    panel.locator("button", has_text="Begin").click()
    page.locator(f"{DESK}[data-token]").wait_for(timeout=30_000)
    page.evaluate("document.querySelector('.percept-panel').scrollIntoView({block: 'start'})")
    page.wait_for_timeout(500)


def describe_first(page):
    """A sentence, a dragged box with choices, and a box by keyboard, all of one picture."""
    words = page.locator(f"{DESK} textarea")
    words.press("Enter")
    page.get_by_text("Please write something first").wait_for(timeout=10_000)
    words.fill("a grey plate with a red mark")
    words.evaluate("n => n.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true}))")
    page.wait_for_timeout(500)
    said(page, 0)  # Enter ends a composition of an input method
    words.press("Enter")
    assert said(page, 1) == ["a grey plate with a red mark"]
    drag(page, (0.25, 0.25), (0.5, 0.75))
    for field, choice in (("part", "surface"), ("defect", "scratch"), ("location", "upper left")):
        page.locator(f"{DESK} select[name={field}]").select_option(choice)
    page.wait_for_function(f"() => document.querySelector('{DESK} textarea').value.includes('upper left')")
    page.screenshot(path=f"{SHOTS}/8_box_en.png")
    words.press("Enter")
    said(page, 2)
    frame = page.locator(f"{DESK} .percept-frame")
    frame.focus()
    for key in ("b", "ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown"):
        frame.press(key)
    pressed.append(page.locator(f"{DESK} .percept-about").inner_text())
    frame.press("Enter")
    page.keyboard.type("the middle <b>&amp;</b>")
    page.keyboard.press("Control+Enter")
    pictures_done(page, "1 of 4")


def describe_second(page):
    """Touch, edit, delete, undo; then the page is loaded anew: what was saved is there."""
    words = page.locator(f"{DESK} textarea")
    page.wait_for_timeout(300)
    touch(page, (0.9, 0.9), (0.5, 0.5))
    words.fill("lower right quarter")
    page.locator(f"{DESK} .percept-act-save").click()
    said(page, 1)
    page.locator(f"{DESK} .percept-act-edit").click()
    page.locator(f"{DESK} .percept-draft").wait_for(timeout=5_000)
    words.press("End")
    words.type(", grey")
    page.locator(f"{DESK} .percept-act-undo").click()
    page.get_by_text("save or cancel the text").wait_for(timeout=5_000)
    words.press("Enter")
    assert said(page, 1) == ["lower right quarter, grey"]
    words.fill("to be deleted")
    words.press("Enter")
    said(page, 2)
    page.locator(f"{DESK} .percept-act-delete").nth(1).click()
    said(page, 1)
    page.locator(f"{DESK} .percept-act-undo").click()
    assert said(page, 2) == ["lower right quarter, grey", "to be deleted"]
    page.locator(f"{DESK} .percept-act-delete").nth(1).click()
    said(page, 1)
    page.locator(f"{DESK} .percept-act-skip").click()
    page.get_by_text("Something is written for this picture").wait_for(timeout=5_000)
    page.screenshot(path=f"{SHOTS}/8_second_en.png")
    # A sentence made from choices follows the language; words of one's own are kept.
    defect = page.locator(f"{DESK} select[name=defect]")
    defect.select_option("dent")
    page.wait_for_function(f"() => document.querySelector('{DESK} textarea').value === 'dent'")
    page.locator(f"{PANEL} button", has_text="日本語").click()
    page.wait_for_function(f"() => document.querySelector('{DESK} textarea').value === '打痕'")
    page.locator(f"{PANEL} button", has_text="English").click()
    page.wait_for_function(f"() => document.querySelector('{DESK} textarea').value === 'dent'")
    words.fill("a dent of my own")
    defect.select_option("crack")
    page.get_by_text("Your own words were kept").wait_for(timeout=5_000)
    assert words.input_value() == "a dent of my own"
    open_notebook(page, "describe")
    agree(page)
    assert said(page, 1) == ["lower right quarter, grey"]
    pictures_done(page, "1 of 4")
    page.screenshot(path=f"{SHOTS}/8_resumed_en.png")
    page.locator(f"{DESK} .percept-act-next").click()
    pictures_done(page, "2 of 4")


def describe_third(page):
    """Japanese; nothing to describe; back; and another kernel goes on without the first page."""
    page.wait_for_timeout(300)  # longer than the lock against double presses
    page.locator(f"{DESK} .percept-act-skip").click()
    pictures_done(page, "3 of 4")
    page.locator(f"{DESK} .percept-act-undo").click()
    pictures_done(page, "2 of 4")
    open_notebook(page, "describe2")
    page.locator(f"{DESK}[data-token]").wait_for(timeout=30_000)
    pictures_done(page, "4枚中 2枚完了")
    page.evaluate("document.querySelector('.percept-panel').scrollIntoView({block: 'start'})")
    page.wait_for_timeout(500)
    drag(page, (0.1, 0.1), (1.2, 0.6))  # let go outside the picture
    for field, choice in (("part", "surface"), ("defect", "stain"), ("location", "top"), ("severity", "slight")):
        page.locator(f"{DESK} select[name={field}]").select_option(choice)
    page.wait_for_function(f"() => document.querySelector('{DESK} textarea').value === '表面の上部に軽微な汚れ'")
    page.set_viewport_size({"width": 1600, "height": 900})  # room for both side by side
    page.wait_for_timeout(700)
    page.screenshot(path=f"{SHOTS}/8_box_ja.png")
    page.locator(f"{DESK} .percept-act-save").click()
    said(page, 1)
    page.locator(f"{DESK} textarea").fill("灰色の板に赤い印がある")
    page.locator(f"{DESK} .percept-act-next").click()
    pictures_done(page, "4枚中 3枚完了")
    page.set_viewport_size({"width": 820, "height": 1000})  # a narrow window: the text goes below the picture
    page.wait_for_timeout(500)
    page.screenshot(path=f"{SHOTS}/8_narrow_ja.png")
    # Without its kernel the panel says so and keeps the words.
    sessions = page.request.get(f"{URL}/api/sessions").json()
    for kernel in [one["kernel"]["id"] for one in sessions if one["path"] == "describe2.ipynb"]:
        assert page.request.delete(f"{URL}/api/kernels/{kernel}").ok
    page.locator(f"{DESK} textarea").fill("まだ保存されていない文")
    page.locator(f"{DESK} textarea").press("Enter")
    page.get_by_text("応答がありません").wait_for(timeout=15_000)
    assert page.locator(f"{DESK} textarea").input_value() == "まだ保存されていない文"
    page.screenshot(path=f"{SHOTS}/8_stalled_ja.png")


def describe(page):
    open_notebook(page, "describe")
    agree(page)
    describe_first(page)
    describe_second(page)
    describe_third(page)


def main():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.on("request", note_foreign)
        page.on("console", lambda message: print("console:", message.text) if message.type == "error" else None)
        try:
            {"scores": scores, "describe": describe}.get(PART, triplets)(page)
        except BaseException:
            page.screenshot(path=f"{SHOTS}/failed.png")
            raise
        finally:
            browser.close()
    print(json.dumps({"pressed": pressed, "undone": undone, "foreign": foreign}))


if __name__ == "__main__":
    main()
