// Write: models continue a text, side by side, token by token.

const MOST_BESIDE = 4;

const writePanel = {
  id: "write",
  routes: ["/v1/completions"],
  group: "make",
  build(models) {
    const prompt = textBox({ rows: 4, placeholder: "write.placeholder" });
    const beside = sideBySide(models);
    const settings = sampling({ max_tokens: 120, temperature: 0.8, top_p: 1 });
    const answer = answerPlace();
    answer.classList.add("beside");
    const work = runner("write.do", async (signal) => {
      const chosen = beside.chosen();
      const places = chosen.map(({ id }) => writtenPlace(id, prompt.value, chosen.length > 1));
      answer.replaceChildren(...places.map(({ node }) => node));
      const counts = await Promise.all(chosen.map(({ id }, at) => continueText(id, prompt.value, settings.read(), places[at], signal)));
      return ["write.done", { tokens: () => number(counts.reduce((one, two) => one + two, 0)) }];
    });
    const form = panelForm(field("write.prompt", prompt), beside.node, settings.node, work.node);
    runsOnEnter(form, work.run);
    work.node.append(example([[prompt, "write.example"]]));
    return page("write", form, answer);
  },
};

async function continueText(model, prompt, settings, place, signal) {
  const began = performance.now();
  let tokens = 0;
  place.node.setAttribute("aria-busy", "true");
  try {
    for await (const event of events("/v1/completions", { model, prompt, stream_options: { include_usage: true }, ...settings }, signal)) {
      const piece = event.choices[0]?.text;
      if (piece) place.more(piece);
      tokens = event.usage ? event.usage.completion_tokens : tokens + 1;
      place.pace(tokens, (performance.now() - began) / 1000);
    }
  } finally {
    place.node.setAttribute("aria-busy", "false");
  }
  return tokens;
}

function writtenPlace(name, prompt, named) {
  const written = document.createTextNode("");
  const pace = el("p", { class: "pace" });
  const node = el("article", { "aria-label": name }, named ? el("h2", {}, name) : null, el("p", { class: "written" }, el("span", { class: "prompt" }, prompt), written), pace);
  return {
    node,
    more: (piece) => { written.data += piece; },
    pace: (tokens, seconds) => say(pace, "write.pace", { tokens: () => number(tokens), pace: () => rounded(tokens / Math.max(seconds, 0.001)) }),
  };
}

// One model or several, as boxes to be ticked.
function sideBySide(models) {
  if (models.length === 1) return { ...modelChoice(models), chosen: () => models };
  const boxes = models.map(({ id }, at) => el("input", { type: "checkbox", value: id, checked: at === 0 }));
  const limit = () => {
    const ticked = boxes.filter((box) => box.checked).length;
    for (const box of boxes) box.disabled = !box.checked && ticked >= MOST_BESIDE;
  };
  const node = el("fieldset", { class: "choice", on: { change: limit } }, el("legend", { t: "write.models" }),
    ...models.map(({ id }, at) => el("label", {}, boxes[at], " ", id)));
  const chosen = () => {
    const ticked = models.filter((_, at) => boxes[at].checked);
    return ticked.length ? ticked : [models[0]];
  };
  return { node, chosen };
}

// How the next token is drawn; an empty seed draws anew each time.
function sampling(defaults) {
  const boxes = {
    max_tokens: numberBox(defaults.max_tokens, { min: 1, step: 1 }),
    temperature: numberBox(defaults.temperature, { min: 0, max: 2, step: 0.1 }),
    top_p: numberBox(defaults.top_p, { min: 0.01, max: 1, step: 0.01 }),
    seed: numberBox("", { min: 0, step: 1 }),
  };
  const node = el("details", { class: "settings" }, el("summary", { t: "settings" }),
    el("div", { class: "row" }, ...Object.entries(boxes).map(([name, box]) => field(`settings.${name}`, box))));
  const read = () => Object.fromEntries(Object.entries(boxes).filter(([, box]) => box.value !== "").map(([name, box]) => [name, Number(box.value)]));
  return { node, read };
}
