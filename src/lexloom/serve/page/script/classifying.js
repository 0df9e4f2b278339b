// Classify: a text, or a pair of them, among labels; models that score give a number.

const classifyPanel = {
  id: "classify",
  routes: ["/v1/classify", "/v1/regress"],
  group: "read",
  build(models) {
    const choice = modelChoice(models);
    const box = textBox({ rows: 4, placeholder: "classify.placeholder" });
    const second = textBox({ rows: 2 });
    const answer = answerPlace();
    const pair = el("details", {}, el("summary", { t: "classify.pair" }), field("classify.second", second));
    const work = runner("classify.do", async (signal) => {
      const input = second.value.trim() ? [box.value, second.value] : box.value;
      const { id, routes } = choice.chosen();
      const [found] = await ask(classifyPanel.routes.find((route) => routes.includes(route)), { model: id, input: [input] }, signal);
      answer.replaceChildren(classified(found));
      return ["classify.done", { label: found.label ?? found.labels?.join(text("comma")) ?? number(found.score, 3) }];
    });
    work.node.append(example([[box, "classify.example"]]));
    const form = panelForm(choice.node, field("text", box), pair, work.node);
    runsOnEnter(form, work.run);
    return page("classify", form, answer);
  },
};

function classified(found) {
  if (found.probabilities === undefined) return el("p", { class: "figure" }, number(found.score, 3));
  const given = found.labels ?? [found.label];
  return bars(ranked(found.probabilities).map((row) => ({ ...row, chosen: given.includes(row.name) })));
}
