// Answer: a question about a passage, its answer marked where it stands.

const answerPanel = {
  id: "answer",
  routes: ["/v1/answer"],
  group: "read",
  build(models) {
    const choice = modelChoice(models);
    const question = textBox({ rows: 1, placeholder: "answer.placeholder" });
    const passage = textBox({ rows: 6 });
    const answer = answerPlace();
    const work = runner("answer.do", async (signal) => {
      const [found] = await ask("/v1/answer", { model: choice.chosen().id, question: question.value, passage: passage.value }, signal);
      if (!found.answer) {
        answer.replaceChildren(el("p", { t: "answer.none" }));
        return ["answer.none"];
      }
      answer.replaceChildren(el("p", { class: "figure" }, found.answer), marked(passage.value, [found], answerMark));
      return ["answer.done", { answer: found.answer }];
    });
    work.node.append(example([[question, "answer.example.question"], [passage, "answer.example.passage"]]));
    const form = panelForm(choice.node, field("answer.question", question), field("answer.passage", passage), work.node);
    runsOnEnter(form, work.run);
    return page("answer", form, answer);
  },
};

const answerMark = ({ probability }, written) => el("mark", { title: probability == null ? null : share(probability) }, written);
