// One message as a bubble. A bubble is built once; what changes later (ticks, reaction, failure) is changed in place, so
// that a screen reader hears each message once.

import { fileAddress } from "./api.js";
import { el, icon, avatar } from "./dom.js";
import { longDay, phone, plain, rich, time } from "./format.js";
import { TEXTS } from "./texts.js";

const isBare = (content) => content.type === "sticker" || (content.type === "medium" && content.kind === "sticker");

/**
 * @param message of the API
 * @param acts what the person can do with it: tap(id), list(content), react(), copied(code), find(wamid), place(), phone(),
 *     fill(title, data), products(title, shelves)
 */
export function bubble(message, acts) {
  const { content } = message;
  const parts = BODIES[content.type](content, message);
  const meta = el("span", { class: "meta" });
  const item = el(
    "li",
    { class: `msg ${message.outbound ? "theirs" : "mine"} is-${content.kind ?? content.type}`, "data-wamid": message.wamid },
    el(
      "div",
      { class: "stack" },
      el(
        "div",
        { class: `bubble ${isBare(content) ? "bare" : ""}` },
        el("span", { class: "hidden", text: `${message.outbound ? TEXTS.bot_said : TEXTS.you_said}: ` }),
        message.by_hand ? el("p", { class: "label" }, icon("phone"), el("span", { text: TEXTS.by_hand })) : "",
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
  const meta = item.querySelector(".meta");
  meta.replaceChildren(el("time", { text: time(message.at_ms) }), ticks(message, mark?.status));
  if (message.price) meta.title = TEXTS.priced(TEXTS.prices[message.price.type] ?? message.price.type, TEXTS.categories[message.price.category] ?? message.price.category);
  if (message.changed) correct(item, message);
  const reaction = item.querySelector(".reaction");
  reaction.textContent = message.emoji;
  if (message.emoji) reaction.setAttribute("aria-label", TEXTS.reacted(message.emoji));
  const fate = item.querySelector(".fate");
  fate.textContent = failed ? TEXTS.not_delivered(TEXTS.reasons[mark.code] ?? TEXTS.reason_other, mark.code) : "";
}

/** What is written now; nothing of what was taken back. */
function correct(item, message) {
  const words = item.querySelector(".words");
  const text = message.content.body ?? message.content.caption ?? "";
  words?.replaceChildren(...(message.changed === "revoked" ? [el("em", { text: TEXTS.revoked })] : rich(text)));
  if (message.changed === "revoked") item.querySelector(".photo, .voice, .map, .card, .big-sticker")?.remove();
  item.querySelector(".meta").prepend(el("span", { class: "changed", text: message.changed === "edited" ? TEXTS.edited : "" }));
}

/** The first words of a message, for the list of chats and for quotes. */
export function preview(message) {
  const { content } = message;
  if (message.changed === "revoked") return TEXTS.revoked;
  switch (content.type) {
    case "text":
    case "buttons":
    case "list":
    case "link":
    case "template":
    case "place_request":
    case "phone_request":
    case "form":
    case "products":
    case "catalogue":
    case "carousel":
      return plain(content.body);
    case "product":
      return plain(content.body) || TEXTS.product;
    case "medium":
      return plain(content.caption) || content.name || TEXTS.media[content.kind];
    case "cards":
      return content.cards.map((card) => card.name).join(", ");
    case "tapped":
      return content.title;
    case "quick_reply":
      return content.text;
    case "reaction":
      return TEXTS.reacted(content.emoji);
    case "image":
      return content.caption || TEXTS.image;
    case "contacts":
      return TEXTS.contact;
    default:
      return TEXTS[content.type] ?? "";
  }
}

// ------------------------------------------------------------------ bodies

const words = (text) => el("div", { class: "words" }, ...rich(text));
const titled = (content, ...rest) => [
  content.medium && medium(content.medium),
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
    content.shown && el("div", { class: "above" }, ...(content.shown.type === "medium" ? [medium(content.shown)] : BODIES[content.shown.type](content.shown))),
    content.header && el("p", { class: "head", text: content.header }),
    content.offer && el("p", { class: "offer" }, el("strong", { text: content.offer }), content.offer_ends_ms > 0 && el("span", { text: TEXTS.offer_ends(longDay(content.offer_ends_ms), time(content.offer_ends_ms)) })),
    words(content.body),
    content.footer && el("p", { class: "foot", text: content.footer }),
  ],
  place_request: (content) => [words(content.body)],
  phone_request: (content) => [words(content.body)],
  form: (content) => titled(content, content.draft && el("p", { class: "foot", text: TEXTS.draft })),
  medium: (content) => [medium(content), content.caption && words(content.caption)],
  product: (content) => [product(content), content.body && words(content.body), content.footer && el("p", { class: "foot", text: content.footer })],
  products: (content) => titled(content),
  catalogue: (content) => [product({ catalogue: "", product: content.thumbnail || TEXTS.whole_catalogue }), ...titled(content)],
  carousel: (content) => [words(content.body)],
  cards: (content) => content.cards.map((card) => el("div", { class: "card" }, avatar(card.name), el("span", {}, el("strong", { text: card.name }), ...[...card.phones, ...card.more].map((line) => el("span", { text: line }))))),
  shared_phone: (content) => [el("div", { class: "card" }, icon("phone"), el("span", {}, el("strong", { text: TEXTS.shared_phone }), el("span", { text: phone(content.phone) })))],
  filled: (content) => [
    el("p", { class: "label" }, icon("form"), el("span", { text: TEXTS.filled })),
    el("dl", { class: "filled" }, ...Object.entries(content.values).flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: typeof value === "string" ? value : JSON.stringify(value) })])),
  ],
  tapped: (content) => [words(content.title), content.description && el("p", { class: "foot", text: content.description })],
  quick_reply: (content) => [words(content.text)],
  image: (content) => [medium({ kind: "image", source: content.media }), content.caption && words(content.caption)],
  voice: (content, message) => [
    el("span", { class: "wave", "aria-hidden": "true" }, ...wave(message.wamid)),
    medium({ kind: "audio", voice: true, source: content.media }),
  ],
  sticker: (content) => [medium({ kind: "sticker", source: content.media })],
  location: (content) => [
    el("div", { class: "map", role: "img", "aria-label": TEXTS.location }, icon("location")),
    el("p", { class: "place" }, el("strong", { text: content.name || TEXTS.location }), el("span", { text: content.address || `${content.latitude}, ${content.longitude}` })),
  ],
  contacts: (content) => [
    el("div", { class: "card" }, avatar(content.name), el("span", {}, el("strong", { text: content.name }), el("span", { text: phone(content.phone.replace(/\D/g, "")) }))),
  ],
  unsupported: () => [el("p", { class: "label" }, icon("unsupported"), el("span", { text: TEXTS.unsupported }))],
};

// ------------------------------------------------------------------ files and products

/** A file: as it is seen or heard if the emulator has it; one that lies on a web page is only named and linked to. */
function medium(file) {
  const label = TEXTS.media[file.voice ? "voice" : file.kind];
  if (!/^https?:/.test(file.source)) return ownMedium(file, file.name || label);
  const name = file.name || file.source.split(/[?#]/)[0].split("/").at(-1);
  const where = el("a", { class: "source", href: file.source, target: "_blank", rel: "noopener noreferrer" }, name || file.source, el("span", { class: "hidden", text: ` (${TEXTS.opens_page})` }));
  switch (file.kind) {
    case "document":
      return el("div", { class: "document" }, icon("template", label), where);
    case "audio":
      return el("figure", { class: "shot" }, el("div", { class: "voice" }, icon("play", label), el("span", { class: "wave" }, ...wave(file.source))), el("figcaption", {}, where));
    case "sticker":
      return el("div", { class: "big-sticker elsewhere" }, icon("smile", label));
    default:
      return el("figure", { class: "shot" }, el("div", { class: `photo elsewhere ${file.kind}`, role: "img", "aria-label": label }, icon(file.kind === "video" ? "play" : "image")), el("figcaption", {}, where));
  }
}

function ownMedium({ kind, source, name }, label) {
  const src = fileAddress(source);
  switch (kind) {
    case "image":
      return el("img", { class: "photo", src, alt: label, loading: "lazy" });
    case "sticker":
      return el("img", { class: "big-sticker", src, alt: label, loading: "lazy" });
    case "video":
      return el("video", { class: "photo", src, controls: true, preload: "metadata", "aria-label": label });
    case "audio":
      return el("audio", { class: "sound", src, controls: true, preload: "metadata", "aria-label": label });
    default:
      return el("a", { class: "document", href: src, download: name || "" }, icon("template"), el("span", { text: label }));
  }
}

function product({ catalogue, product: sku }) {
  return el("div", { class: "product" }, el("span", { class: "goods", "aria-hidden": "true" }, icon("bag")), el("span", {}, el("strong", { text: sku }), catalogue && el("span", { text: TEXTS.of_catalogue(catalogue) })));
}

const BARS = 28;

/** Bars of a voice note; the same note always looks the same. */
function wave(id) {
  const letters = id.padStart(6, "0");
  return Array.from({ length: BARS }, (_, n) => el("i", { class: `bar-${1 + ((letters.charCodeAt(letters.length - 1 - (n % 6)) * (n + 3)) % 7)}` }));
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
    case "place_request":
      return [tap("location", TEXTS.send_place, acts.place)];
    case "phone_request":
      return [tap("contact", TEXTS.share_phone, acts.phone)];
    case "form":
      return [tap("form", content.title, () => acts.fill(content.title, content.data))];
    case "products":
      return [tap("bag", TEXTS.see_products, () => acts.products(content.header, content.shelves))];
    case "catalogue":
      return [inert(TEXTS.see_catalogue)];
    case "carousel":
      return [slides(content.cards, (card) => (card.url ? [link(card.title, card.url)] : card.buttons.map((button) => tap("reply", button.title, () => acts.tap(button.id)))))];
    case "template":
      return [
        ...content.buttons.map((button) => templateButton(button, button.title, acts)),
        content.cards.length ? slides(content.cards, (card) => card.buttons.map((button) => templateButton(button, button.value, acts))) : "",
      ];
    default:
      return [];
  }
}

const tap = (symbol, title, act) => el("button", { class: "tap", type: "button", on: { click: act } }, icon(symbol), el("span", { text: title }));

function link(title, url) {
  const safe = /^https?:\/\//.test(url) ? url : null;
  return el("a", { class: "tap", href: safe, target: "_blank", rel: "noopener noreferrer" }, icon("external"), el("span", { text: title }), el("span", { class: "hidden", text: ` (${TEXTS.opens_page})` }));
}

/** A button of WhatsApp's own that leads nowhere here: the emulator keeps no catalogue. */
const inert = (title) => el("p", { class: "tap inert" }, icon("bag"), el("span", { text: title }));

/** The cards of a carousel: swept with a finger, or with the arrow keys once they have the focus. */
function slides(cards, buttons) {
  const shown = (card) => card.medium ?? card.header;
  return el(
    "ul",
    { class: "slides", tabindex: "0", "aria-label": TEXTS.cards(cards.length) },
    ...cards.map((card) =>
      el(
        "li",
        { class: "slide" },
        el("div", { class: "bubble" }, shown(card).type === "product" ? product(shown(card)) : medium(shown(card)), card.body && words(card.body)),
        ...buttons(card),
      ),
    ),
  );
}

/** `name` is what the API calls the button when it is tapped. */
function templateButton(button, name, acts) {
  switch (button.kind) {
    case "URL":
      return link(button.title, button.value);
    case "PHONE_NUMBER":
      return el("a", { class: "tap", href: `tel:${button.value.replace(/[^+\d]/g, "")}` }, icon("phone"), el("span", { text: button.title }));
    case "OTP":
    case "COPY_CODE":
      return tap("copy", button.title, () => acts.copied(button.value));
    case "FLOW":
      return tap("form", button.title, () => acts.fill(button.title, {}));
    case "MPM":
      return tap("bag", button.title, () => acts.products(button.title, [{ products: button.value.split(",") }]));
    case "REQUEST_CONTACT_INFO":
      return tap("contact", button.title, acts.phone);
    case "CATALOG":
    case "SPM":
      return inert(button.title);
    default:
      return tap("reply", button.title, () => acts.tap(name));
  }
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
