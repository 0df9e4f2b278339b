// What takes how much of what: pick a word (pointer, finger or keyboard), and what it looked at is shaded. Both sides are
// lists of {word, sign}: a sign is a model's own, such as the one that ends a text.

const withSigns = (words, special) => words.map((word, at) => ({ word, sign: special[at] }));

// `same` where a text looks at itself.
function looks({ takers, taken, weights, chosen = 0, same = false }) {
  const takenWords = taken.map(({ word, sign }) => el("span", { class: sign ? "taken sign" : "taken" }, word));
  const told = el("p", { class: "told", role: "status" });
  const takerWords = takers.map(({ word, sign }, place) =>
    el("button", { type: "button", class: sign ? "taker sign" : "taker", tabindex: "-1", "aria-pressed": "false",
      on: { pointerenter: () => pick(place), focus: () => pick(place), click: () => pick(place) } }, word));
  let current = -1;

  function pick(place) {
    if (place === current || place < 0 || place >= takers.length) return;
    current = place;
    const shares = weights[place];
    const largest = Math.max(...shares, 1e-9);
    takenWords.forEach((word, at) => word.style.setProperty("--share", (shares[at] / largest).toFixed(3)));
    takerWords.forEach((word, at) => {
      word.setAttribute("aria-pressed", String(at === place));
      word.tabIndex = at === place ? 0 : -1;
    });
    const most = shares.map((value, at) => [value, at]).sort((one, two) => two[0] - one[0]).slice(0, 3).filter(([value]) => value > 0);
    say(told, "looks.told", { word: takers[place].word, most: () => most.map(([value, at]) => `${taken[at].word} ${number(100 * value)} %`).join(text("comma")) });
  }

  function move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    takerWords[Math.min(Math.max(current + step, 0), takers.length - 1)].focus();
  }

  const label = same ? "looks.from" : "looks.written";
  const from = el("div", { class: "takers", role: "group", "aria-label": text(label), "data-t-label": label, on: { keydown: move } }, ...takerWords);
  const to = el("p", { class: "takens" }, ...takenWords);
  pick(Math.min(chosen, takers.length - 1));
  return el("div", { class: "looks" }, el("h3", { t: same ? "looks.same" : "looks.source" }), to, el("h3", { t: label }), from, told);
}

const mapDetails = (seen) => el("details", {}, el("summary", { t: "looks.map" }), map(seen));

// The same as a map: a row for each word that looks, a column for each that is looked at.
function map({ takers, taken, weights }) {
  const largest = Math.max(...weights.flat(), 1e-9);
  const faint = 0.004;
  const drawing = svg("svg", { viewBox: `0 0 ${taken.length} ${takers.length}`, class: "map", "aria-hidden": "true", preserveAspectRatio: "none" });
  weights.forEach((row, y) => row.forEach((value, x) => {
    if (value / largest > faint) drawing.append(svg("rect", { x, y, width: 1, height: 1, "fill-opacity": (value / largest).toFixed(3) }));
  }));
  const frame = el("div", { class: "mapped", vars: { "--across": taken.length, "--down": takers.length } },
    el("ol", { class: "across", "aria-hidden": "true" }, ...taken.map(mapped)), el("ol", { class: "down", "aria-hidden": "true" }, ...takers.map(mapped)), drawing);
  return el("figure", {}, el("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": text("looks.map"), "data-t-label": "looks.map" }, frame), el("figcaption", { t: "looks.caption" }));
}

const mapped = ({ word, sign }) => el("li", { class: [upright(word) && "upright", sign && "sign"].filter(Boolean).join(" ") || null }, word);

const upright = (word) => /[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]/.test(word);
