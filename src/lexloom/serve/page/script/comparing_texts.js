// Compare two sentences: how near they are.

const similarityPanel = {
  id: "similarity",
  routes: ["/v1/similarity"],
  group: "read",
  build(models) {
    const choice = modelChoice(models);
    const first = textBox({ rows: 2, placeholder: "similarity.placeholder" });
    const second = textBox({ rows: 2 });
    const answer = answerPlace();
    const work = runner("similarity.do", async (signal) => {
      const [found] = await ask("/v1/similarity", { model: choice.chosen().id, first: first.value, second: second.value }, signal);
      answer.replaceChildren(nearness(found.score, choice.chosen().scale));
      return ["similarity.done", { value: () => number(found.score, 3) }];
    });
    work.node.append(example([[first, "similarity.example.first"], [second, "similarity.example.second"]]));
    const form = panelForm(choice.node, field("similarity.first", first), field("similarity.second", second), work.node);
    runsOnEnter(form, work.run);
    return page("similarity", form, answer);
  },
};

// `scale` is what the model was taught to say of two texts without and with one meaning.
function nearness(score, [lowest, highest]) {
  const place = Math.min(1, Math.max(0, (score - lowest) / (highest - lowest)));
  return el("div", { class: "nearness" }, el("p", { class: "figure" }, number(score, 3)),
    el("div", { class: "ruler", "aria-hidden": "true", vars: { "--place": place } }, el("i")),
    el("p", { class: "ends", "aria-hidden": "true" }, el("span", { t: "similarity.far" }), el("span", { t: "similarity.near" })));
}
