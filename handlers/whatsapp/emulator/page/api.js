// The control API. Every address is relative, so that the page works below any prefix.

async function call(method, path, body) {
  const answer = await fetch(`api/${path}`, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
    keepalive: path.endsWith("/watch"),
  });
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.error ?? `${answer.status}`);
  return value;
}

const chat = (number, person) => `chats/${encodeURIComponent(number)}/${encodeURIComponent(person)}`;

export const api = {
  state: () => call("GET", "state"),
  truth: () => call("GET", "truth"),
  addPerson: (person) => call("POST", "people", person),
  become: (person, change) => call("POST", `people/${encodeURIComponent(person)}`, change),
  chat: (number, person) => call("GET", chat(number, person)),
  /** Put a file on the person's phone; gives its id. */
  async addFile(number, file) {
    const query = new URLSearchParams({ name: file.name, type: file.type });
    const answer = await fetch(`api/media/${encodeURIComponent(number)}?${query}`, { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: file });
    const value = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(value.error ?? `${answer.status}`);
    return value.id;
  },
  act: (number, person, act) => call("POST", `${chat(number, person)}/messages`, act),
  openForm: (number, person, message) => call("POST", `${chat(number, person)}/form`, { message }),
  submitForm: (form, number, person, values) => call("POST", `forms/${encodeURIComponent(form)}/submit`, { number, person, values }),
  backInForm: (form) => call("POST", `forms/${encodeURIComponent(form)}/back`, {}),
  watch: (number, person, watching) => call("POST", `${chat(number, person)}/watch`, { watching }),
  setFaults: (number, changes) => call("PUT", `faults/${encodeURIComponent(number)}`, changes),
  decide: (number, decision) => call("POST", `accounts/${encodeURIComponent(number)}/decisions`, decision),
  setAccount: (number, changes) => call("PUT", `accounts/${encodeURIComponent(number)}`, changes),
  shift: (ms) => call("POST", "shift", { ms }),
  reset: () => call("POST", "reset", {}),
};

/** Where the page finds a file. */
export const fileAddress = (id) => `api/media/${encodeURIComponent(id)}`;

/** Listen to what changes; the browser reconnects by itself. */
export function listen({ onEvent, onOpen, onLost }) {
  const source = new EventSource("api/events");
  source.addEventListener("message", (event) => onEvent(JSON.parse(event.data)));
  source.addEventListener("open", onOpen);
  source.addEventListener("error", onLost);
}
