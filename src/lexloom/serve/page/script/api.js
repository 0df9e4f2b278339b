// Talking with the server: JSON there and back, and replies that come piece by piece.

class Refused extends Error {}

async function request(path, { body, signal } = {}) {
  const options = { headers: { ...credentials() }, signal, cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const used = key();
  const answer = await fetch(path, options);
  if (answer.status === 401) {
    await oneAtATime(used);
    return request(path, { body, signal });
  }
  if (!answer.ok) throw new Refused(await reason(answer));
  return answer;
}

const get = async (path) => (await request(path)).json();
const post = async (path, body, signal) => (await request(path, { body, signal })).json();

// The answers of a task's route, one for each input.
const ask = async (path, body, signal) => (await post(path, body, signal)).data;

let asking = null;

// Several calls may be refused at once; the reader is asked once, and whoever comes later uses the new key.
async function oneAtATime(used) {
  if (asking) return asking;
  if (key() !== used) return undefined;
  asking = askForKey(used !== null).finally(() => { asking = null; });
  return asking;
}

async function reason(answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (!type.includes("json")) return `${answer.status} ${answer.statusText}`;
  const { error } = await answer.json();
  return error?.message ?? error?.what ?? `${answer.status}`;
}

// The values of a stream of server-sent events, until [DONE].
async function* events(path, body, signal) {
  const answer = await request(path, { body: { ...body, stream: true }, signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    waiting += value;
    const whole = waiting.split(/\r?\n\r?\n/);
    waiting = whole.pop();
    for (const event of whole) {
      const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data === "[DONE]") return;
      if (!data) continue;
      const found = JSON.parse(data);
      if (found.error) throw new Refused(found.error.message);
      yield found;
    }
  }
}

// A file that needs the key can't be a plain link.
async function save(path, body, name) {
  const url = URL.createObjectURL(await (await request(path, { body })).blob());
  el("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}
