// What the page says, in two languages. An element keeps the key of its words, so that a switch changes them in place.

const TEXTS = JSON.parse(by("texts").textContent);
const LANGUAGES = { en: "en", zh: "zh-Hans" };
const CHOSEN = "lexloom.language";
const values = new WeakMap();
let language = preferred();

function preferred() {
  const kept = localStorage.getItem(CHOSEN);
  if (kept in LANGUAGES) return kept;
  const first = navigator.languages.find((name) => /^(en|zh)\b/i.test(name)) ?? "en";
  return first.toLowerCase().startsWith("zh") ? "zh" : "en";
}

function text(key, filled = {}) {
  const words = TEXTS[key]?.[language];
  if (words === undefined) throw new Error(`no text ${key}`);
  return words.replace(/\{(\w+)\}/g, (_, name) => filled[name]);
}

function say(element, key, filled) {
  element.dataset.t = key;
  values.set(element, filled);
  element.textContent = text(key, resolve(filled));
}

function hush(element) {
  delete element.dataset.t;
  element.textContent = "";
}

// A value may be a function, where it is to be written anew in the other language.
const resolve = (filled = {}) =>
  Object.fromEntries(Object.entries(filled).map(([name, value]) => [name, typeof value === "function" ? value() : value]));

function useLanguage(name) {
  language = name;
  document.documentElement.lang = LANGUAGES[name];
  for (const element of document.querySelectorAll("[data-t]")) say(element, element.dataset.t, values.get(element));
  for (const element of document.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", text(element.dataset.tLabel));
  for (const element of document.querySelectorAll("[data-t-placeholder]")) element.placeholder = text(element.dataset.tPlaceholder);
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === name));
  document.dispatchEvent(new Event("language"));
}

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => {
    localStorage.setItem(CHOSEN, button.dataset.language);
    useLanguage(button.dataset.language);
  });
}

const number = (value, digits = 0) =>
  value == null || !Number.isFinite(value) ? "–" : value.toLocaleString(LANGUAGES[language], { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
// Small numbers with a decimal, large ones without.
const rounded = (value) => number(value, value < 10 ? 1 : 0);
const share = (value) => `${number(100 * value, 1)} %`;
const signed = (value, digits = 3) => (value >= 0 ? "+" : "") + number(value, digits);
