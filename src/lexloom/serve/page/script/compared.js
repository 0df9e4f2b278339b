// Compare: what `lexloom compare` found of many models on one corpus, each with its interval on one scale.

const comparePanel = {
  id: "compare",
  group: "look",
  routes: [],
  build() {
    const place = el("div", { class: "answer" });
    const trouble = el("p", { class: "error", role: "alert" });
    const status = el("p", { class: "status", role: "status", t: "opening" });
    const node = page("compare", status, trouble, place);
    const redraw = onChange((found) => place.replaceChildren(...compared(found, trouble)));
    const look = async () => {
      try {
        redraw(await get("/studio/compare"));
        hush(trouble);
      } catch (error) {
        tell(trouble, error);
      } finally {
        hush(status);
      }
    };
    node.addEventListener("opened", look);
    return node;
  },
};

function compared(found, trouble) {
  const pairs = () => found.alike.map(([one, two]) => text("compare.pair", { one, two })).join(text("comma"));
  return [
    found.picture ? comparePicture(found.picture) : null,
    el("div", { class: "scroll" }, comparedTable(found)),
    el("div", {}, el("p", { class: "note", t: found.less_is_better ? "compare.less" : "compare.more" }),
      found.alike.length ? el("p", { class: "note", t: "compare.alike", values: { pairs } }) : el("p", { class: "note", t: "compare.real" })),
    el("p", {}, saver("compare.page", trouble, "/studio/compare/page", undefined, "compare.html")),
  ].filter(Boolean);
}

// An image and no markup: nothing in it can run, and it takes light or dark from the screen as the page does.
function comparePicture(svg) {
  return el("div", { class: "scroll picture", tabindex: "0", role: "group", "aria-label": text("compare.picture"), "data-t-label": "compare.picture" },
    el("img", { src: `data:image/svg+xml,${encodeURIComponent(svg)}`, alt: text("compare.picture") }));
}

function comparedTable({ measure, digits, models }) {
  const ends = models.flatMap(({ value, low, high }) => [low ?? value, high ?? value]);
  const [from, to] = [Math.min(...ends), Math.max(...ends)];
  const at = (value) => (to > from ? (value - from) / (to - from) : 0.5);
  const row = ({ name, value, low, high, parameters, seconds }, place) => el("tr", { class: place === 0 ? "best" : null },
    el("th", { scope: "row" }, name), el("td", { class: "n" }, number(value, digits)),
    el("td", { class: "n" }, low === null ? "–" : `${number(low, digits)}–${number(high, digits)}`),
    el("td", { class: "drawn", "aria-hidden": "true" }, el("div", { class: "interval", vars: { "--rate": at(value), "--low": at(low ?? value), "--high": at(high ?? value) } }, el("i"), el("b"))),
    el("td", { class: "n" }, number(parameters)), el("td", { class: "n" }, rounded(seconds)));
  return el("table", { class: "compared" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col", t: "model" }), el("th", { scope: "col", class: "n" }, twin(measure)), el("th", { scope: "col", class: "n", t: "compare.interval" }), el("td", {}),
      el("th", { scope: "col", class: "n", t: "compare.parameters" }), el("th", { scope: "col", class: "n", t: "compare.seconds" }))),
    el("tbody", {}, ...models.map(row)));
}
