// Text as WhatsApp shows it (*bold* _italic_ ~struck~ `code`, links), and times.

import { el } from "./dom.js";
import { LOCALE, TEXTS, TIME_ZONE } from "./texts.js";

const MARKS = { "*": "strong", _: "em", "~": "s", "`": "code" };
// A mark opens before a letter and closes after one; a word may not go on behind it.
const STYLED = /(?<![\p{L}\p{N}])([*_~`])(?=\S)([^\n]*?\S)\1(?![\p{L}\p{N}])/u;
const ADDRESS = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)]/;

/** Nodes of a message's text. */
export function rich(text) {
  const found = STYLED.exec(text);
  if (found) {
    const [whole, mark, inner] = found;
    const styled = el(MARKS[mark], {}, ...(mark === "`" ? [inner] : rich(inner)));
    return [...linked(text.slice(0, found.index)), styled, ...rich(text.slice(found.index + whole.length))];
  }
  return linked(text);
}

function linked(text) {
  const found = ADDRESS.exec(text);
  if (!found) return text ? [text] : [];
  const link = el("a", { href: found[0], target: "_blank", rel: "noopener noreferrer", text: found[0] });
  return [text.slice(0, found.index), link, ...linked(text.slice(found.index + found[0].length))];
}

const TIME = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: TIME_ZONE });
const DAY = new Intl.DateTimeFormat(LOCALE, { weekday: "long", day: "numeric", month: "long", timeZone: TIME_ZONE });
const SHORT_DAY = new Intl.DateTimeFormat(LOCALE, { day: "2-digit", month: "2-digit", timeZone: TIME_ZONE });
const KEY = new Intl.DateTimeFormat("en-CA", { timeZone: TIME_ZONE });
const DAY_MS = 86_400_000;

export const time = (ms) => TIME.format(ms);
export const dayKey = (ms) => KEY.format(ms);

/** "Hoy", "Ayer" or the day in words. */
export function day(ms, now) {
  if (dayKey(ms) === dayKey(now)) return TEXTS.today;
  if (dayKey(ms) === dayKey(now - DAY_MS)) return TEXTS.yesterday;
  return DAY.format(ms);
}

/** The day in words, whatever today is. */
export const longDay = (ms) => DAY.format(ms);

/** The text without the signs of its styles, on one line. */
export function plain(text) {
  const found = STYLED.exec(text);
  const bare = found ? `${text.slice(0, found.index)}${plain(found[2])}${plain(text.slice(found.index + found[0].length))}` : text;
  return bare.replace(/\s+/g, " ");
}

/** The time of today, else the day: for the list of chats. */
export const moment = (ms, now) => (dayKey(ms) === dayKey(now) ? time(ms) : SHORT_DAY.format(ms));

/** What is left of a window. */
export function left(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes >= 60) return TEXTS.left_hours(Math.floor(minutes / 60), minutes % 60);
  return minutes >= 1 ? TEXTS.left_minutes(minutes) : TEXTS.left_seconds(Math.ceil(ms / 1000));
}

/** Digits as a phone: +56 9 1234 5678. */
export function phone(digits) {
  const chilean = /^(56)(9)(\d{4})(\d{4})$/.exec(digits);
  return chilean ? `+${chilean.slice(1).join(" ")}` : `+${digits}`;
}
