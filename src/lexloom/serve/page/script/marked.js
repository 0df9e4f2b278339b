// A text with stretches of it set apart. Offsets count characters as Python does, so the text is cut by code points.

function marked(source, stretches, show) {
  const characters = Array.from(source);
  const parts = [];
  let done = 0;
  for (const stretch of [...stretches].sort((one, two) => one.start - two.start)) {
    if (stretch.start < done) continue;
    parts.push(characters.slice(done, stretch.start).join(""));
    parts.push(show(stretch, characters.slice(stretch.start, stretch.end).join("")));
    done = stretch.end;
  }
  parts.push(characters.slice(done).join(""));
  return el("p", { class: "marked" }, ...parts);
}
