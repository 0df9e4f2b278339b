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
      answer.append(looks({ takers: attention.written, taken: attention.read, weights: attention.mean }), mapDetails({ takers: attention.written, taken: attention.read, weights: attention.mean }));
      return ["rewrite.done"];
    });
    work.node.append(example([[box, "rewrite.example"]]));
    const form = panelForm(choice.node, field("text", box), work.node);
    runsOnEnter(form, work.run);
    return page("rewrite", form, answer);
  },
};

const mapDetails = (what) => el("details", {}, el("summary", { t: "looks.map" }), map(what));
