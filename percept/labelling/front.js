// The pictures, and the keys: one press per display, only while the panel has the focus or the pointer.
const COMMON = { " ": "skip", s: "skip", u: "undo", backspace: "undo" };
const CHOICE = { ...COMMON, arrowleft: "left", f: "left", arrowright: "right", j: "right" };
const CATEGORIES = ["1", "2", "3", "4", "5"];
// A number moves the slider by so much.
const STEPS = { arrowleft: -1, arrowdown: -1, arrowright: 1, arrowup: 1, pagedown: -10, pageup: 10, home: -100, end: 100 };
const TASKS = {
  two_alternative: { cells: ["top", "left", "right"], keys: CHOICE },
  pair: { cells: ["left", "right"], keys: CHOICE },
  rating: { cells: ["top"], keys: { ...COMMON, ...Object.fromEntries(CATEGORIES.map((key) => [key, key])) } },
  slider: { cells: ["top"], keys: { ...COMMON, ...STEPS, enter: "confirm" } },
};
const LABELS = { top: "reference", left: "left", right: "right" };
// An input method for Japanese reports "Process" instead of the letter.
const CODES = { KeyF: "f", KeyJ: "j", KeyS: "s", KeyU: "u", Space: " ", Enter: "enter" };
CATEGORIES.forEach((key) => (CODES[`Digit${key}`] = CODES[`Numpad${key}`] = key));
const EDITABLE = "input:not(.percept-slider), textarea, select, [contenteditable=''], [contenteditable='true'], .cm-editor";
const STALLED_AFTER = 8000; // ms

function make(tag, name, parent) {
  const node = document.createElement(tag);
  node.className = name;
  parent.append(node);
  return node;
}

// Without a place until it is moved or touched, so that nobody confirms where it happens to stand.
function makeSlider(stage) {
  const box = make("div", "percept-scale", stage);
  const input = make("input", "percept-slider", box);
  Object.assign(input, { type: "range", min: 0, max: 100, step: 1 });
  const names = make("div", "percept-names", box);
  const words = CATEGORIES.map(() => make("span", "", names));
  const value = make("output", "percept-value", box);
  const confirm = make("button", "percept-act-confirm jupyter-button mod-primary", box);
  confirm.type = "button";
  let placed = false;
  function place(yes) {
    placed = yes;
    value.textContent = placed ? input.value : "–";
    confirm.disabled = !placed;
    box.classList.toggle("percept-placed", placed);
  }
  input.addEventListener("input", () => place(true));
  input.addEventListener("pointerdown", () => place(true));
  return {
    answer: () => (placed ? Number(input.value) : null),
    move(step) {
      input.value = Number(input.value) + step;
      place(true);
    },
    clear() {
      input.value = 50;
      place(false);
    },
    label(word) {
      words.forEach((name, i) => (name.textContent = word(CATEGORIES[i])));
      confirm.textContent = word("confirm");
      input.setAttribute("aria-label", word("question"));
    },
  };
}

function fill(image, picture, label) {
  image.alt = label;
  image.style.visibility = picture ? "visible" : "hidden";
  if (!picture) return image.removeAttribute("src");
  image.classList.toggle("percept-crisp", picture.crisp);
  Object.assign(image, { src: picture.src, width: picture.width, height: picture.height });
  return image.decode().catch(() => {});
}

function render({ model, el }) {
  const { cells, keys } = TASKS[model.get("task")];
  const acts = [...new Set(Object.values(keys))].filter((act) => typeof act === "string");
  const stage = make("div", "percept-stage", el);
  stage.setAttribute("role", "group");
  const question = make("p", "percept-question", stage);
  const grid = make("div", `percept-grid percept-of-${cells.length}`, stage);
  const images = cells.map((side) => {
    const cell = make("div", `percept-cell percept-${side}${side === "top" ? "" : ` percept-act-${side}`}`, grid);
    return make("img", "percept-picture", cell);
  });
  const slider = keys.enter ? makeSlider(stage) : null;
  const message = make("p", "percept-message", stage);
  const spoken = make("p", "percept-spoken", stage);
  const hint = make("p", "percept-hint", stage);
  message.setAttribute("aria-live", "polite");
  spoken.setAttribute("aria-live", "polite");

  let locked = true; // until the pictures of the current trial are on the screen
  let token = null;
  let since = 0;
  let begun = false;
  let timer = 0;
  const word = (key) => model.get("words")[key] ?? "";

  function panel() {
    const found = el.closest(".percept-panel");
    if (found && found.tabIndex !== 0) {
      found.tabIndex = 0;
      found.setAttribute("data-lm-suppress-shortcuts", "true");
    }
    return found;
  }

  function listening() {
    const own = panel();
    if (!own || !stage.offsetParent) return false;
    const focus = document.activeElement;
    if (own.contains(focus)) return !focus.matches(EDITABLE);
    // Whoever types into a cell, or uses another panel, keeps the keys even if the pointer rests here.
    return own.matches(":hover") && !focus?.closest(`${EDITABLE}, .percept-panel`);
  }

  function unlock() {
    locked = false;
    clearTimeout(timer);
    stage.dataset.token = token;
    stage.querySelectorAll(".percept-chosen").forEach((cell) => cell.classList.remove("percept-chosen"));
  }

  function press(act) {
    const trial = model.get("trial");
    if (locked || trial.token !== token) return;
    if (trial.pictures.includes(null) && act !== "skip" && act !== "undo") return;
    const action = act === "confirm" ? slider.answer() : act;
    if (action === null) return;
    locked = true;
    grid.querySelector(`.percept-act-${act}`)?.classList.add("percept-chosen");
    model.send({ action, token, seconds: (performance.now() - since) / 1000 });
    timer = setTimeout(() => (message.textContent = word("stalled")), STALLED_AFTER);
  }

  async function show() {
    const trial = model.get("trial");
    if (trial.token === undefined) return;
    locked = true;
    grid.style.setProperty("--percept-size", `${trial.size}px`);
    label();
    await Promise.all(images.map((image, i) => fill(image, trial.pictures[i], image.alt)));
    // A hidden tab paints nothing, so the time starts when somebody can see the pictures.
    requestAnimationFrame(() => {
      if (model.get("trial").token !== trial.token) return;
      token = trial.token;
      since = performance.now();
      slider?.clear();
      unlock();
      hints();
      if (begun && (document.activeElement === document.body || !document.activeElement)) {
        panel()?.focus({ preventScroll: true });
      }
    });
  }

  function label() {
    question.textContent = word("question");
    stage.setAttribute("aria-label", word("question"));
    cells.forEach((side, i) => (images[i].alt = word(LABELS[side])));
    slider?.label(word);
    message.textContent = model.get("message");
    spoken.textContent = model.get("trial").spoken ?? "";
    hints();
  }

  function hints() {
    const on = listening();
    hint.textContent = word(on ? "keys_on" : "keys_off");
    hint.classList.toggle("percept-on", on);
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || !listening()) return;
    const key = event.key === "Process" ? CODES[event.code] : event.key.toLowerCase();
    const action = keys[key];
    if (!action) return;
    // A button reached with Tab keeps its own Space and Enter.
    if ((key === " " || key === "enter") && document.activeElement.matches("button:focus-visible")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (typeof action === "string") return event.repeat || press(action);
    if (!locked) slider.move(action);
  }

  function onClick(event) {
    const own = panel();
    if (!own?.contains(event.target)) return;
    begun = true;
    if (event.detail > 0 && !event.target.closest(EDITABLE) && !event.target.closest("label")) {
      own.focus({ preventScroll: true });
    }
    const action = acts.find((act) => event.target.closest(`.percept-act-${act}`));
    if (!action || !stage.offsetParent) return;
    // The kernel would hear the button too, but with the time of its own clock and without the lock.
    event.preventDefault();
    event.stopImmediatePropagation();
    press(action);
  }

  const heard = [["keydown", onKey], ["click", onClick], ["pointerover", hints], ["focusin", hints], ["focusout", hints]];
  heard.forEach(([name, listener]) => window.addEventListener(name, listener, true));
  model.on("change:trial", show);
  model.on("change:words", label);
  model.on("change:message", label);
  model.on("msg:custom", (content) => content.unlock === token && unlock());
  show();
  return () => {
    clearTimeout(timer);
    heard.forEach(([name, listener]) => window.removeEventListener(name, listener, true));
  };
}

export default { render };
