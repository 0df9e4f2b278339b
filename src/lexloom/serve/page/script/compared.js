// Compare: what `lexloom compare` found of many models on one corpus, each with its interval on one scale.

const comparePanel = {
  id: "compare",
  group: "look",
  routes: [],
  build() {
    const place = el("div", { class: "answer" });
    const trouble = el("p", { class: "error", role: "alert" });
    const node = page("compare", trouble, place);
    const redraw = onChange((found) => place.replaceChildren(...compared(found)));
    const look = async () => {
      try {
        redraw(await get("/studio/compare"));
        hush(trouble);
      } catch (error) {
        tell(trouble, error);
      }
    };
    node.addEventListener("opened", look);
    document.addEventListener("language", () => { if (!node.hidden) look(); });
    return node;
  },
};

function compared({ measure, digits, models, alike }) {
  const ends = models.flatMap(({ value, low, high }) => [low ?? value, high ?? value]);
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const at = (value) => (to > from ? (value - from) / (to - from) : 0.5);
  const row = ({ name, value, low, high, parameters, seconds }) => el("tr", {},
    el("th", { scope: "row" }, name), el("td", { class: "n" }, number(value, digits)),
    el("td", { class: "n" }, low === null ? "–" : `${number(low, digits)} – ${number(high, digits)}`),
    el("td", { class: "drawn", "aria-hidden": "true" }, el("div", { class: "interval", vars: { "--rate": at(value), "--low": at(low ?? value), "--high": at(high ?? value) } }, el("i"), el("b"))),
    el("td", { class: "n" }, number(parameters)), el("td", { class: "n" }, number(seconds)));
  return [
    el("div", { class: "scroll" }, el("table", { class: "compared" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col", t: "model" }), el("th", { scope: "col", class: "n" }, measure), el("th", { scope: "col", class: "n", t: "compare.interval" }), el("td", {}),
        el("th", { scope: "col", class: "n", t: "compare.parameters" }), el("th", { scope: "col", class: "n", t: "compare.seconds" }))),
      el("tbody", {}, ...models.map(row)))),
    alike.length
      ? el("p", { class: "note", t: "compare.alike", values: { pairs: () => alike.map(([one, two]) => text("compare.pair", { one, two })).join(text("comma")) } })
      : el("p", { class: "note", t: "compare.real" }),
    el("p", {}, button("compare.page", () => save("/studio/compare/page", undefined, "compare.html"), { class: "plain" })),
  ];
}
