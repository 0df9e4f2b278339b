// The page: which panels there are, which the served models can fill, and moving between them.

const GROUPS = ["make", "read", "look", "judge"];
const PANELS = [writePanel, chatPanel, rewritePanel, fillPanel, classifyPanel, tagPanel, relationPanel, answerPanel, similarityPanel, explainPanel, runsPanel, comparePanel, votePanel];

function modelsFor(panel, { models }) {
  return models.filter(({ routes }) => panel.routes.some((route) => routes.includes(route)));
}

// What the server can do: its models as any client sees them, and what the studio has beside its routes.
async function theState() {
  const studio = await get("/studio/state");
  const { data } = await get("/v1/models");
  const models = data.map((model) => {
    const explains = studio.explains[model.id];
    const read = explains && !model.routes.some((route) => rewritePanel.routes.includes(route));
    return { ...model, explains, mask: studio.masks[model.id], scale: studio.scales[model.id] ?? [0, 1], routes: read ? [...model.routes, "/studio/explain"] : model.routes };
  });
  return { ...studio, models };
}

const isThere = {
  runs: (state) => state.runs,
  compare: (state) => state.compare,
  vote: (state) => state.votes && modelsFor(votePanel, state).length > 1,
};

function panelsOf(state) {
  return PANELS.filter((panel) => (isThere[panel.id] ?? (() => modelsFor(panel, state).length > 0))(state));
}

function menu(panels) {
  return GROUPS.map((group) => [group, panels.filter((panel) => panel.group === group)]).filter(([, members]) => members.length).map(([group, members]) => {
    const id = `group-${group}`;
    return el("div", {}, el("p", { id, t: `group.${group}` }), el("ul", { "aria-labelledby": id }, ...members.map((panel) => el("li", {}, el("a", { href: `#${panel.id}`, t: `${panel.id}.name` })))));
  });
}

// The skip link leads to the panel that is open, which isn't a place of its own.
by("skip").addEventListener("click", (event) => {
  event.preventDefault();
  by("main").focus();
});

// Shows the panel of the address; it hears of being opened, and of being opened anew in another language.
function open(panels, { focus }) {
  const chosen = panels.find(({ id }) => `#${id}` === location.hash) ?? panels[0];
  for (const { id } of panels) by(`panel-${id}`).hidden = id !== chosen.id;
  for (const link of by("panels").querySelectorAll("a")) {
    if (link.hash === `#${chosen.id}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const section = by(`panel-${chosen.id}`);
  section.dispatchEvent(new Event("opened"));
  by("panels").querySelector("[aria-current]").scrollIntoView({ block: "nearest", inline: "center" });
  document.title = `${text(`${chosen.id}.name`)} · Lexloom Studio`;
  if (focus) by(`${chosen.id}-title`).focus();
}

async function start() {
  useLanguage(language);
  try {
    const state = await theState();
    const panels = panelsOf(state);
    if (!panels.length) return say(by("opening"), "empty");
    by("panels").replaceChildren(...menu(panels));
    by("main").replaceChildren(...panels.map((panel) => panel.build(modelsFor(panel, state), state)));
    open(panels, { focus: false });
    window.addEventListener("hashchange", () => { if (panels.some(({ id }) => location.hash === `#${id}`)) open(panels, { focus: true }); });
    document.addEventListener("language", () => open(panels, { focus: false }));
  } catch (error) {
    tell(by("opening"), error);
  }
  return undefined;
}

start();
