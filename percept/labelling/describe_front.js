// A picture, boxes dragged on it, and words about either. Words stay in their field until the kernel has stored them.
const STALLED_AFTER = 8000; // ms
const CLICK = 4; // CSS px: a shorter drag makes no box
const LEAST = 4; // px of the original picture: the kernel refuses smaller sides
const STEPS = { first: 2, held: 8 }; // CSS px per press of an arrow key
const ARROWS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
const CODES = { KeyB: "b", KeyU: "u", Enter: "enter" }; // an input method for Japanese reports "Process"

function make(tag, name, parent) {
  const node = document.createElement(tag);
  node.className = name;
  parent.append(node);
  return node;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// The box between two corners, in whole px.
function between([x, y], [u, v]) {
  const left = Math.round(Math.min(x, u));
  const top = Math.round(Math.min(y, v));
  return [left, top, Math.round(Math.max(x, u)) - left, Math.round(Math.max(y, v)) - top];
}

// A box moved, or with other sides, inside a picture of this size.
function changed([x, y, w, h], [dx, dy], sides, [width, height]) {
  if (sides) return [x, y, clamp(w + dx, LEAST, width - x), clamp(h + dy, LEAST, height - y)];
  return [clamp(x + dx, 0, width - w), clamp(y + dy, 0, height - h), w, h];
}

function render({ model, el }) {
  const stage = make("div", "percept-describe", el);
  stage.setAttribute("role", "group");
  stage.setAttribute("data-lm-suppress-shortcuts", "true");
  const question = make("p", "percept-question", stage);
  const desk = make("div", "percept-desk", stage);
  const frame = make("div", "percept-frame", desk);
  const image = make("img", "percept-picture", frame);
  const layer = make("div", "percept-boxes", frame);
  const side = make("div", "percept-side", desk);
  const about = make("p", "percept-about", side);
  const aim = make("span", "", about);
  const choices = make("div", "percept-choices", side);
  const text = make("textarea", "percept-words", side);
  const tools = make("div", "percept-row", side);
  const heading = make("p", "percept-heading", side);
  const list = make("ol", "percept-entries", side);
  const foot = make("div", "percept-row percept-foot", stage);
  const message = make("p", "percept-message", stage);
  const hint = make("p", "percept-hint", stage);
  const act = (name, parent, does) => {
    const button = make("button", `percept-act-${name} jupyter-button`, parent);
    button.type = "button";
    button.addEventListener("click", does);
    return button;
  };
  const buttons = {
    drop_box: act("drop_box", about, () => setBox(null)),
    save: act("save", tools, () => press("save")),
    cancel: act("cancel", tools, () => clear()),
    skip: act("skip", foot, () => press("skip")),
    undo: act("undo", foot, () => press("undo")),
  };
  const bar = make("progress", "percept-bar", foot);
  const state = make("span", "percept-state", foot);
  buttons.next = act("next", foot, () => press("next"));
  buttons.save.classList.add("mod-primary");
  Object.assign(text, { rows: 3, spellcheck: true });
  Object.assign(frame, { tabIndex: 0 });
  frame.setAttribute("role", "application");
  [message, aim].forEach((node) => node.setAttribute("aria-live", "polite"));

  let draft = { box: null, fields: {}, entry: null };
  let loaded = ""; // the text with which an edit began
  let composed = ""; // the last sentence made from choices
  let pending = false;
  let asked = 0; // sentences that the kernel is making
  let drag = null;
  let since = 0;
  let timer = 0;
  const word = (key) => model.get("words")[key] ?? "";
  const filled = (key, values) => word(key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const size = () => model.get("picture").full;
  const say = (key) => (message.textContent = word(key));
  const unsaved = () => text.value.trim() && text.value.trim() !== loaded;

  // --- to the kernel and back

  function lock(yes) {
    pending = yes;
    clearTimeout(timer);
    if (yes) timer = setTimeout(() => say("stalled"), STALLED_AFTER);
    text.readOnly = yes;
    stage.classList.toggle("percept-waiting", yes);
  }

  function press(action, entry = null) {
    if (pending) return;
    if (action === "undo" && unsaved()) return say("unsaved");
    const written = { text: text.value, box: draft.box, fields: draft.fields, entry: draft.entry };
    const rest = action === "delete" ? { entry } : action === "undo" ? {} : written;
    lock(true);
    model.send({ action, token: model.get("token"), seconds: (performance.now() - since) / 1000, ...rest });
  }

  function heard(content) {
    if ("composed" in content) return fill(content.composed);
    if (!pending) return; // of another view
    lock(false);
    message.textContent = model.get("message");
    if (content.outcome === "saved" || content.outcome === "stored") clear();
    if (content.outcome === "undone" && content.draft) load(content.draft);
    if (content.outcome === "elsewhere") draft.entry = null;
    paint();
    if (content.outcome !== "deleted") text.focus({ preventScroll: true });
  }

  // --- what is being written

  function clear() {
    load({ text: "", box: null, fields: {}, entry: null });
  }

  function load(one) {
    draft = { box: one.box, fields: { ...one.fields }, entry: one.entry };
    text.value = loaded = one.text;
    if (one.entry === null) loaded = "";
    composed = Object.keys(draft.fields).length ? one.text : "";
    choices.querySelectorAll("select").forEach((select) => (select.value = draft.fields[select.name] ?? ""));
    paint();
  }

  function edit(one) {
    if (pending) return;
    if (unsaved()) return say("unsaved");
    load(one);
    text.focus({ preventScroll: true });
  }

  function setBox(box) {
    draft.box = box;
    paint();
  }

  const ownWords = () => text.value.trim() && text.value !== composed;

  function choose(name, value) {
    draft.fields[name] = value;
    if (ownWords()) return say("kept");
    compose();
  }

  function compose() {
    asked += 1;
    model.send({ compose: draft.fields });
  }

  function fill(sentence) {
    if (!asked) return; // of another view
    asked -= 1;
    if (ownWords()) say("kept");
    else text.value = composed = sentence;
  }

  function onType(event) {
    event.stopPropagation();
    // With an input method, Enter ends the composition and does not save.
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229 || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if (!event.repeat) press(event.ctrlKey || event.metaKey ? "next" : "save");
  }

  // --- boxes

  function point(event) {
    const area = image.getBoundingClientRect();
    const [width, height] = size();
    const x = clamp((event.clientX - area.left) / area.width, 0, 1);
    const y = clamp((event.clientY - area.top) / area.height, 0, 1);
    return [x * width, y * height];
  }

  function onDown(event) {
    if (pending || event.button !== 0 || !event.isPrimary || !model.get("picture")) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    drag = { from: point(event), at: [event.clientX, event.clientY], before: draft.box };
  }

  function onUp(event) {
    if (!drag) return;
    const far = Math.hypot(event.clientX - drag.at[0], event.clientY - drag.at[1]);
    const made = event.type === "pointerup" && far >= CLICK;
    setBox(made ? between(drag.from, point(event)) : drag.before);
    drag = null;
    (made ? text : frame).focus({ preventScroll: true });
  }

  function onKey(event) {
    if (pending || event.ctrlKey || event.metaKey || event.altKey || !model.get("picture")) return;
    const key = event.key === "Process" ? CODES[event.code] : event.key.toLowerCase();
    const [width, height] = size();
    if (key === "b") setBox([width, height, width, height].map((side, i) => Math.round(side * (i < 2 ? 0.375 : 0.25))));
    else if (key === "escape") setBox(null);
    else if (key === "enter") text.focus({ preventScroll: true });
    else if (key === "u") press("undo");
    else if (ARROWS[key] && draft.box) {
      const px = (event.repeat ? STEPS.held : STEPS.first) * (width / image.getBoundingClientRect().width);
      const step = ARROWS[key].map((way) => way * Math.max(1, Math.round(px)));
      setBox(changed(draft.box, step, event.shiftKey, size()));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- what is shown

  function place(node, [x, y, w, h]) {
    const [width, height] = size();
    const share = (value, whole) => `${(100 * value) / whole}%`;
    const sides = { left: share(x, width), top: share(y, height), width: share(w, width), height: share(h, height) };
    Object.assign(node.style, sides);
  }

  function paint() {
    layer.replaceChildren();
    list.replaceChildren();
    const entries = model.get("entries");
    entries.forEach((one, i) => {
      if (one.entry !== draft.entry) paintEntry(one, i + 1);
    });
    if (draft.box && model.get("picture")) place(make("div", "percept-box percept-draft", layer), draft.box);
    heading.textContent = word(entries.length ? "written" : "none");
    const [x, y, w, h] = draft.box ?? [];
    aim.textContent = draft.box ? filled("about_box", { x, y, w, h }) : word("about_whole");
    buttons.drop_box.hidden = !draft.box;
    buttons.save.textContent = word(draft.entry === null ? "save" : "change");
    stage.dataset.token = model.get("token");
  }

  function paintEntry(one, number) {
    if (one.box && model.get("picture")) {
      const node = make("div", "percept-box", layer);
      place(node, one.box);
      make("span", "percept-number", node).textContent = number;
    }
    const item = make("li", "percept-entry", list);
    make("span", "percept-which", item).textContent = one.box ? filled("box", { number }) : word("whole");
    make("span", "percept-said", item).textContent = one.text;
    act("edit", item, () => edit(one)).textContent = word("edit");
    act("delete", item, () => press("delete", one.entry)).textContent = word("delete");
  }

  async function showPicture() {
    const picture = model.get("picture");
    Object.assign(draft, { box: null, entry: null }); // they belong to the picture before
    drag = null;
    frame.hidden = !picture;
    paint();
    if (!picture) return;
    image.classList.toggle("percept-crisp", picture.crisp);
    Object.assign(image, { src: picture.src, width: picture.width, height: picture.height });
    await image.decode().catch(() => {});
    since = performance.now();
  }

  function showState() {
    since = performance.now();
    const { done, total, text: said } = model.get("progress");
    Object.assign(bar, { value: done ?? 0, max: total ?? 1 });
    state.textContent = said ?? "";
    paint();
  }

  function label() {
    question.textContent = word("question");
    hint.textContent = word("hint");
    text.placeholder = word("placeholder");
    Object.entries(buttons).forEach(([name, button]) => (button.textContent = word(name)));
    [[stage, "question"], [frame, "reference"], [text, "text"]].forEach(([node, key]) => {
      node.setAttribute("aria-label", word(key));
    });
    image.alt = word("reference");
    paint();
  }

  function showForm() {
    choices.replaceChildren();
    for (const { name, label: said, choices: options } of model.get("form")) {
      const field = make("label", "percept-choice", choices);
      make("span", "", field).textContent = said;
      const select = make("select", "", field);
      select.name = name;
      [["", "–"], ...options].forEach(([value, shown]) => select.append(new Option(shown, value)));
      select.value = draft.fields[name] ?? "";
      select.addEventListener("change", () => choose(name, select.value));
    }
    if (composed && !ownWords()) compose(); // in the other language
  }

  text.addEventListener("keydown", onType);
  frame.addEventListener("keydown", onKey);
  frame.addEventListener("pointerdown", onDown);
  frame.addEventListener("pointermove", (event) => drag && setBox(between(drag.from, point(event))));
  ["pointerup", "pointercancel"].forEach((name) => frame.addEventListener(name, onUp));
  model.on("change:picture", showPicture);
  model.on("change:token", showState);
  model.on("change:entries", paint);
  model.on("change:progress", showState);
  model.on("change:words", label);
  model.on("change:form", showForm);
  model.on("change:message", () => (message.textContent = model.get("message")));
  model.on("msg:custom", heard);
  label();
  showForm();
  showState();
  showPicture();
  message.textContent = model.get("message");
  return () => clearTimeout(timer);
}

export default { render };
