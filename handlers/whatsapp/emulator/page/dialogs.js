// The bottom sheet (a dialog in the middle on a desktop): choosing from a list, adding a person, moving time.

import { byId, el, icon } from "./dom.js";
import { TEXTS } from "./texts.js";

const sheet = byId("sheet");

sheet.addEventListener("click", (event) => {
  if (event.target === sheet) sheet.close();
});

/** Show a titled sheet; the focus goes back to where it was when it closes. */
export function show(title, ...content) {
  sheet.replaceChildren(
    el(
      "div",
      { class: "sheet-box" },
      el(
        "header",
        { class: "sheet-head" },
        el("h2", { id: "sheet-title", text: title }),
        el("button", { class: "round", type: "button", "aria-label": TEXTS.close, on: { click: close } }, icon("close")),
      ),
      ...content,
    ),
  );
  if (!sheet.open) sheet.showModal();
}

export const close = () => sheet.close();

/** The rows of a list message; `chosen(row)` is called with the one tapped. */
export function chooseRow(content, chosen) {
  const groups = content.sections.map((section) =>
    el(
      "section",
      { class: "rows" },
      section.title && el("h3", { text: section.title }),
      ...section.rows.map((row) =>
        el(
          "button",
          { class: "row", type: "button", on: { click: () => (close(), chosen(row)) } },
          el(
            "span",
            { class: "row-words" },
            el("span", { class: "row-title", text: row.title }),
            row.description && el("span", { class: "row-more", text: row.description }),
          ),
          el("span", { class: "radio", "aria-hidden": "true" }),
        ),
      ),
    ),
  );
  show(content.button || TEXTS.choose, ...groups);
}

const EMOJIS = ["👍", "❤️", "😂", "😮", "😢", "🙏"];

/** React to a message; the other side's words can be corrected, too: `correct` is `{text, edit(body), revoke()}` or nothing. */
export function chooseEmoji(current, chosen, correct) {
  const buttons = EMOJIS.map((emoji) =>
    el("button", { class: "emoji", type: "button", "aria-pressed": String(emoji === current), text: emoji, on: { click: () => (close(), chosen(emoji)) } }),
  );
  const remove = current && el("button", { class: "quiet", type: "button", text: TEXTS.react_remove, on: { click: () => (close(), chosen("")) } });
  const corrections = correct
    ? el(
        "div",
        { class: "actions" },
        correct.text !== null && el("button", { class: "quiet", type: "button", text: TEXTS.edit, on: { click: () => askWords(TEXTS.edit, correct.text, correct.edit) } }),
        el("button", { class: "quiet", type: "button", text: TEXTS.revoke, on: { click: () => (close(), correct.revoke()) } }),
      )
    : "";
  show(TEXTS.react, el("div", { class: "emojis" }, ...buttons), remove || "", corrections);
}

/** Ask for one line of words. */
export function askWords(title, words, send) {
  const input = el("input", { name: "words", required: true, maxlength: 4096, autocomplete: "off", value: words });
  const form = el(
    "form",
    {
      class: "form",
      on: {
        submit: (event) => {
          event.preventDefault();
          close();
          send(input.value.trim());
        },
      },
    },
    field(title, input),
    actions(TEXTS.send),
  );
  show(title, form);
  input.select();
}

/** What the person does outside of the chat; `acts` names what each row does. */
export function chooseChange(name, acts) {
  const rows = Object.entries(acts).map(([key, act]) =>
    el("button", { class: "row", type: "button", "data-change": key, on: { click: () => (close(), act()) } }, el("span", { class: "row-words" }, el("span", { class: "row-title", text: TEXTS.changes[key] }))),
  );
  show(name, el("section", { class: "rows" }, ...rows));
}

const field = (label, control) => el("label", { class: "field" }, el("span", { text: label }), control);

const actions = (label) =>
  el(
    "div",
    { class: "actions" },
    el("button", { class: "quiet", type: "button", text: TEXTS.cancel, on: { click: close } }),
    el("button", { class: "primary", text: label }),
  );

/** The products of a message; they are only looked at. */
export function showProducts(title, shelves) {
  const groups = shelves.map((shelf) =>
    el("section", { class: "rows" }, shelf.title && el("h3", { text: shelf.title }), el("ul", { class: "goods-list" }, ...shelf.products.map((sku) => el("li", {}, icon("bag"), el("span", { text: sku }))))),
  );
  show(title || TEXTS.see_products, ...groups);
}

const FIELDS = 3;

/** Fill in a form, whose fields only the bot knows: `send` gets an object. Numbers, true and false are sent as such. */
export function askForm(title, data, send) {
  const rows = el("div", { class: "form-rows" });
  const addRow = (name = "", value = "") => {
    const key = el("input", { name: "field", maxlength: 80, autocomplete: "off", autocapitalize: "none", value: name });
    const answer = el("input", { name: "answer", autocomplete: "off", value });
    rows.append(el("div", { class: "pair" }, field(TEXTS.form_field, key), field(TEXTS.form_value, answer)));
    return key;
  };
  for (const [name, value] of Object.entries(data)) addRow(name, typeof value === "string" ? value : JSON.stringify(value));
  while (rows.children.length < FIELDS) addRow();
  const form = el(
    "form",
    {
      class: "form",
      on: {
        submit: (event) => {
          event.preventDefault();
          const values = {};
          for (const row of rows.children) {
            const [key, answer] = row.querySelectorAll("input");
            if (key.value.trim()) values[key.value.trim()] = typed(answer.value);
          }
          close();
          send(values);
        },
      },
    },
    el("p", { class: "help", text: TEXTS.form_help }),
    rows,
    el("button", { class: "quiet", type: "button", text: TEXTS.form_add, on: { click: () => addRow().focus() } }),
    actions(TEXTS.form_send),
  );
  show(title, form);
  rows.querySelector("input").focus();
}

const TEXT_KINDS = { TextHeading: "h3", TextSubheading: "h3", TextBody: "p", TextCaption: "p" };

/**
 * One screen of a form.
 * @param shown of the API
 * @param acts {submit(form, values), back(form)}
 */
export function showScreen(shown, acts) {
  const { screen } = shown;
  const parts = screen.components.map(screenPart);
  const form = el(
    "form",
    {
      class: "form",
      on: {
        submit: (event) => {
          event.preventDefault();
          acts.submit(shown.form, Object.assign({}, ...parts.map((part) => part.read?.() ?? {})));
        },
      },
    },
    ...parts.map((part) => part.node),
    screen.can_go_back ? el("button", { class: "quiet", type: "button", text: TEXTS.form_back, on: { click: () => acts.back(shown.form) } }) : "",
  );
  show(screen.title, form);
  (form.querySelector("[aria-invalid]") ?? form.querySelector("input, select, textarea"))?.focus();
}

/** The form is over; `error` says why, if it is not complete. */
export function closeForm(error) {
  close();
  if (error) show(TEXTS.form_failed, el("p", { class: "form", role: "alert", text: error === "broken" ? TEXTS.form_broken : error }));
}

/** A component as a node and, for a field, the way to read it: {name: value}. */
function screenPart(part) {
  const common = { name: part.name, required: part.required, "aria-invalid": part.error ? "true" : null };
  const notes = [part.help && el("span", { class: "help", text: part.help }), part.error && el("span", { class: "form-error", role: "alert", text: part.error })];
  const text = (input) => ({ node: el("div", {}, field(part.text, input), ...notes), read: () => ({ [part.name]: input.value }) });
  switch (part.type) {
    case "TextInput":
      return text(el("input", { ...common, autocomplete: "off", inputmode: { email: "email", number: "numeric", phone: "tel" }[part.kind] ?? null, value: part.value || "" }));
    case "TextArea":
      return text(el("textarea", { ...common, rows: 3, text: part.value || "" }));
    case "DatePicker":
      return text(el("input", { ...common, type: "date", value: part.value || "" }));
    case "Dropdown":
    case "RadioButtonsGroup":
      return text(el("select", common, el("option", { value: "", text: TEXTS.form_choose }), ...part.options.map((each) => el("option", { value: each.id, text: each.title, selected: each.id === part.value }))));
    case "CheckboxGroup": {
      const boxes = part.options.map((each) => el("input", { type: "checkbox", value: each.id }));
      const rows = boxes.map((box, n) => el("label", { class: "choice" }, box, el("span", { text: part.options[n].title })));
      return { node: el("fieldset", { class: "choices" }, el("legend", { text: part.text }), ...rows, ...notes), read: () => ({ [part.name]: boxes.filter((box) => box.checked).map((box) => box.value) }) };
    }
    case "OptIn": {
      const box = el("input", { ...common, type: "checkbox", checked: part.value === true });
      return { node: el("div", {}, el("label", { class: "choice" }, box, el("span", { text: part.text })), ...notes), read: () => ({ [part.name]: box.checked }) };
    }
    case "Footer":
      return { node: el("div", { class: "actions" }, el("button", { class: "primary", text: part.text || TEXTS.form_next })) };
    default:
      return { node: el(TEXT_KINDS[part.type] ?? "p", { class: part.type === "TextCaption" ? "help" : "", text: part.text }) };
  }
}

/** A value as a form would send it. */
function typed(text) {
  return /^(true|false|-?\d+(\.\d+)?)$/.test(text) ? JSON.parse(text) : text;
}

/** Ask for a person; `save` gets the API's body. */
export function askPerson(suggestedPhone, save) {
  const name = el("input", { name: "name", required: true, maxlength: 60, autocomplete: "off" });
  const phone = el("input", { name: "phone", type: "tel", inputmode: "tel", value: suggestedPhone, pattern: "\\+?[0-9 ]{8,20}", required: true, autocomplete: "off" });
  const username = el("input", { name: "username", pattern: "[a-z0-9._]{3,35}", autocomplete: "off", autocapitalize: "none" });
  const phoneField = field(TEXTS.add_phone, phone);
  const usernameField = field(TEXTS.add_username, username);
  const choose = (byUsername) => {
    phoneField.hidden = byUsername;
    usernameField.hidden = !byUsername;
    phone.required = !byUsername;
    phone.disabled = byUsername;
    username.required = byUsername;
    username.disabled = !byUsername;
  };
  const kind = (value, label, checked) =>
    el(
      "label",
      { class: "choice" },
      el("input", { type: "radio", name: "kind", value, checked, on: { change: () => choose(value === "username") } }),
      el("span", { text: label }),
    );
  const form = el(
    "form",
    {
      class: "form",
      on: {
        submit: (event) => {
          event.preventDefault();
          const byUsername = username.required;
          close();
          save(
            byUsername
              ? { name: name.value.trim(), username: username.value, hides_phone: true }
              : { name: name.value.trim(), wa_id: phone.value.replace(/\D/g, "") },
          );
        },
      },
    },
    field(TEXTS.add_name, name),
    el("fieldset", { class: "choices" }, el("legend", { text: TEXTS.add_kind }), kind("phone", TEXTS.add_with_phone, true), kind("username", TEXTS.add_by_username, false)),
    phoneField,
    usernameField,
    actions(TEXTS.add_save),
  );
  choose(false);
  show(TEXTS.add_title, form);
  name.focus();
}

const UNITS = [
  ["minutes", 60_000],
  ["hours", 3_600_000],
  ["days", 86_400_000],
];

/** Ask for how long to move the time. */
export function askTime(move) {
  const amount = el("input", { name: "amount", type: "number", min: 1, max: 400, step: 1, value: 3, required: true });
  const unit = el("select", { name: "unit" }, ...UNITS.map(([name, ms]) => el("option", { value: ms, text: TEXTS[name], selected: name === "days" })));
  const form = el(
    "form",
    {
      class: "form",
      on: {
        submit: (event) => {
          event.preventDefault();
          close();
          move(Number(amount.value) * Number(unit.value));
        },
      },
    },
    el("div", { class: "pair" }, field(TEXTS.amount, amount), field(TEXTS.unit, unit)),
    actions(TEXTS.move_time),
  );
  show(TEXTS.time_forward, form);
  amount.select();
}

/** Ask before something that cannot be undone. */
export function confirm(title, body, label, act) {
  const form = el("form", { class: "form", on: { submit: (event) => (event.preventDefault(), close(), act()) } }, el("p", { text: body }), actions(label));
  show(title, form);
}
