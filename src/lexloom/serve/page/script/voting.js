// Blind judgement: two answers to one prompt, without names. Which model is which is known to the server alone.

const KEYS = { ArrowLeft: "left", ArrowRight: "right", "=": "tie" };

const votePanel = {
  id: "vote",
  routes: ["/v1/chat/completions", "/v1/completions"],
  group: "judge",
  build(models, { prompts }) {
    const node = page("vote");
    const [stage, result] = [voteStage(), el("div", { class: "answer" })];
    const trouble = el("p", { class: "error", role: "alert" });
    const round = voteRound(stage, trouble, over);
    const setup = voteSetup(models, prompts, begin);
    const said = voteResult(result, trouble);
    node.append(setup.node, stage.node, trouble, said);

    function begin(settings) {
      setup.node.hidden = said.hidden = true;
      result.replaceChildren();
      hush(trouble);
      stage.node.hidden = false;
      round.begin(settings);
    }

    function over(votes) {
      stage.node.hidden = true;
      setup.node.hidden = said.hidden = false;
      say(setup.told, "vote.over", { count: () => number(votes) });
      setup.told.focus();
    }

    stage.listen(round.vote, round.undo, round.end);
    document.addEventListener("keydown", (event) => {
      if (node.hidden || stage.node.hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const choice = KEYS[event.key];
      if (choice) round.vote(choice);
      else if (event.key.toLowerCase() === "u") round.undo();
      else return;
      event.preventDefault();
    });
    return node;
  },
};

// One prompt after another is answered, shown and voted on; `over` hears how many votes there were.
function voteRound(stage, trouble, over) {
  let round = null;

  async function begin(settings) {
    round = { ...settings, at: 0, done: [], asked: 0, ahead: [] };
    await turn();
  }

  // The models write while the reader reads: one pair is always under way.
  function lookAhead() {
    if (round.ahead.length || round.asked >= round.prompts.length) return;
    const pair = post("/studio/votes/pair", { models: round.models, prompt: round.prompts[round.asked], ...round.sampling });
    pair.catch(() => {});
    round.ahead.push(pair);
    round.asked += 1;
  }

  async function turn() {
    stage.wait();
    if (round.at >= round.prompts.length) return end();
    const mine = round;
    try {
      lookAhead();
      const pair = await round.ahead.shift();
      if (mine !== round) return undefined;
      lookAhead();
      stage.show(pair, round.at + 1, round.prompts.length);
    } catch (error) {
      if (mine !== round) return undefined;
      end();
      tell(trouble, error);
    }
    return undefined;
  }

  function end() {
    over(round.at);
    round = null;
  }

  async function vote(choice) {
    const [mine, pair] = [round, stage.current()];
    if (!pair) return;
    stage.wait();
    try {
      await post("/studio/votes", { pair: pair.pair, choice });
      mine.done.push(pair);
      mine.at += 1;
      if (mine === round) await turn();
    } catch (error) {
      stage.show(pair, mine.at + 1, mine.prompts.length);
      tell(trouble, error);
    }
  }

  async function undo() {
    const [mine, waiting] = [round, stage.current()];
    const last = mine?.done.at(-1);
    if (!last || !waiting) return;
    stage.wait();
    try {
      await post("/studio/votes/undo", { pair: last.pair });
      mine.done.pop();
      mine.at -= 1;
      mine.ahead.unshift(waiting);
      stage.show(last, mine.at + 1, mine.prompts.length);
    } catch (error) {
      stage.show(waiting, mine.at + 1, mine.prompts.length);
      tell(trouble, error);
    }
  }

  return { begin, vote, undo, end };
}

function voteSetup(models, prompts, begin) {
  const first = el("select", {}, ...models.map(({ id }) => el("option", { value: id }, id)));
  const second = el("select", {}, ...models.map(({ id }, at) => el("option", { value: id, selected: at === 1 }, id)));
  const box = textBox({ rows: 6, placeholder: "vote.placeholder" });
  const told = el("p", { class: "status", role: "status", tabindex: "-1" });
  const settings = sampling({ max_tokens: 120, temperature: 0.7, top_p: 1 });
  box.value = prompts.join("\n");
  const start = button("vote.begin", () => {
    const lines = box.value.split("\n").map((line) => line.trim()).filter(Boolean);
    if (first.value === second.value) say(told, "vote.same");
    else if (!lines.length) say(told, "vote.empty");
    else begin({ models: [first.value, second.value], prompts: lines, sampling: settings.read() });
  }, { class: "first" });
  const node = panelForm(el("div", { class: "row" }, field("vote.first", first), field("vote.second", second)),
    field("vote.prompts", box, "vote.note"), settings.node, el("div", { class: "runner" }, start, example([[box, "vote.example"]]), told));
  return { node, told };
}

function voteStage() {
  const place = el("p", { class: "place" });
  const prompt = el("p", { class: "prompt" });
  const sides = { left: el("p", { class: "written" }), right: el("p", { class: "written" }) };
  const status = el("p", { class: "status", role: "status" });
  const choose = (choice, keys) => button(`vote.${choice}`, () => {}, { "aria-keyshortcuts": keys, "data-choice": choice });
  const buttons = [choose("left", "ArrowLeft"), choose("tie", "="), choose("right", "ArrowRight")];
  const undo = button("vote.undo", () => {}, { class: "plain", "aria-keyshortcuts": "U" });
  const leave = button("vote.leave", () => {}, { class: "plain" });
  const column = (side) => el("article", { "aria-labelledby": `vote-${side}` }, el("h2", { id: `vote-${side}`, t: `vote.answer.${side}` }), sides[side]);
  const node = el("section", { class: "duel", hidden: true, "aria-label": text("vote.stage"), "data-t-label": "vote.stage" },
    place, prompt, el("div", { class: "beside" }, column("left"), column("right")), el("div", { class: "choices" }, ...buttons), el("div", { class: "runner" }, undo, leave, status));
  let current = null;
  return {
    node,
    current: () => current,
    wait() {
      current = null;
      say(status, "vote.waiting");
      node.setAttribute("aria-busy", "true");
    },
    show(pair, at, all) {
      current = pair;
      node.setAttribute("aria-busy", "false");
      say(place, "vote.place", { at: () => number(at), all: () => number(all) });
      prompt.textContent = pair.prompt;
      sides.left.textContent = pair.left.trim();
      sides.right.textContent = pair.right.trim();
      say(status, "vote.ready");
    },
    listen(vote, back, end) {
      for (const each of buttons) each.addEventListener("click", () => vote(each.dataset.choice));
      undo.addEventListener("click", back);
      leave.addEventListener("click", end);
    },
  };
}

function voteResult(place, trouble) {
  const show = button("vote.result", async () => {
    try {
      const { results } = await get("/studio/votes");
      place.replaceChildren(...(results.length ? results.map(preference) : [el("p", { class: "note", t: "vote.none" })]));
    } catch (error) {
      tell(trouble, error);
    }
  });
  const kept = saver("vote.export", trouble, "/studio/votes/export", undefined, "votes.jsonl");
  return el("section", { class: "results", "aria-labelledby": "vote-results" }, el("h2", { id: "vote-results", t: "vote.results" }), el("div", { class: "runner" }, show, kept), place);
}

// The share of votes for the first model with its interval, beside the line where both are alike.
function preference({ first, second, wins, losses, ties, rate, low, high, p }) {
  return el("figure", { class: "preference" }, el("h3", {}, el("b", {}, first), " ", el("span", { t: "vote.against" }), " ", el("b", {}, second)),
    el("p", { class: "figure" }, share(rate)), el("div", { class: "interval", "aria-hidden": "true", vars: { "--rate": rate, "--low": low, "--high": high } }, el("i"), el("b")),
    el("figcaption", { t: "vote.verdict", values: { first, low: () => share(low), high: () => share(high), wins: () => number(wins), losses: () => number(losses), ties: () => number(ties), p: () => (p < 0.001 ? "< 0.001" : `= ${number(p, 3)}`) } }),
    el("p", { class: "note", t: p < 0.05 ? "vote.real" : "vote.chance" }));
}
