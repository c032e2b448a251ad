// What Meta decides about the open number, its account and its templates: each is told by a webhook.

import { api } from "./api.js";
import { el } from "./dom.js";
import { state } from "./state.js";
import { TEXTS } from "./texts.js";

const DECISIONS = {
  disable: { type: "account", event: "DISABLED_UPDATE", ban: "DISABLE" },
  reinstate: { type: "account", event: "DISABLED_UPDATE", ban: "REINSTATE" },
  restrict: { type: "account", event: "ACCOUNT_RESTRICTION", restrictions: ["RESTRICTED_BIZ_INITIATED_MESSAGING"] },
  flag: { type: "number_quality", event: "FLAGGED" },
  unflag: { type: "number_quality", event: "UNFLAGGED" },
  upgrade: { type: "number_quality", event: "THROUGHPUT_UPGRADE" },
  decline_name: { type: "number_name", decision: "REJECTED", reason: "NAME_FORMAT_UNACCEPTABLE" },
  pin: { type: "other", field: "security", value: { event: "PIN_RESET_REQUEST" } },
};
const EVENTS = ["APPROVED", "REJECTED", "PAUSED", "DISABLED", "MARKETING", "UTILITY", "RED", "GREEN"];

/** The section of the side panel. `attempt(promise)` tells the person when something fails. */
export function meta(attempt) {
  const decision = choice("decision", Object.keys(DECISIONS), (name) => TEXTS.meta_decisions[name]);
  const template = choice("template", [], (name) => name);
  const event = choice("event", EVENTS, (name) => TEXTS.meta_events[name]);
  const fill = async () => {
    const { templates } = await api.state();
    const chosen = template.value;
    const names = (templates[state.number] ?? []).map((each) => `${each.name} ${each.language}`);
    template.replaceChildren(...names.map((name) => el("option", { value: name, text: name })));
    if (names.includes(chosen)) template.value = chosen;
  };
  template.addEventListener("focus", () => attempt(fill()));
  const decide = async () => {
    await api.decide(state.number, DECISIONS[decision.value]);
  };
  const review = async () => {
    if (!template.value) await fill();
    const [name, language] = template.value.split(" ");
    await api.decide(state.number, { ...happens(event.value), name, language });
  };
  return el(
    "section",
    { class: "card-box" },
    el("h3", { text: TEXTS.meta }),
    el("p", { class: "help", text: TEXTS.meta_help }),
    row(TEXTS.meta_account, decision, button("decide", () => attempt(decide()))),
    row(TEXTS.meta_template, template),
    row(TEXTS.meta_event, event, button("review", () => attempt(review()))),
  );
}

/** The decision about a template: a status, a category or a quality. */
function happens(word) {
  if (word === "MARKETING" || word === "UTILITY") return { type: "template_category", category: word };
  if (word === "RED" || word === "GREEN") return { type: "template_quality", quality: word };
  return { type: "template", event: word };
}

function choice(name, values, label) {
  return el("select", { id: `meta-${name}` }, ...values.map((value) => el("option", { value, text: label(value) })));
}

const button = (name, act) => el("button", { class: "quiet", id: `meta-${name}`, type: "button", text: TEXTS.meta_tell, on: { click: act } });

const row = (label, control, act) => el("div", { class: "fault" }, el("label", { for: control.id, text: label }), control, act);
