// Translate and summarise: the text at once, and then where the model looked while it wrote.

const rewritePanel = {
  id: "rewrite",
  routes: ["/v1/translate", "/v1/summarise"],
  group: "make",
  build(models) {
    const choice = modelChoice(models);
    const box = textBox({ rows: 5, placeholder: "rewrite.placeholder" });
    const answer = answerPlace();
    const work = runner("rewrite.do", async (signal) => {
      const { id: model, routes, explains } = choice.chosen();
      const [found] = await ask(rewritePanel.routes.find((route) => routes.includes(route)), { model, input: box.value }, signal);
      answer.replaceChildren(el("p", { class: "written" }, found.text));
      if (!explains) return ["rewrite.done"];
      const { attention } = await post("/studio/explain", { model, texts: [box.value] }, signal);
      const seen = { takers: withSigns(attention.written, attention.written_special), taken: withSigns(attention.read, attention.read_special), weights: attention.mean };
      answer.append(looks(seen), mapDetails(seen));
      return ["rewrite.done"];
    });
    work.node.append(example([[box, "rewrite.example"]]));
    const form = panelForm(choice.node, field("text", box), work.node);
    runsOnEnter(form, work.run);
    return page("rewrite", form, answer);
  },
};
