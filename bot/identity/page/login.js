// The login page: asks our own API and shows what it says. Nothing is kept: the tokens go to the page that is returned to.
"use strict";

const main = document.querySelector("main");
const { tenant, locale, returnTo, words } = JSON.parse(main.dataset.settings);
const id = (name) => document.getElementById(name);
const parts = ["ask", "give", "ways", "link", "entry"];

let challenge = "";
let listening = null;
let asking = 0;

function tell(text, wrong = false) {
  id("told").textContent = text;
  id("told").classList.toggle("wrong", wrong);
}

function show(...names) {
  for (const part of parts) id(part).hidden = !names.includes(part);
}

async function call(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
      credentials: "same-origin",
    });
    const text = await answer.text();
    return { status: answer.status, wait: Number(answer.headers.get("Retry-After")), body: text ? JSON.parse(text) : {} };
  } catch {
    return { status: 0, wait: 0, body: {} };
  }
}

// One press, one request; what cannot be done is said.
async function busy(button, work) {
  if (button.disabled) return;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
  }
}

function refused(answer, mine = {}) {
  if (answer.status === 429) {
    const minutes = Math.max(1, Math.ceil(answer.wait / 60));
    tell(words.too_many.replace("(minutes)", minutes), true);
  } else {
    tell(mine[answer.status] || words.down, true);
  }
}

function enter(session) {
  stop();
  show();
  tell(words.done);
  id("language").hidden = true;
  document.querySelector("h1").focus();
  if (returnTo) {
    const { access_token, refresh_token, token_type, expires_in, ugid } = session;
    const told = new URLSearchParams({ access_token, refresh_token, token_type, expires_in, ugid });
    location.replace(`${returnTo.split("#")[0]}#${told}`);
  }
}

// ---------------------------------------------------------------- a code

id("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.submitter || id("ask").querySelector("button"), async () => {
    const asked = { phone: id("phone").value.trim(), locale };
    if (tenant) asked.tenant = tenant;
    const answer = asked.phone ? await call("POST", "/auth/otp", asked) : { status: 422 };
    if (answer.status !== 202) {
      refused(answer, { 422: words.phone_wrong });
      id("phone").focus();
      return;
    }
    challenge = answer.body.challenge_id;
    tell(words.code_sent);
    show("give");
    id("code").value = "";
    id("code").focus();
  });
});

id("give").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.submitter || id("give").querySelector("button"), async () => {
    const code = id("code").value.replace(/\D/g, "");
    const answer = code.length === 6 ? await call("POST", "/auth/otp/verify", { challenge_id: challenge, code }) : { status: 401 };
    if (answer.status === 200) return enter(answer.body);
    refused(answer, { 401: words.code_wrong });
    id("code").focus();
    id("code").select();
  });
});

function start() {
  stop();
  challenge = "";
  tell("");
  show("ask", "ways");
  id("phone").focus();
}

id("other-phone").addEventListener("click", start);
id("with-code").addEventListener("click", start);

// ---------------------------------------------------------------- WhatsApp itself

id("begin").addEventListener("click", () => busy(id("begin"), async () => {
  const asked = { locale };
  if (tenant) asked.tenant = tenant;
  const answer = await call("POST", "/auth/link", asked);
  if (answer.status !== 201) return refused(answer);
  id("qr").src = `data:image/svg+xml,${encodeURIComponent(answer.body.qr)}`;
  id("open").href = answer.body.url;
  show("link");
  id("open").focus();
  listen();
}));

function stop() {
  if (listening) listening.close();
  listening = null;
  clearTimeout(asking);
}

function listen() {
  stop();
  listening = new EventSource("/auth/link/events");
  listening.addEventListener("status", (event) => heard(JSON.parse(event.data).status));
  // Something on the way cuts it, or the server has too many: then we ask.
  listening.addEventListener("error", () => { stop(); ask(); });
}

async function ask() {
  const answer = await call("GET", "/auth/link");
  if (answer.status === 200 && heard(answer.body.status)) return;
  asking = setTimeout(ask, 2000);
}

// Whether there is nothing more to wait for.
function heard(status) {
  switch (status) {
    case "waiting":
      tell(words.waiting);
      return false;
    case "asked":
      tell(words.asked);
      return false;
    case "approved":
      stop();
      take();
      return true;
    default:
      stop();
      show("ask", "ways");
      tell(status === "refused" ? words.refused : words.over, true);
      return true;
  }
}

async function take() {
  const answer = await call("POST", "/auth/link/session");
  if (answer.status === 200) return enter(answer.body);
  show("ask", "ways");
  refused(answer, { 401: words.over });
}

// ---------------------------------------------------------------- from the chat

// Whoever only looks at the address (a preview, a scanner) does not use it up: it takes a press.
const entry = new URLSearchParams(location.hash.slice(1)).get("entry");
if (entry) {
  history.replaceState(null, "", location.pathname + location.search);
  show("entry");
  tell(words.entry);
  id("enter-panel").addEventListener("click", () => busy(id("enter-panel"), async () => {
    const answer = await call("POST", "/auth/entry", { entry });
    if (answer.status === 200) return enter(answer.body);
    show("ask", "ways");
    refused(answer, { 401: words.entry_over });
  }));
}
