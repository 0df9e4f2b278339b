// The key of a server that asks for one: typed in by the reader, kept by this tab and nowhere else.

const KEPT = "lexloom.key";

const key = () => sessionStorage.getItem(KEPT);
const credentials = () => (key() ? { Authorization: `Bearer ${key()}` } : {});

function askForKey(wrong) {
  const dialog = by("key");
  sessionStorage.removeItem(KEPT);
  if (wrong) say(by("key-wrong"), "key.wrong");
  by("key-field").value = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => {
      const typed = by("key-field").value.trim();
      if (typed) sessionStorage.setItem(KEPT, typed);
      resolve();
    }, { once: true }),
  );
}
