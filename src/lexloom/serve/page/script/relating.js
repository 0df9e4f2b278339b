// Relations: select two stretches of a sentence, and read how they are related.

const relationPanel = {
  id: "relations",
  routes: ["/v1/relations"],
  group: "read",
  build(models) {
    const choice = modelChoice(models);
    const box = textBox({ rows: 3, placeholder: "relations.placeholder" });
    const answer = answerPlace();
    const work = runner("relations.do", async (signal) => {
      const [found] = await ask("/v1/relations", { model: choice.chosen().id, input: box.value }, signal);
      answer.replaceChildren(classified(found));
      return ["classify.done", { label: found.label }];
    });
    work.node.append(button("relations.first", () => wrap(box, "e1"), { class: "plain" }), button("relations.second", () => wrap(box, "e2"), { class: "plain" }),
      example([[box, "relations.example"]]));
    const form = panelForm(choice.node, field("relations.text", box, "relations.note"), work.node);
    runsOnEnter(form, work.run);
    return page("relations", form, answer);
  },
};

// The selection becomes the one stretch with this mark.
function wrap(box, mark) {
  const { selectionStart, selectionEnd } = box;
  box.setRangeText(`<${mark}>${box.value.slice(selectionStart, selectionEnd)}</${mark}>`, selectionStart, selectionEnd, "end");
  box.focus();
}
