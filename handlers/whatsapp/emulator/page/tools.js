// The side panel: faults of the open number, and what really happened.

import { meta } from "./accounts.js";
import { api } from "./api.js";
import { confirm } from "./dialogs.js";
import { byId, el } from "./dom.js";
import { on, state } from "./state.js";
import { TEXTS } from "./texts.js";

const OFF = 0;
const ONCE = 1;
const ALWAYS = -1;

const GROUPS = {
  hooks: {
    switches: ["duplicate", "rebatch", "lose_first", "lose_statuses", "statuses_first", "overtaken"],
    amounts: { reorder: 50, batch: 1000, delay_ms: 600_000 },
  },
  graph: {
    switches: ["reset", "http_500", "http_502", "pair_limit", "throughput", "token_expired", "template_paused", "form_blocked", "form_throttled", "window_error"],
    amounts: { slow_ms: 600_000, pacing_ms: 3_600_000 },
  },
  media: {
    switches: ["media_gone", "media_url_dead", "media_inside", "media_redirect", "media_damaged", "media_swapped", "media_endless", "upload_refused"],
    amounts: { media_slow_ms: 600_000 },
  },
};
const FAILURES = [130472, 131000, 131026, 131047, 131048, 131049, 131050, 132015];
const TRUTH_EVERY_MS = 400;

const panel = byId("tools");
const opener = byId("tools-open");
const shade = byId("shade");
const wide = matchMedia("(min-width: 1180px)");
const controls = new Map(); // fault -> set(value)
let truthTimer = 0;

/** Build the panel. `attempt(promise)` tells the person when something fails. */
export function startTools(attempt) {
  const change = (name, value) => attempt(api.setFaults(state.number, { [name]: value }));
  const count = el("span", { class: "count", id: "fault-count" });
  const groups = Object.entries(GROUPS).map(([group, { switches, amounts }]) =>
    el(
      "section",
      { class: "group" },
      el("h4", { text: TEXTS.fault_groups[group] }),
      ...switches.map((name) => threeWay(name, change)),
      ...Object.entries(amounts).map(([name, max]) => amount(name, max, change)),
      group === "graph" && failure("refuse_with", change),
      group === "graph" && failure("fail_with", change),
    ),
  );
  byId("tools-body").append(
    el("section", { class: "card-box" }, el("h3", { text: TEXTS.truth }), el("dl", { class: "truth", id: "truth" })),
    el(
      "section",
      { class: "card-box" },
      el("div", { class: "title-row" }, el("h3", { text: TEXTS.faults }), count, el("button", { class: "quiet", id: "faults-clear", type: "button", text: TEXTS.faults_clear, on: { click: () => attempt(clear()) } })),
      el("p", { class: "help", text: TEXTS.faults_help }),
      ...groups,
    ),
    meta(attempt),
    el("button", {
      class: "danger",
      type: "button",
      text: TEXTS.reset,
      on: { click: () => confirm(TEXTS.reset_title, TEXTS.reset_body, TEXTS.reset_confirm, () => attempt(api.reset())) },
    }),
  );
  opener.addEventListener("click", () => toggle(panel.hidden));
  byId("tools-close").addEventListener("click", () => toggle(false));
  shade.addEventListener("click", () => toggle(false));
  panel.addEventListener("keydown", (event) => event.key === "Escape" && toggle(false));
  wide.addEventListener("change", () => toggle(wide.matches));
  on("faults", drawFaults);
  for (const topic of ["message", "opened", "people"]) on(topic, askTruth);
}

/** Open beside the chat where there is room. */
export const openWhereThereIsRoom = () => wide.matches && toggle(true, { focus: false });

function toggle(open, { focus = true } = {}) {
  panel.hidden = !open;
  byId("app").classList.toggle("with-tools", open);
  shade.hidden = !open || wide.matches;
  opener.setAttribute("aria-expanded", String(open));
  if (open) askTruth();
  if (focus && !wide.matches) (open ? byId("tools-close") : opener).focus();
}

const clear = () => api.setFaults(state.number, Object.fromEntries([...controls.keys()].map((name) => [name, OFF])));

function threeWay(name, change) {
  const radios = [
    [OFF, TEXTS.fault_off],
    [ONCE, TEXTS.fault_once, TEXTS.fault_once_long],
    [ALWAYS, TEXTS.fault_always],
  ].map(([value, label, long]) => {
    const input = el("input", { type: "radio", name: `fault-${name}`, value, "aria-label": long, on: { change: () => change(name, value) } });
    return { input, node: el("label", {}, input, el("span", { text: label })) };
  });
  const row = el("fieldset", { class: "fault", "data-fault": name }, el("legend", { text: TEXTS.fault_names[name] }), el("span", { class: "segments" }, ...radios.map(({ node }) => node)));
  controls.set(name, (value) => {
    radios[value === OFF ? 0 : value > 0 ? 1 : 2].input.checked = true;
    row.classList.toggle("on", value !== OFF);
  });
  return row;
}

function amount(name, max, change) {
  const input = el("input", { type: "number", min: 0, max, step: 1, value: 0, on: { change: () => input.reportValidity() && change(name, Number(input.value)) } });
  const row = el("label", { class: "fault", "data-fault": name }, el("span", { text: TEXTS.fault_names[name] }), input);
  controls.set(name, (value) => {
    if (document.activeElement !== input) input.value = value;
    row.classList.toggle("on", value !== OFF);
  });
  return row;
}

function failure(name, change) {
  const select = el(
    "select",
    { on: { change: () => change(name, Number(select.value)) } },
    el("option", { value: OFF, text: TEXTS.fail_none }),
    ...FAILURES.map((code) => el("option", { value: code, text: `${code}: ${TEXTS.reasons[code]}` })),
  );
  const row = el("label", { class: "fault", "data-fault": name }, el("span", { text: TEXTS.fault_names[name] }), select);
  controls.set(name, (value) => {
    select.value = value;
    row.classList.toggle("on", value !== OFF);
  });
  return row;
}

function drawFaults() {
  const faults = state.faults[state.number] ?? {};
  for (const [name, set] of controls) set(faults[name] ?? OFF);
  const active = [...controls.keys()].filter((name) => faults[name]).length;
  byId("fault-count").textContent = active ? TEXTS.faults_on(active) : "";
  byId("faults-clear").hidden = !active;
  byId("tools-dot").hidden = !active;
}

function askTruth() {
  if (panel.hidden || truthTimer) return;
  truthTimer = setTimeout(async () => {
    truthTimer = 0;
    const report = await api.truth().catch(() => null);
    if (report) drawTruth(report);
  }, TRUTH_EVERY_MS);
}

function drawTruth({ world, posted, pending }) {
  const sum = (counts) => Object.values(counts).reduce((total, n) => total + n, 0);
  const repeated = world.pairs.reduce((total, pair) => total + sum(pair.duplicates) - Object.keys(pair.duplicates).length, 0);
  const rows = [
    ["heard", world.heard],
    ["taken", world.taken],
    ["repeated", repeated],
    ["refused", sum(world.refused)],
    ["posts", posted.posts],
    ["pending", pending],
  ];
  byId("truth").replaceChildren(
    ...rows.map(([name, value]) => el("div", { class: name === "repeated" && value ? "bad" : "" }, el("dt", { text: TEXTS[`truth_${name}`] }), el("dd", { text: value }))),
  );
  if (pending) askTruth();
}
