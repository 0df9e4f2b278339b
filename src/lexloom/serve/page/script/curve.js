// A learning curve: every step faint, the running mean on top, validation as dots. Colours come from the style sheet.

const CURVE = { width: 640, height: 260, left: 46, right: 12, top: 14, bottom: 30 };
const TICKS = 5;

// `every`, `mean` and `validation` are lists of [step, loss]; `total` is the step at which the run will end.
function curve({ every, mean, validation, total }) {
  const losses = [...every, ...validation].map(([, loss]) => loss);
  if (!losses.length) return el("p", { class: "note", t: "runs.nothing" });
  const x = scale(0, Math.max(total ?? 0, every.at(-1)?.[0] ?? 0, 1), CURVE.left, CURVE.width - CURVE.right);
  const y = scale(Math.min(...losses), Math.max(...losses), CURVE.height - CURVE.bottom, CURVE.top);
  const line = (points, name) => svg("path", { class: name, d: points.map(([step, loss], at) => `${at ? "L" : "M"}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join("") });
  const told = text("runs.curve", { from: number(losses[0], 2), to: number(mean.at(-1)?.[1] ?? losses.at(-1), 2) });
  return svg("svg", { viewBox: `0 0 ${CURVE.width} ${CURVE.height}`, class: "curve", role: "img", "aria-label": told },
    ...ticks(y.from, y.to).map((loss) => level(loss, y(loss), digitsOf(y.to - y.from))),
    ...ticks(x.from, x.to).map((step) => svg("text", { x: x(step), y: CURVE.height - 8, "text-anchor": "middle" }, number(step))),
    line(every, "every"), line(mean, "mean"), line(validation, "validation"),
    ...validation.map(([step, loss]) => svg("circle", { cx: x(step), cy: y(loss), r: 3.2, class: "dot" })));
}

function level(loss, y, digits) {
  return svg("g", {}, svg("line", { x1: CURVE.left, x2: CURVE.width - CURVE.right, y1: y, y2: y, class: "grid" }),
    svg("text", { x: CURVE.left - 8, y: y + 4, "text-anchor": "end" }, number(loss, digits)));
}

function scale(from, to, start, end) {
  const wide = to > from ? to - from : 1;
  return Object.assign((value) => start + ((value - from) / wide) * (end - start), { from, to: from + wide });
}

// Round numbers between two others, about TICKS of them.
function ticks(from, to) {
  const rough = (to - from) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(from / step) * step;
  return Array.from({ length: Math.floor((to - first) / step + 1e-9) + 1 }, (_, at) => first + at * step);
}

const digitsOf = (wide) => Math.min(3, Math.max(0, 1 - Math.floor(Math.log10(wide / TICKS))));
