// Shares of 1 as rows with bars, the largest first.

function bars(rows, { caption, heading = "label" } = {}) {
  const largest = Math.max(...rows.map(({ value }) => value), 1e-9);
  return el("table", { class: "bars" },
    caption ? el("caption", {}, caption) : null,
    el("thead", { class: "unseen" }, el("tr", {}, el("th", { scope: "col", t: heading }), el("th", { scope: "col", t: "probability" }), el("td", {}))),
    el("tbody", {}, ...rows.map(({ name, value, chosen, note }) =>
      el("tr", { class: chosen ? "chosen" : null },
        el("th", { scope: "row" }, name, note ? el("small", {}, note) : null),
        el("td", { class: "n" }, share(value)),
        el("td", { class: "drawn", "aria-hidden": "true" }, el("i", { vars: { "--share": value / largest } })),
      ))),
  );
}

const ranked = (probabilities) => Object.entries(probabilities).map(([name, value]) => ({ name, value })).sort((one, two) => two.value - one.value);
