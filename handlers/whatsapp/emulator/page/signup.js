// The window of Embedded Signup: what is chosen here is told to the page that opened it, as Meta tells it.
"use strict";

const asked = new URLSearchParams(location.search);
const id = (name) => document.getElementById(name);
const extras = JSON.parse(asked.get("extras") || "{}");
const coexistence = extras.featureType === "whatsapp_business_app_onboarding";

const kinds = {
  app: "El de mi aplicación WhatsApp Business",
  new: "Uno nuevo",
  two_step: "Uno nuevo, que ya tiene un PIN (246810)",
  unverified: "Uno nuevo, todavía sin comprobar",
  none: "Ninguno por ahora",
};

function offer(value, text, checked) {
  const label = document.createElement("label");
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "kind", value, checked });
  label.append(radio, text);
  id("kinds").append(label);
}

for (const [value, text] of Object.entries(kinds)) {
  if (value !== "app" || coexistence) offer(value, text, value === (coexistence ? "app" : "new"));
}

fetch("api/state").then((answer) => answer.json()).then(({ numbers }) => {
  for (const number of numbers) offer(`taken ${number.id}`, `El de ${number.name}, ${number.display_phone}`, false);
});

// What Meta's window would refuse, too.
const wrong = [
  [asked.get("config_id") !== "1" || asked.get("app_id") !== "1", "La aplicación o su configuración no existe."],
  [asked.get("response_type") !== "code" || asked.get("override") !== "true", "La configuración pide un código (response_type)."],
  ["version" in extras && extras.version !== "v4", "Embedded Signup v2 y v3 terminaron el 15 de octubre de 2026."],
].find(([is]) => is);
if (wrong) {
  id("wrong").textContent = wrong[1];
  id("wrong").hidden = false;
  id("choose").hidden = true;
}

// Only to the site that opened us.
const tell = (told) => window.opener?.postMessage(told, asked.get("origin"));
const session = (event, data) => tell(JSON.stringify({ data, type: "WA_EMBEDDED_SIGNUP", event, version: 3 }));

id("choose").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [kind, number = ""] = String(new FormData(id("choose")).get("kind")).split(" ");
  id("finish").disabled = true;
  const answer = await fetch("api/signups", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ kind, number, display_phone: id("phone").value, name: id("name").value }),
  });
  const finished = await answer.json();
  if (!answer.ok) {
    id("wrong").textContent = finished.error;
    id("wrong").hidden = false;
    id("finish").disabled = false;
    return;
  }
  session(finished.event, finished.data);
  tell({ type: "EMULATOR_CODE", code: finished.code });
  close();
});

id("report").addEventListener("click", () => {
  // Meta calls it CANCEL as well: only its data tells.
  session("CANCEL", { error_message: "Your verified name violates WhatsApp guidelines.", error_code: "524126", session_id: "f34b51dab5e0498", timestamp: String(Math.floor(Date.now() / 1000)) });
  setTimeout(close, 100);
});

id("cancel").addEventListener("click", () => {
  session("CANCEL", { current_step: "PHONE_NUMBER_SETUP" });
  setTimeout(close, 100);
});
