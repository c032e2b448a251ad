// One message as a bubble. A bubble is built once; what changes later (ticks, reaction, failure) is changed in place, so
// that a screen reader hears each message once.

import { fileAddress } from "./api.js";
import { el, icon, avatar } from "./dom.js";
import { phone, plain, rich, time } from "./format.js";
import { TEXTS } from "./texts.js";

const isBare = (content) => content.type === "sticker" || (content.type === "medium" && content.kind === "sticker");

/**
 * @param message of the API
 * @param acts {tap(id), list(content), react(), copied(), find(wamid)}: what the person can do with it
 */
export function bubble(message, acts) {
  const { content } = message;
  const parts = BODIES[content.type](content, message);
  const meta = el("span", { class: "meta" });
  const item = el(
    "li",
    { class: `msg ${message.outbound ? "theirs" : "mine"} is-${content.type}`, "data-wamid": message.wamid },
    el(
      "div",
      { class: "stack" },
      el(
        "div",
        { class: `bubble ${isBare(content) ? "bare" : ""}` },
        el("span", { class: "hidden", text: `${message.outbound ? TEXTS.bot_said : TEXTS.you_said}: ` }),
        quote(message, acts),
        ...parts,
        meta,
      ),
      ...taps(message, acts),
      el("span", { class: "reaction" }),
      el("p", { class: "fate" }),
    ),
    el("button", { class: "round react", type: "button", "aria-label": TEXTS.react, title: TEXTS.react, on: { click: acts.react } }, icon("smile")),
  );
  watchGestures(item.querySelector(".bubble"), acts.react);
  refresh(item, message);
  return item;
}

/** Bring a bubble up to date. */
export function refresh(item, message) {
  const mark = message.marks.at(-1);
  const failed = mark?.status === "failed";
  item.classList.toggle("failed", failed);
  item.querySelector(".meta").replaceChildren(el("time", { text: time(message.at_ms) }), ticks(message, mark?.status));
  const reaction = item.querySelector(".reaction");
  reaction.textContent = message.emoji;
  if (message.emoji) reaction.setAttribute("aria-label", TEXTS.reacted(message.emoji));
  const fate = item.querySelector(".fate");
  fate.textContent = failed ? TEXTS.not_delivered(TEXTS.reasons[mark.code] ?? TEXTS.reason_other, mark.code) : "";
}

/** The first words of a message, for the list of chats and for quotes. */
export function preview(message) {
  const { content } = message;
  switch (content.type) {
    case "text":
    case "buttons":
    case "list":
    case "link":
    case "template":
      return plain(content.body);
    case "tapped":
      return content.title;
    case "quick_reply":
      return content.text;
    case "reaction":
      return TEXTS.reacted(content.emoji);
    case "image":
      return content.caption || TEXTS.image;
    case "medium":
      return content.caption || content.name || mediumName(content);
    case "contacts":
      return TEXTS.contact;
    default:
      return TEXTS[content.type] ?? "";
  }
}

// ------------------------------------------------------------------ bodies

const words = (text) => el("div", { class: "words" }, ...rich(text));
const titled = (content, ...rest) => [
  content.header && el("p", { class: "head", text: content.header }),
  words(content.body),
  content.footer && el("p", { class: "foot", text: content.footer }),
  ...rest,
];

const BODIES = {
  text: (content) => [words(content.body)],
  buttons: (content) => titled(content),
  list: (content) => titled(content),
  link: (content) => titled(content),
  template: (content) => [
    el("p", { class: "label" }, icon("template"), el("span", { text: TEXTS.template(content.name) }), el("span", { class: "tag", text: TEXTS.template_kinds[content.category] ?? content.category })),
    content.header && el("p", { class: "document" }, icon("template"), el("span", { text: content.header })),
    words(content.body),
    content.footer && el("p", { class: "foot", text: content.footer }),
  ],
  tapped: (content) => [words(content.title), content.description && el("p", { class: "foot", text: content.description })],
  quick_reply: (content) => [words(content.text)],
  medium: (content) => [shownMedium(content), content.caption && words(content.caption)],
  image: (content) => [shownMedium({ kind: "image", source: content.media }), content.caption && words(content.caption)],
  voice: (content, message) => [
    el("span", { class: "wave", "aria-hidden": "true" }, ...wave(message.wamid)),
    shownMedium({ kind: "audio", voice: true, source: content.media }),
  ],
  sticker: (content) => [shownMedium({ kind: "sticker", source: content.media })],
  location: (content) => [
    el("div", { class: "map", role: "img", "aria-label": TEXTS.location }, icon("location")),
    el("p", { class: "place" }, el("strong", { text: content.name || TEXTS.location }), el("span", { text: content.address || `${content.latitude}, ${content.longitude}` })),
  ],
  contacts: (content) => [
    el("div", { class: "card" }, avatar(content.name), el("span", {}, el("strong", { text: content.name }), el("span", { text: phone(content.phone.replace(/\D/g, "")) }))),
  ],
  unsupported: () => [el("p", { class: "label" }, icon("unsupported"), el("span", { text: TEXTS.unsupported }))],
};

const mediumName = ({ kind, voice }) => (kind === "audio" && voice ? TEXTS.voice : TEXTS[kind]);

/** A file as it is seen or heard; one that lies on a web page is only linked to. */
function shownMedium(content) {
  const label = content.name || mediumName(content);
  if (content.source.startsWith("https://")) {
    return el("a", { class: "document", href: content.source, target: "_blank", rel: "noopener noreferrer" }, icon("external"), el("span", { text: label }));
  }
  const src = fileAddress(content.source);
  switch (content.kind) {
    case "image":
      return el("img", { class: "photo", src, alt: label, loading: "lazy" });
    case "sticker":
      return el("img", { class: "big-sticker", src, alt: label, loading: "lazy" });
    case "video":
      return el("video", { class: "photo", src, controls: true, preload: "metadata", "aria-label": label });
    case "audio":
      return el("audio", { class: "sound", src, controls: true, preload: "metadata", "aria-label": label });
    default:
      return el("a", { class: "document", href: src, download: content.name || "" }, icon("template"), el("span", { text: label }));
  }
}

const BARS = 28;

/** Bars of a voice note; the same note always looks the same. */
function wave(wamid) {
  return Array.from({ length: BARS }, (_, n) => el("i", { class: `bar-${1 + ((wamid.charCodeAt(wamid.length - 1 - (n % 6)) * (n + 3)) % 7)}` }));
}

function quote(message, acts) {
  const quoted = message.quotes && acts.find(message.quotes);
  if (!quoted) return "";
  return el("p", { class: "quote" }, el("strong", { text: quoted.outbound ? TEXTS.bot_said : TEXTS.you_said }), el("span", { text: preview(quoted) }));
}

// ------------------------------------------------------------------ what can be tapped

function taps(message, acts) {
  const { content } = message;
  if (!message.outbound) return [];
  switch (content.type) {
    case "buttons":
      return content.buttons.map((button) => tap("reply", button.title, () => acts.tap(button.id)));
    case "list":
      return [tap("list", content.button, () => acts.list(content))];
    case "link":
      return [link(content.title, content.url)];
    case "template":
      return content.buttons.map((button) => templateButton(button, acts));
    default:
      return [];
  }
}

const tap = (symbol, title, act) => el("button", { class: "tap", type: "button", on: { click: act } }, icon(symbol), el("span", { text: title }));

function link(title, url) {
  const safe = /^https?:\/\//.test(url) ? url : null;
  return el("a", { class: "tap", href: safe, target: "_blank", rel: "noopener noreferrer" }, icon("external"), el("span", { text: title }), el("span", { class: "hidden", text: ` (${TEXTS.opens_page})` }));
}

function templateButton(button, acts) {
  if (button.kind === "URL") return link(button.title, button.value);
  if (button.kind === "OTP") return tap("copy", button.title, () => acts.copied(button.value));
  return tap("reply", button.title, () => acts.tap(button.title));
}

function ticks(message, status) {
  const label = TEXTS.ticks[status ?? "none"];
  if (status === "failed") return icon("alert", label);
  const symbol = icon(status === "delivered" || status === "read" ? "ticks" : "tick", label);
  symbol.classList.add("mark", `mark-${status ?? "none"}`);
  return symbol;
}

const LONG_PRESS_MS = 500;

function watchGestures(node, react) {
  let timer = 0;
  node.addEventListener("dblclick", react);
  node.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") timer = setTimeout(react, LONG_PRESS_MS);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave", "pointermove"]) node.addEventListener(end, () => clearTimeout(timer));
}
