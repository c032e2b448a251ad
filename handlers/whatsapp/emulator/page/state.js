// What the page knows. Views subscribe and draw; nobody else changes it.

import { api } from "./api.js";

export const state = {
  numbers: [],
  people: new Map(), // id -> person
  chats: new Map(), // "number person" -> summary
  messages: [], // of the open chat, oldest first
  faults: {}, // number -> faults
  number: "",
  person: "",
  mayShift: false,
  offset: 0, // the emulator's clock minus ours
};

const watchers = new Map();

/** Call `draw(detail)` whenever `topic` changes: people, chat, message, faults, time, opened. */
export function on(topic, draw) {
  watchers.set(topic, [...(watchers.get(topic) ?? []), draw]);
}

function emit(topic, detail) {
  for (const draw of watchers.get(topic) ?? []) draw(detail);
}

export const now = () => Date.now() + state.offset;
export const key = (number, person) => `${number} ${person}`;
export const chatOf = (person) => state.chats.get(key(state.number, person));
export const business = () => state.numbers.find((number) => number.id === state.number);
export const me = () => state.people.get(state.person);

export async function load() {
  const all = await api.state();
  state.numbers = all.numbers;
  state.people = new Map(all.people.map((person) => [person.id, person]));
  state.chats = new Map(all.chats.map((chat) => [key(chat.number, chat.person), chat]));
  state.faults = all.faults;
  state.mayShift = all.may_shift;
  state.offset = all.now_ms - Date.now();
  const [number, person] = location.hash.slice(1).split("/").map(decodeURIComponent);
  state.number = all.numbers.some((each) => each.id === number) ? number : (all.numbers[0]?.id ?? "");
  emit("time");
  emit("faults");
  await open(state.people.has(person) ? person : "");
}

/** Open the chat of a person, or none. */
export async function open(person, number = state.number) {
  if (state.person && (state.person !== person || state.number !== number)) {
    api.watch(state.number, state.person, false).catch(() => {});
  }
  state.number = number;
  state.person = person;
  state.messages = [];
  history.replaceState(null, "", person ? `#${encodeURIComponent(number)}/${encodeURIComponent(person)}` : location.pathname);
  if (person) {
    const { chat, messages } = await api.chat(number, person);
    if (state.person !== person || state.number !== number) return;
    state.chats.set(key(number, person), chat);
    state.messages = messages;
    if (!document.hidden) await api.watch(number, person, true);
  }
  emit("opened");
  emit("people");
  emit("faults");
}

/** Take in one event of the feed. */
export function take(event) {
  switch (event.event) {
    case "message":
      state.chats.set(key(event.chat.number, event.chat.person), event.chat);
      if (event.message.number === state.number && event.message.person === state.person) keep(event.message);
      emit("people");
      emit("chat");
      break;
    case "chat":
      state.chats.set(key(event.chat.number, event.chat.person), event.chat);
      emit("people");
      emit("chat");
      break;
    case "person":
      state.people.set(event.person.id, event.person);
      emit("people");
      break;
    case "faults":
      state.faults[event.number] = event.faults;
      emit("faults");
      break;
    case "time":
      state.offset = event.now_ms - Date.now();
      emit("time", event.now_ms);
      break;
    case "reload":
      load();
      break;
  }
}

/** A message is new or went on. A reaction is no bubble: it sits on the one it is about. */
function keep(message) {
  if (message.content.type === "reaction") {
    const target = state.messages.find((each) => each.wamid === message.content.message);
    if (target) {
      target.emoji = message.content.emoji;
      emit("message", target);
    }
    return;
  }
  const at = state.messages.findIndex((each) => each.wamid === message.wamid);
  if (at >= 0) state.messages[at] = message;
  else state.messages.push(message);
  emit("message", message);
}
