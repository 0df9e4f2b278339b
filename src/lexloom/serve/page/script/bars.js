// Shares of 1 as rows with bars, the largest first; of many only the first are shown until one asks for the rest.

const BARS_SHOWN = 8;

// A bar is as long as its share of `whole`.
function bars(rows, { heading = "label", whole = 1 } = {}) {
  const [first, rest] = [rows.slice(0, BARS_SHOWN), rows.slice(BARS_SHOWN)];
  return el("div", {}, barTable(first, heading, whole),
    rest.length ? el("details", {}, el("summary", { t: "bars.rest", values: { count: () => number(rest.length) } }), barTable(rest, heading, whole)) : null);
}

function barTable(rows, heading, whole) {
  return el("table", { class: "bars" },
    el("thead", { class: "unseen" }, el("tr", {}, el("th", { scope: "col", t: heading }), el("th", { scope: "col", t: "probability" }), el("td", {}))),
    el("tbody", {}, ...rows.map(({ name, value, chosen, note }) =>
      el("tr", { class: chosen ? "chosen" : null },
        el("th", { scope: "row" }, name, note ? el("small", {}, note) : null),
        el("td", { class: "n" }, share(value)),
        el("td", { class: "drawn", "aria-hidden": "true" }, el("i", { vars: { "--share": value / whole } })),
      ))),
  );
}

const ranked = (probabilities) => Object.entries(probabilities).map(([name, value]) => ({ name, value })).sort((one, two) => two.value - one.value);
