// Fill the mask: what a masked language model puts in the place of each hidden word.

const fillPanel = {
  id: "fill",
  routes: ["/v1/fill"],
  group: "make",
  build(models) {
    const choice = modelChoice(models);
    const box = textBox({ rows: 3, placeholder: "fill.placeholder" });
    const answer = answerPlace();
    const mask = () => choice.chosen().mask;
    const insert = button("fill.insert", () => {
      box.setRangeText(mask(), box.selectionStart, box.selectionEnd, "end");
      box.focus();
    }, { class: "plain" });
    const work = runner("fill.do", async (signal) => {
      const masks = (await ask("/v1/fill", { model: choice.chosen().id, input: box.value }, signal)).map(({ candidates }) => candidates);
      answer.replaceChildren(...masks.map((candidates, at) => filled(candidates, at, masks.length)));
      return ["fill.done", { best: masks.map(([best]) => best.token).join(" ") }];
    });
    work.node.append(insert, example([[box, () => text("fill.example").replace("[MASK]", mask())]]));
    const form = panelForm(choice.node, field("fill.text", box), work.node);
    runsOnEnter(form, work.run);
    return page("fill", form, answer);
  },
};

function filled(candidates, at, all) {
  const rows = candidates.map(({ token, probability, text: whole }) => ({ name: token, value: probability, note: all === 1 ? whole : null, chosen: token === candidates[0].token }));
  return el("section", {}, all > 1 ? el("h2", { t: "fill.mask", values: { number: at + 1 } }) : null, bars(rows, { heading: "word", whole: rows[0].value }));
}
