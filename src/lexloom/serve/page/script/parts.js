// The parts that panels are made of: fields with labels, the choice of a model, buttons, and what is told to everyone.

function field(label, control, note) {
  control.id ||= freshId("field");
  return el("div", { class: "field" }, el("label", { for: control.id, t: label }), control, note ? el("p", { class: "note", t: note }) : null);
}

function textBox({ rows = 3, placeholder, ...rest } = {}) {
  const box = el("textarea", { rows, "data-t-placeholder": placeholder, spellcheck: "false", ...rest });
  if (placeholder) box.placeholder = text(placeholder);
  return box;
}

function numberBox(value, { min, max, step = "any" } = {}) {
  return el("input", { type: "number", inputmode: "decimal", value, min, max, step });
}

// Which of the models that can do something does it; with one model there is nothing to choose.
function modelChoice(models) {
  const select = el("select", {}, ...models.map(({ id }) => el("option", { value: id }, id)));
  const chosen = () => models.find(({ id }) => id === select.value) ?? models[0];
  const node = models.length > 1 ? field("model", select) : el("p", { class: "only" }, el("span", { t: "model" }), " ", el("b", {}, models[0].id));
  return { node, chosen, select };
}

function button(key, action, attributes = {}) {
  return el("button", { type: "button", t: key, on: { click: action }, ...attributes });
}

// A button that saves what the server has as a file; what goes wrong is told in `trouble`.
function saver(key, trouble, ...what) {
  return button(key, () => save(...what).then(() => hush(trouble), (error) => tell(trouble, error)), { class: "plain" });
}

// A button that does something that takes time, the button that stops it, and a line that tells how it stands.
function runner(key, work) {
  const status = el("p", { class: "status", role: "status" });
  const trouble = el("p", { class: "error", role: "alert" });
  const stop = button("stop", halt, { hidden: true, class: "plain" });
  const start = button(key, run, { class: "first", "aria-keyshortcuts": "Control+Enter" });
  let stopping = null;

  function halt() {
    stopping?.abort();
  }

  async function run() {
    if (stopping) return;
    stopping = new AbortController();
    start.setAttribute("aria-disabled", "true");
    stop.hidden = false;
    hush(trouble);
    say(status, "working");
    try {
      const told = await work(stopping.signal);
      told ? say(status, ...told) : hush(status);
    } catch (error) {
      hush(status);
      if (error.name === "AbortError") say(status, "stopped");
      else tell(trouble, error);
    } finally {
      stopping = null;
      stop.hidden = true;
      start.removeAttribute("aria-disabled");
    }
  }

  const node = el("div", { class: "runner" }, start, stop, status, trouble);
  return { node, run, halt };
}

function tell(place, error) {
  if (error instanceof Refused) say(place, "refused", { reason: error.message });
  else if (error instanceof TypeError) say(place, "unreachable");
  else {
    say(place, "broken", { reason: String(error.message ?? error) });
    throw error;
  }
}

// Control and Enter, in any field of the form, runs it.
function runsOnEnter(form, run) {
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    }
  });
}

// An example to begin with, in the reader's language.
function example(fills) {
  return button("example", () => {
    for (const [box, key] of fills) {
      box.value = typeof key === "function" ? key() : text(key);
      box.dispatchEvent(new Event("input"));
    }
    fills[0][0].focus();
  }, { class: "plain" });
}

function page(id, ...children) {
  const title = el("h1", { t: `${id}.title`, tabindex: "-1", id: `${id}-title` });
  return el("section", { id: `panel-${id}`, "aria-labelledby": `${id}-title`, hidden: true }, title, el("p", { class: "lede", t: `${id}.lede` }), ...children);
}

function panelForm(...children) {
  return el("form", { on: { submit: (event) => event.preventDefault() } }, ...children);
}

// Where an answer appears. It is told through the status line, so that a reader isn't read every token.
const answerPlace = () => el("div", { class: "answer", "aria-live": "off" });
