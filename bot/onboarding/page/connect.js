// The page on which a firm's own number is connected: opens Meta's window, and tells our server what it gave. What the
// window says of accounts and numbers is a hint; the server asks Meta.
"use strict";

const main = document.querySelector("main");
const { able, appId, configId, sdk, version, origins, words } = JSON.parse(main.dataset.settings);
const id = (name) => document.getElementById(name);
const parts = ["start", "progress", "pin", "ways"];
const ways = ["retry", "restart", "back", "person"];

const IDS_WITHIN_MS = 8_000; // the code comes without the ids now and then, and lives for half a minute
const ASK_MS = 1_500;

let ticket = "";
let attempt = null; // what Meta's window has given so far
let asking = 0;
let retry = () => {};

function tell(text, wrong = false) {
  id("told").textContent = text;
  id("told").classList.toggle("wrong", wrong);
}

function show(names, ...shown) {
  for (const part of parts) id(part).hidden = part === "ways" ? !shown.length : !names.includes(part);
  for (const way of ways) if (id(way)) id(way).hidden = !shown.includes(way);
}

function fill(text, name, value) {
  return text.split(`(${name})`).join(value);
}

async function call(path, body) {
  try {
    const answer = await fetch(`/connect/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ticket, ...body }),
      credentials: "omit",
      referrerPolicy: "no-referrer",
    });
    const text = await answer.text();
    return { status: answer.status, wait: Number(answer.headers.get("Retry-After")), body: text ? JSON.parse(text) : {} };
  } catch {
    return { status: 0, wait: 0, body: {} };
  }
}

async function busy(button, work) {
  if (button.disabled) return;
  button.disabled = true;
  try {
    await work();
  } finally {
    button.disabled = false;
  }
}

// ---------------------------------------------------------------- what the server says

function problem(answer) {
  const kind = String(answer.body.type || "").replace("urn:smarterbot:problem:", "");
  if (answer.status === 429) return fill(words.too_many_tries, "minutes", Math.max(1, Math.ceil(answer.wait / 60)));
  return words[`not_${kind}`] || words.not_down;
}

// The ticket opens nothing any more: only another one helps, which the chat gives.
const OVER = ["ticket", "late", "no_member", "cannot"];

function refused(answer, again) {
  const kind = String(answer.body.type || "").replace("urn:smarterbot:problem:", "");
  tell(problem(answer), true);
  if (OVER.includes(kind)) return show([], "back", "person");
  if (kind === "used") return look();
  retry = again;
  show([], "retry", "person");
}

function paint(stands) {
  id("firm").textContent = stands.firm;
  id("firm").hidden = !stands.firm;
  id("number").textContent = stands.number;
  const steps = [...id("steps").children];
  // Between registering and checking the app's contacts are asked for, which is nobody's step here.
  const step = stands.step === "sync" ? "check" : stands.step;
  const now = steps.findIndex((each) => each.dataset.step === step);
  steps.forEach((each, place) => {
    const done = stands.state === "done" || step === "done" || place < now;
    each.dataset.is = done ? "done" : place > now ? "later" : stands.state === "failed" ? "wrong" : "now";
    if (each.dataset.is === "now") each.setAttribute("aria-current", "step");
    else each.removeAttribute("aria-current");
  });
  id("steps").querySelector('[data-step="register"]').hidden = stands.coexistence;
}

function stands(answer) {
  paint(answer);
  switch (answer.state) {
    case "open":
      return begin();
    case "pending":
      show(["progress"]);
      tell(answer.coexistence ? words.working_app : words.working);
      asking = setTimeout(look, ASK_MS);
      return;
    case "done":
      show(["progress"], "back");
      tell(fill(words.done, "number", answer.number));
      id("language").hidden = true;
      document.querySelector("h1").focus();
      return;
    case "failed":
      failed(answer);
  }
}

function failed(answer) {
  tell(words[`failed_${answer.reason}`] || words.failed_refused, true);
  retry = again;
  if (answer.reason === "pin") {
    show(["progress", "pin"], "restart", "person");
    id("pin-field").value = "";
    id("pin-field").focus();
  } else if (answer.reason === "token" || answer.reason === "unverified") {
    show(["progress"], "restart", "person");
  } else {
    show(["progress"], "retry", "restart", "person");
  }
}

async function look() {
  clearTimeout(asking);
  const answer = await call("status");
  if (answer.status === 200) return stands(answer.body);
  if (answer.status === 0 || answer.status >= 500) {
    // On the way or on our side: it goes on without us, so we only ask again.
    tell(words.not_down, true);
    asking = setTimeout(look, 3 * ASK_MS);
    return;
  }
  refused(answer, look);
}

async function again(pin = "") {
  const answer = await call("again", { pin });
  if (answer.status === 202) return stands(answer.body);
  refused(answer, look);
}

id("pin").addEventListener("submit", (event) => {
  event.preventDefault();
  const pin = id("pin-field").value.replace(/\D/g, "");
  if (pin.length !== 6) {
    tell(words.pin_wrong, true);
    id("pin-field").focus();
    return;
  }
  busy(event.submitter || id("pin").querySelector("button"), () => again(pin));
});

id("retry").addEventListener("click", () => busy(id("retry"), async () => retry()));
id("restart").addEventListener("click", () => begin());

// ---------------------------------------------------------------- Meta's window

function begin() {
  attempt = null;
  show(["start"]);
  tell(window.FB ? "" : words.loading);
  load();
}

function load() {
  if (window.FB) return ready();
  if (id("sdk")) return;
  window.fbAsyncInit = () => {
    FB.init({ appId, version, cookie: false, xfbml: false, autoLogAppEvents: false });
    ready();
  };
  const script = document.createElement("script");
  script.id = "sdk";
  script.src = sdk;
  script.async = true;
  script.crossOrigin = "anonymous";
  script.addEventListener("error", () => {
    // Blockers of trackers stop it.
    script.remove();
    tell(words.sdk_blocked, true);
    retry = begin;
    show([], "retry", "person");
  });
  document.head.append(script);
}

function ready() {
  id("go").disabled = false;
  if (!id("start").hidden) tell("");
}

id("start").addEventListener("submit", (event) => {
  event.preventDefault();
  // Pressed again while a window is open, or was kept from opening: the newest one counts.
  if (!window.FB || attempt?.given) return;
  const coexistence = new FormData(id("start")).get("kind") === "app";
  const mine = { coexistence, code: "", ids: null, given: false };
  attempt = mine;
  tell(words.in_window);
  // Within the press itself, or the browser would not open a window. Meta's pages differ on who chooses the version: the
  // configuration, or this word. Both say v4.
  FB.login((response) => came(mine, response), {
    config_id: configId,
    response_type: "code",
    override_default_response_type: true,
    extras: {
      version: "v4",
      setup: {},
      ...(coexistence ? { featureType: "whatsapp_business_app_onboarding" } : {}),
    },
  });
});

function allowed(origin) {
  return origins.some((each) => {
    const [before, after] = each.split("*");
    return after === undefined ? origin === each : origin.startsWith(before) && origin.endsWith(after) && !/[/:?#@]/.test(origin.slice(before.length, -after.length));
  });
}

window.addEventListener("message", (event) => {
  if (!attempt || !allowed(event.origin)) return;
  let told = event.data;
  if (typeof told === "string") {
    try {
      told = JSON.parse(told);
    } catch {
      return; // the SDK talks to itself too
    }
  }
  if (told?.type !== "WA_EMBEDDED_SIGNUP" || typeof told.event !== "string") return;
  const data = typeof told.data === "object" && told.data !== null ? told.data : {};
  const digits = (value) => (/^[0-9]{1,32}$/.test(String(value ?? "")) ? String(value) : "");
  if (told.event === "FINISH_ONLY_WABA") {
    stopped(words.no_number);
  } else if (told.event.startsWith("FINISH")) {
    attempt.ids = { waba_id: digits(data.waba_id), phone_number_id: digits(data.phone_number_id) };
    // Meta's window lets people choose otherwise than they did here.
    attempt.coexistence = told.event === "FINISH_WHATSAPP_BUSINESS_APP_ONBOARDING";
    together(attempt);
  } else if (told.event.startsWith("ERROR") || data.error_message || data.error_code) {
    // What people report in the window, under either name. Its words are Meta's, in the window.
    stopped(words.meta_error);
  } else if (told.event.startsWith("CANCEL")) {
    stopped(words.cancelled);
  }
});

function came(mine, response) {
  if (attempt !== mine) return;
  mine.code = response?.authResponse?.code || "";
  if (!mine.code) {
    // The window was closed, or something was not allowed; what it had to say about that comes as a message.
    setTimeout(() => attempt === mine && stopped(mine.ids ? words.no_code : words.cancelled), 300);
    return;
  }
  together(mine);
}

// The two halves come in either order. The code comes when the window is closed, the ids maybe never: then the server
// finds out by itself, if it can.
function together(mine) {
  if (!mine.code) return;
  if (mine.ids) return give(mine);
  tell(words.checking);
  setTimeout(() => {
    if (attempt !== mine || mine.given) return;
    mine.ids = { waba_id: "", phone_number_id: "" };
    give(mine);
  }, IDS_WITHIN_MS);
}

async function give(mine) {
  if (mine.given) return;
  mine.given = true;
  show([]);
  tell(words.checking);
  const answer = await call("number", { code: mine.code, coexistence: mine.coexistence, ...mine.ids });
  mine.code = "";
  attempt = null;
  if (answer.status === 202) return stands(answer.body);
  refused(answer, begin);
}

function stopped(text) {
  attempt = null;
  tell(text, true);
  retry = begin;
  show(["start"], "person");
  id("go").focus();
}

// ---------------------------------------------------------------- the ticket

// Kept for this tab alone: telephones load a page anew while another one is in front.
const brought = location.hash.slice(1);
if (brought) {
  history.replaceState(null, "", location.pathname + location.search);
  try {
    sessionStorage.setItem("connect", brought);
  } catch {
    // Without it a reload needs the link again.
  }
}
try {
  ticket = brought || sessionStorage.getItem("connect") || "";
} catch {
  ticket = brought;
}

if (!able) {
  tell(words.not_cannot, true);
  show([], "back", "person");
} else if (!ticket) {
  tell(words.no_ticket, true);
  show([], "back", "person");
} else {
  look();
}
