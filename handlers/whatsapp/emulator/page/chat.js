// The chat page: the list of people, the open conversation, and what the person does in it.

import { api, listen } from "./api.js";
import { bubble, preview, refresh } from "./bubbles.js";
import { askForm, askPerson, askTime, askWords, chooseChange, chooseEmoji, chooseRow, closeForm, showProducts, showScreen } from "./dialogs.js";
import { avatar, byId, el, fillTexts, icon } from "./dom.js";
import { day, dayKey, left, longDay, moment, phone, time } from "./format.js";
import { business, chatOf, load, me, now, on, open, state, take } from "./state.js";
import { TEXTS } from "./texts.js";
import { openWhereThereIsRoom, startTools } from "./tools.js";

const TOAST_MS = 3500;
const NEAR_END_PX = 120;
const SOON_MS = 3_600_000;
const TICK_MS = 1000;
const SAMPLE_PHONE = 56912345678;

const app = byId("app");
const scroll = byId("scroll");
const log = byId("log");
const text = byId("text");
let drawn = new Map(); // wamid -> bubble
let toastTimer = 0;
let started = false;
const asked = new URLSearchParams(location.search); // of the address that we came by; the page keeps its own

// ------------------------------------------------------------------ telling

function toast(words) {
  const box = byId("toast");
  box.textContent = words;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (box.hidden = true), TOAST_MS);
}

const attempt = (work) => work.catch((error) => toast(TEXTS.error + error.message));
const act = (what) => attempt(api.act(state.number, state.person, what));

// ------------------------------------------------------------------ people

function drawPeople() {
  const people = [...state.people.values()];
  const lastAt = (person) => chatOf(person.id)?.last?.at_ms ?? 0;
  people.sort((a, b) => lastAt(b) - lastAt(a));
  const focused = document.activeElement?.closest("[data-person]")?.dataset.person;
  byId("people").replaceChildren(...people.map(personRow));
  if (focused) byId("people").querySelector(`[data-person="${CSS.escape(focused)}"]`)?.focus();
  byId("people-empty").hidden = people.length > 0;
  byId("number-label").hidden = state.numbers.length < 2;
  byId("number").replaceChildren(...state.numbers.map((number) => el("option", { value: number.id, text: `${number.name} · ${number.display_phone}`, selected: number.id === state.number })));
}

function personRow(person) {
  const chat = chatOf(person.id);
  const last = chat?.last;
  const typing = chat && chat.typing_until_ms > now();
  const sign = person.wa_id && !person.hides_phone ? phone(person.wa_id) : `@${person.username} · ${TEXTS.only_username}`;
  return el(
    "li",
    {},
    el(
      "button",
      { class: "person", "data-person": person.id, "aria-current": person.id === state.person ? "true" : null, on: { click: () => attempt(open(person.id)) } },
      avatar(person.name),
      el(
        "span",
        { class: "grow" },
        el("span", { class: "line" }, el("strong", { text: person.name }), last && el("time", { text: moment(last.at_ms, now()) })),
        el(
          "span",
          { class: "line" },
          el("span", { class: `peek ${typing ? "is-typing" : ""}`, text: typing ? TEXTS.typing : last ? preview(last) : sign }),
          chat?.unread ? el("span", { class: "badge", "aria-label": TEXTS.unread(chat.unread), text: chat.unread }) : "",
        ),
      ),
    ),
  );
}

async function addPerson(body) {
  const person = await api.addPerson(body);
  state.people.set(person.id, person);
  await open(person.id);
  text.focus();
}

function nextPhone() {
  const taken = new Set([...state.people.values()].map((person) => person.wa_id));
  let digits = SAMPLE_PHONE;
  while (taken.has(String(digits))) digits += 1;
  return String(digits);
}

// ------------------------------------------------------------------ the conversation

function drawChat() {
  const person = me();
  app.dataset.view = person ? "chat" : "list";
  byId("welcome").hidden = Boolean(person);
  byId("talk").hidden = !person;
  byId("start").hidden = state.people.size > 0;
  drawn = new Map();
  log.setAttribute("aria-live", "off"); // the past is not news
  log.replaceChildren();
  if (!person) return;
  byId("chat-name").textContent = business().name;
  byId("chat-avatar").replaceChildren(avatar(business().name, "business"));
  for (const message of state.messages) if (message.content.type !== "reaction") append(message);
  drawHead();
  scroll.scrollTop = scroll.scrollHeight;
  requestAnimationFrame(() => log.setAttribute("aria-live", "polite"));
}

function append(message) {
  const before = log.lastElementChild;
  const key = dayKey(message.at_ms);
  if (before?.dataset.day !== key) log.append(el("li", { class: "day", "data-day": key }, el("span", { text: day(message.at_ms, now()) })));
  const item = bubble(message, {
    tap: (id) => act({ type: "tap", message: message.wamid, id }),
    list: (content) => chooseRow(content, (row) => act({ type: "tap", message: message.wamid, id: row.id })),
    react: () => {
      const latest = state.messages.find((each) => each.wamid === message.wamid) ?? message;
      chooseEmoji(latest.emoji, (emoji) => act({ type: "reaction", message: message.wamid, emoji }), correctionOf(latest));
    },
    copied: (code) => attempt(navigator.clipboard.writeText(code).then(() => toast(TEXTS.copied))),
    find: (wamid) => state.messages.find((each) => each.wamid === wamid),
    place: () => act({ ...ATTACHMENTS.location(), quotes: message.wamid }),
    phone: () => act({ type: "share_phone", message: message.wamid }),
    fill: (title, data) => attempt(fillIn(message, title, data)),
    products: showProducts,
  });
  item.dataset.day = key;
  item.classList.toggle("first", !before?.classList.contains(message.outbound ? "theirs" : "mine") || before?.dataset.day !== key);
  log.append(item);
  drawn.set(message.wamid, item);
}

/** What can be done to a message by whoever wrote it; nothing to the bot's. */
function correctionOf(message) {
  if ((message.outbound && !message.by_hand) || message.changed === "revoked") return null;
  const { type, body, caption } = message.content;
  return {
    text: type === "text" ? body : type === "image" ? caption : null,
    edit: (words) => act({ type: "edit", message: message.wamid, body: words }),
    revoke: () => act({ type: "revoke", message: message.wamid }),
  };
}

/** What a person does with WhatsApp outside of the chat. */
function changePerson() {
  const become = (change) => attempt(api.become(state.person, change));
  chooseChange(me().name, {
    number: () => askWords(TEXTS.changes.number, phone(nextPhone()), (words) => become({ wa_id: words.replace(/\D/g, "") })),
    user_id: () => become({ renew_id: true }),
    device: () => become({ new_device: true }),
    username: () => askWords(TEXTS.changes.username, me().username, (words) => become({ username: words, hides_phone: true })),
    stop: () => act({ type: "offers", wanted: false }),
    resume: () => act({ type: "offers", wanted: true }),
  });
}

/** Open the form of a message: its screens, or, if the emulator does not have it, fields that are named by hand. */
async function fillIn(message, title, data) {
  const { number, person } = state;
  const shown = await api.openForm(number, person, message.wamid);
  if (shown.known === false) {
    askForm(title, data, (values) => act({ type: "fill", message: message.wamid, values }));
    return;
  }
  const step = (next) => {
    if (next.screen) showScreen(next, { submit, back });
    else closeForm(next.error);
  };
  const submit = (form, values) => attempt(api.submitForm(form, number, person, values).then(step));
  const back = (form) => attempt(api.backInForm(form).then(step));
  step(shown);
}

function drawMessage(message) {
  const item = drawn.get(message.wamid);
  if (item) {
    refresh(item, message);
    return;
  }
  const nearEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR_END_PX;
  append(message);
  if (nearEnd || !message.outbound) scroll.scrollTo({ top: scroll.scrollHeight });
}

function drawHead() {
  const chat = chatOf(state.person);
  if (!chat) return;
  const typing = chat.typing_until_ms > now();
  const line = byId("chat-line");
  const words = typing ? TEXTS.typing : TEXTS.as_person(me().name);
  if (line.textContent !== words) line.textContent = words;
  line.classList.toggle("is-typing", typing);
  const wasHidden = byId("typing").hidden;
  byId("typing").hidden = !typing;
  if (typing && wasHidden) scroll.scrollTo({ top: scroll.scrollHeight });
  drawWindow(chat.window);
}

function drawWindow({ closes_ms, free_until_ms }) {
  const open = closes_ms - now();
  const free = free_until_ms - now();
  let words = TEXTS.window_never;
  let look = "never";
  if (open > 0) [words, look] = [TEXTS.window_open(left(open)), open < SOON_MS ? "soon" : "open"];
  else if (closes_ms) [words, look] = [TEXTS.window_closed, "closed"];
  if (open > 0 && free > 0) words = TEXTS.window_free(left(free));
  const node = byId("window-text");
  if (node.textContent !== words) node.textContent = words;
  node.title = TEXTS.window_help;
  byId("window").dataset.look = look;
}

function drawTime(movedTo) {
  byId("pills").hidden = !state.mayShift;
  if (movedTo) toast(TEXTS.time_moved(longDay(movedTo), time(movedTo)));
  for (const item of log.querySelectorAll("li.day")) {
    const message = state.messages.find((each) => dayKey(each.at_ms) === item.dataset.day);
    if (message) item.firstElementChild.textContent = day(message.at_ms, now());
  }
  drawHead();
}

// ------------------------------------------------------------------ writing

function fitText() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  byId("send").classList.toggle("ready", text.value.trim() !== "");
}

function sendText() {
  const body = text.value.trim();
  if (!body) return;
  text.value = "";
  fitText();
  act({ type: "text", body });
}

const ATTACHMENTS = {
  image: () => ({ type: "image", caption: TEXTS.sample_caption }),
  voice: () => ({ type: "voice" }),
  sticker: () => ({ type: "sticker" }),
  location: () => ({ type: "location", latitude: -33.0428, longitude: -71.3733, name: TEXTS.sample_place, address: TEXTS.sample_address }),
  contact: () => ({ type: "contacts", name: TEXTS.sample_contact, phone: "56987654321" }),
  unsupported: () => ({ type: "unsupported", kind: "poll" }),
};

const SYMBOLS = { ad: "external", owner: "phone", person: "sliders" };
/** Send a file as WhatsApp would: pictures, video and sound as such, anything else as a document. What was being written is its caption. */
async function sendFile(file) {
  const [family] = file.type.split("/");
  const known = { image: "image", video: "video", audio: "audio" }[family];
  const kind = file.type.includes("svg") ? "document" : (known ?? "document");
  const source = await api.addFile(state.number, file);
  const caption = kind === "audio" ? "" : text.value.trim();
  if (caption) {
    text.value = "";
    fitText();
  }
  const voice = kind === "audio" && /ogg|opus/.test(file.type);
  await api.act(state.number, state.person, { type: "medium", kind, source, caption, name: kind === "document" ? file.name : "", voice });
}

function startFiles() {
  const chosen = byId("file");
  chosen.addEventListener("change", () => {
    for (const file of chosen.files) attempt(sendFile(file));
    chosen.value = "";
    text.focus();
  });
  byId("attachments").prepend(
    el(
      "button",
      { type: "button", class: "attachment attach-file", "data-attach": "file", on: { click: () => (toggleAttachments(false), chosen.click()) } },
      el("span", { class: "blob" }, icon("template")),
      el("span", { text: TEXTS.attach_file }),
    ),
  );
}

function toggleAttachments(show) {
  byId("attachments").hidden = !show;
  byId("attach").setAttribute("aria-expanded", String(show));
}

function startComposer() {
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    sendText();
  });
  text.addEventListener("input", fitText);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    sendText();
  });
  const menu = {
    ad: () => askWords(TEXTS.attach_ad, TEXTS.sample_ad, (body) => act({ type: "text", body, ad: true })),
    owner: () => askWords(TEXTS.attach_owner, "", (body) => act({ type: "owner", body })),
    person: changePerson,
  };
  byId("attachments").append(
    ...Object.entries(ATTACHMENTS).map(([name, make]) =>
      el(
        "button",
        { type: "button", class: `attachment attach-${name}`, "data-attach": name, on: { click: () => (toggleAttachments(false), act(make()), text.focus()) } },
        el("span", { class: "blob" }, icon(name)),
        el("span", { text: TEXTS[`attach_${name}`] }),
      ),
    ),
    ...Object.entries(menu).map(([name, open]) =>
      el(
        "button",
        { type: "button", class: `attachment attach-${name}`, "data-attach": name, on: { click: () => (toggleAttachments(false), open()) } },
        el("span", { class: "blob" }, icon(SYMBOLS[name])),
        el("span", { text: TEXTS[`attach_${name}`] }),
      ),
    ),
  );
  const attach = byId("attach");
  attach.addEventListener("click", () => toggleAttachments(byId("attachments").hidden));
  document.addEventListener("click", (event) => !event.target.closest(".attach") && toggleAttachments(false));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || byId("attachments").hidden) return;
    toggleAttachments(false);
    attach.focus();
  });
}

// ------------------------------------------------------------------ start

document.title = TEXTS.title;
fillTexts(document);
startTools(attempt);
startComposer();
startFiles();
// A picture that comes late must not push the end out of sight.
log.addEventListener("load", (event) => event.target.closest("li") === log.lastElementChild && scroll.scrollTo({ top: scroll.scrollHeight }), true);
on("people", drawPeople);
on("opened", drawChat);
on("chat", drawHead);
on("message", drawMessage);
on("time", drawTime);

/** Open the chat that a link into WhatsApp names, with its words ready to be sent. */
async function followLink() {
  const number = state.numbers.find((each) => each.display_phone.replace(/\D/g, "") === asked.get("phone"));
  if (!number) return;
  history.replaceState(null, "", location.pathname); // once is enough
  const person = state.person || [...state.people.keys()].at(-1);
  await open(person ?? "", number.id);
  if (!person) await addPerson({ name: TEXTS.sample_name, wa_id: nextPhone() });
  text.value = asked.get("text") ?? "";
  fitText();
  text.focus();
}

/** Load everything; the feed calls it again after a lost connection. */
async function start() {
  await load();
  byId("toast").hidden = true;
  if (!started) {
    openWhereThereIsRoom();
    await followLink();
  }
  started = true;
}

const moveTime = (ms) => attempt(api.shift(ms));
for (const pill of document.querySelectorAll("[data-ms]")) pill.addEventListener("click", () => moveTime(Number(pill.dataset.ms)));
byId("plus-other").addEventListener("click", () => askTime(moveTime));
byId("add").addEventListener("click", () => askPerson(phone(nextPhone()), (body) => attempt(addPerson(body))));
byId("start").addEventListener("click", () => attempt(addPerson({ name: TEXTS.sample_name, wa_id: nextPhone() })));
byId("back").addEventListener("click", () => attempt(open("")));
byId("number").addEventListener("change", (event) => attempt(open(state.person, event.target.value)));
document.addEventListener("visibilitychange", () => state.person && attempt(api.watch(state.number, state.person, !document.hidden)));
addEventListener("pagehide", () => state.person && api.watch(state.number, state.person, false).catch(() => {}));
setInterval(drawHead, TICK_MS);

listen({
  onEvent: take,
  onOpen: () => attempt(start()),
  onLost: () => toast(TEXTS.offline),
});
