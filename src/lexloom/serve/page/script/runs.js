// Runs: the folders in which models learn, with their curves as they grow.

const EVERY_MS = 3000;

const runsPanel = {
  id: "runs",
  group: "look",
  routes: [],
  build() {
    const list = el("div", { class: "list" });
    const detail = el("div", { class: "answer" });
    const trouble = el("p", { class: "error", role: "alert" });
    const status = el("p", { class: "status", role: "status", t: "opening" });
    const node = page("runs", status, trouble, list, detail);
    const redraw = { list: onChange((found) => list.replaceChildren(runsTable(found, open, show))), run: onChange((run) => detail.replaceChildren(...runShown(run, trouble))) };
    let open = null;

    async function look() {
      try {
        const { runs } = await get("/studio/runs");
        open ??= runs[0]?.name ?? null;
        redraw.list(runs, open);
        if (open) redraw.run(await post("/studio/run", { name: open }));
        hush(trouble);
      } catch (error) {
        tell(trouble, error);
      } finally {
        hush(status);
      }
    }
    async function show(name) {
      open = name;
      await look();
      detail.querySelector("h2")?.focus();
    }
    setInterval(() => { if (!node.hidden && !document.hidden) look(); }, EVERY_MS);
    node.addEventListener("opened", look);
    return node;
  },
};

// Draws again only what has changed, so that whoever reads or listens isn't disturbed.
function onChange(draw) {
  let seen = "";
  return (found, ...more) => {
    const now = JSON.stringify([found, more, language], (name, value) => (name === "idle_s" ? undefined : value));
    if (now !== seen) draw(found);
    seen = now;
  };
}

const twin = ([english, chinese]) => (language === "zh" ? chinese : english);

function runsTable(runs, open, show) {
  if (!runs.length) return el("p", { class: "note", t: "runs.none" });
  const heads = { run: null, step: "n", loss: "n", best: "n", state: null };
  const row = (run) => el("tr", { class: run.name === open ? "chosen" : null },
    el("th", { scope: "row" }, el("button", { type: "button", class: "plain", "aria-pressed": String(run.name === open), on: { click: () => show(run.name) } }, run.name)),
    el("td", { class: "n" }, run.steps ? `${number(run.step)} / ${number(run.steps)}` : number(run.step)),
    el("td", { class: "n" }, number(run.loss, 3)), el("td", { class: "n" }, number(run.best, 3)),
    el("td", { t: run.finished ? "runs.finished" : "runs.growing" }));
  return el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...Object.entries(heads).map(([name, kind]) => el("th", { scope: "col", class: kind, t: `runs.${name}` })))),
    el("tbody", {}, ...runs.map(row))));
}

function runShown(run, trouble) {
  const legend = el("figcaption", {}, el("span", { class: "side mean", t: "runs.training" }), " ", el("span", { class: "side validation", t: "runs.validation" }), " ", el("span", {}, twin(run.unit)));
  return [
    el("div", {}, el("h2", { tabindex: "-1" }, twin(run.title)), el("p", { class: "note" }, twin(run.lede))),
    run.stats.length ? el("dl", { class: "stats" }, ...run.stats.map(stat)) : null,
    el("figure", {}, curve({ ...run.curve, total: run.steps }), legend),
    run.samples.length ? el("section", {}, el("h3", { t: "runs.samples" }), ...run.samples.map(sample)) : null,
    run.ledger.length ? ledger(run.ledger) : null,
    run.report ? el("p", {}, saver("runs.report", trouble, "/studio/report", { name: run.name }, `${run.name.replaceAll("/", "-")}.html`)) : null,
  ].filter(Boolean);
}

const stat = ({ label, value, note }) => el("div", {}, el("dt", {}, twin(label)), el("dd", {}, value), note ? el("dd", { class: "note" }, note) : null);

const sample = ({ step, prompt, text: written }) => el("p", { class: "written sample" }, el("small", { t: "runs.at", values: { step: () => number(step) } }), " ", el("span", { class: "prompt" }, prompt), written);

function ledger(rows) {
  const heads = { stage: null, outcome: null, documents: "n", characters: "n" };
  const row = ({ stage, outcome, documents, characters }) => el("tr", {}, el("td", {}, stage), el("td", {}, outcome), el("td", { class: "n" }, number(documents)), el("td", { class: "n" }, characters ? number(characters) : ""));
  return el("details", {}, el("summary", { t: "runs.ledger" }), el("div", { class: "scroll" }, el("table", {},
    el("thead", {}, el("tr", {}, ...Object.entries(heads).map(([name, kind]) => el("th", { scope: "col", class: kind, t: `ledger.${name}` })))),
    el("tbody", {}, ...rows.map(row)))));
}
