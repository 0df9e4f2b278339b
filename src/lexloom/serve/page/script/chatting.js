// Chat: turns with a model, its reply as it comes.

const chatPanel = {
  id: "chat",
  routes: ["/v1/chat/completions"],
  group: "make",
  build(models) {
    const choice = modelChoice(models);
    const system = textBox({ rows: 2 });
    const settings = sampling({ max_tokens: 256, temperature: 0.7, top_p: 1 });
    settings.node.append(field("chat.system", system));
    const log = el("ol", { class: "talk", role: "log", "aria-live": "off", "aria-label": text("chat.log"), "data-t-label": "chat.log" });
    const message = textBox({ rows: 2, placeholder: "chat.placeholder" });
    let turns = [];
    const work = runner("chat.send", async (signal) => {
      const said = message.value.trim();
      if (!said) return ["chat.empty"];
      const [talk, own, reply] = [turns, turnShown("user", said), turnShown("assistant", "", choice.chosen().id)];
      talk.push({ role: "user", content: said });
      log.append(own.node, reply.node);
      message.value = "";
      const opening = system.value.trim() ? [{ role: "system", content: system.value.trim() }] : [];
      try {
        await hear({ model: choice.chosen().id, messages: [...opening, ...talk], ...settings.read() }, reply, signal);
      } finally {
        if (reply.said()) talk.push({ role: "assistant", content: reply.said() });
        else if (talk === turns) takeBack(said, own, reply);
      }
      return ["chat.replied"];
    });
    // What was said to no reply is back in the box.
    function takeBack(said, ...shown) {
      turns.pop();
      for (const { node } of shown) node.remove();
      message.value ||= said;
    }
    const anew = button("chat.anew", () => { work.halt(); turns = []; log.replaceChildren(); message.focus(); }, { class: "plain" });
    work.node.append(anew, example([[message, "chat.example"]]));
    message.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      work.run();
    });
    return page("chat", panelForm(choice.node, log, field("chat.message", message, "chat.note"), work.node, settings.node));
  },
};

async function hear(body, reply, signal) {
  reply.node.setAttribute("aria-busy", "true");
  try {
    for await (const event of events("/v1/chat/completions", body, signal)) {
      const piece = event.choices?.[0]?.delta?.content;
      if (piece) reply.more(piece);
    }
  } finally {
    reply.node.setAttribute("aria-busy", "false");
  }
}

function turnShown(role, content, name) {
  const words = document.createTextNode(content);
  const speaker = el("span", { class: "speaker" }, ...(role === "user" ? [el("span", { t: "chat.you" })] : [name]));
  const node = el("li", { class: role }, speaker, el("p", {}, words));
  return { node, more: (piece) => { words.data += piece; node.scrollIntoView({ block: "nearest" }); }, said: () => words.data };
}
