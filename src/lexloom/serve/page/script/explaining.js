// Explain: what each word added to an answer, and where the model looked.

const PAIRS = ["span", "similarity"];
const PERHAPS_PAIRS = ["classify", "regress"];

const explainPanel = {
  id: "explain",
  routes: ["/studio/explain"],
  group: "read",
  build(models) {
    const choice = modelChoice(models);
    const box = textBox({ rows: 3, placeholder: "explain.placeholder" });
    const second = textBox({ rows: 3 });
    const label = el("select", {});
    const secondField = el("details", {}, el("summary", { t: "explain.second" }), field("classify.second", second));
    const labelField = field("explain.label", label);
    const answer = answerPlace();
    const fit = () => {
      const { task, explains: labels } = choice.chosen();
      secondField.hidden = ![...PAIRS, ...PERHAPS_PAIRS].includes(task);
      secondField.open = PAIRS.includes(task);
      labelField.hidden = !labels.length;
      label.replaceChildren(el("option", { value: "", t: "explain.own" }), ...labels.map((name) => el("option", { value: name }, name)));
    };
    const work = runner("explain.do", async (signal) => {
      const texts = !secondField.hidden && second.value.trim() ? [box.value, second.value] : [box.value];
      const found = await post("/studio/explain", { model: choice.chosen().id, texts, label: label.value || null }, signal);
      answer.replaceChildren(...explained(found));
      return ["explain.done", { names: [...new Set(found.targets.map(({ name }) => name))].join(text("comma")) }];
    });
    choice.select?.addEventListener("change", fit);
    fit();
    work.node.append(example([[box, "explain.example"]]));
    const form = panelForm(choice.node, field("text", box), secondField, labelField, work.node);
    runsOnEnter(form, work.run);
    return page("explain", form, answer);
  },
};

function explained({ texts, targets, attention }) {
  return [
    ...targets.filter(({ method }) => method === "gradients").map((target) => heat(target, texts)),
    ...targets.filter(({ method }) => method !== "gradients").map((target) => el("details", {}, el("summary", { t: "heat.other", values: { name: target.name } }), heat(target, texts))),
    ...attention.map(({ tokens, special, rollout }) => {
      const words = withSigns(tokens, special);
      const seen = { takers: words, taken: words, weights: rollout, same: true };
      return el("section", {}, el("h2", { t: "explain.attention" }), looks({ ...seen, chosen: 1 }), mapDetails(seen));
    }),
  ];
}
