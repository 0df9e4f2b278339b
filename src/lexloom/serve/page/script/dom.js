// Elements, made of names, attributes and children. Text only ever becomes text: nothing here can parse markup.

const SVG = "http://www.w3.org/2000/svg";

const by = (id) => document.getElementById(id);

// `t` is a key of texts.json for what the element says; `on` holds listeners; everything else is an attribute.
function el(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, name), attributes, children);
}

function furnish(element, { t, values, on = {}, vars = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  for (const [name, value] of Object.entries(vars)) element.style.setProperty(name, value);
  if (t) say(element, t, values);
  element.append(...children.filter((child) => child != null));
  return element;
}

let numbered = 0;
const freshId = (stem) => `${stem}-${++numbered}`;
