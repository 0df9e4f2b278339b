// How much each word spoke for an answer: blue for it with a solid line, orange against it with a broken one.

function heat(target, texts) {
  const largest = Math.max(...target.words.map(({ value }) => Math.abs(value)), 1e-12);
  const shown = (word, written) =>
    el("span", { class: word.value >= 0 ? "for" : "against", title: signed(word.value), vars: { "--share": Math.abs(word.value) / largest } }, written);
  return el("figure", { class: "heat" },
    el("h3", {}, el("b", {}, target.name), " ", el("span", { t: `measure.${target.measure}` }), " · ", el("span", { t: `method.${target.method}` })),
    ...texts.map((source, place) => marked(source, target.words.filter((word) => word.text === place), shown)),
    el("figcaption", {},
      el("span", { class: "side", t: "heat.for" }), " ", el("span", { class: "side against", t: "heat.against" }),
      target.complete === false ? el("p", { class: "note", t: "heat.incomplete" }) : null),
    heatTable(target, largest));
}

function heatTable(target, largest) {
  const rows = target.words.map(({ word, value }) =>
    el("tr", {}, el("th", { scope: "row" }, word), el("td", { class: "n" }, signed(value)),
      el("td", { class: `swing ${value >= 0 ? "for" : "against"}`, "aria-hidden": "true" }, el("i", { vars: { "--share": Math.abs(value) / largest } }))));
  return el("details", {}, el("summary", { t: "heat.table" }),
    el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col", t: "word" }), el("th", { scope: "col", class: "n", t: `measure.${target.measure}` }), el("td", {}))), el("tbody", {}, ...rows)));
}
