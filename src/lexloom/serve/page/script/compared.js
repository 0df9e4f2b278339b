// Compare: what `lexloom compare` found of many models on one corpus.

const comparePanel = {
  id: "compare",
  routes: [],
  group: "look",
  build() {
    const place = el("div", { class: "answer" });
    const trouble = el("p", { class: "error", role: "alert" });
    const node = page("compare", trouble, place);
    node.addEventListener("opened", async () => {
      try {
        const found = await get("/studio/compare");
        place.replaceChildren(...compared(found));
      } catch (error) {
        tell(trouble, error);
      }
    }, { once: true });
    return node;
  },
};

function compared({ columns, rows, page: hasPage }) {
  return [
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ...columns.map((name, at) => el("th", { scope: "col", class: at ? "n" : null }, name)))),
      el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((cell, at) => at ? el("td", { class: "n" }, typeof cell === "number" ? number(cell, 3) : String(cell ?? "–")) : el("th", { scope: "row" }, String(cell)))))))),
    hasPage ? el("p", {}, button("compare.page", () => save("/studio/compare/page", undefined, "compare.html"), { class: "plain" })) : null,
  ].filter(Boolean);
}
