// Tag: names and terms highlighted in the text.

const tagPanel = {
  id: "tag",
  routes: ["/v1/tag"],
  group: "read",
  build(models) {
    const choice = modelChoice(models);
    const box = textBox({ rows: 4, placeholder: "tag.placeholder" });
    const answer = answerPlace();
    const work = runner("tag.do", async (signal) => {
      const [{ entities }] = await ask("/v1/tag", { model: choice.chosen().id, input: box.value }, signal);
      answer.replaceChildren(marked(box.value, entities, entity));
      return ["tag.done", { count: () => number(entities.length) }];
    });
    work.node.append(example([[box, "tag.example"]]));
    const form = panelForm(choice.node, field("text", box), work.node);
    runsOnEnter(form, work.run);
    return page("tag", form, answer);
  },
};

function entity({ type, probability }, written) {
  return el("mark", { title: probability == null ? null : share(probability) }, written, el("span", { class: "kind" }, `\u00a0${type}`));
}
