// The MozDef part: the form that sends an alert, and the list of alerts with their current status.
import { arrange, byId, clockTime, element, radio } from "./elements.js";
import { followAlerts } from "./permalinks.js";
import { post } from "./server.js";
import { viewAs } from "./slack.js";

const OWN = "own";
const OTHER = "other";
const CONFIDENCES = ["lowest", "low", "moderate", "high", "highest"];
const STATUS_WORDS = { open: "waiting", acknowledged: "acknowledged", manual: "manual", escalated: "escalated" };

let samples = [];
let people = [];

export function showMozdef(state) {
  if (!samples.length) prepareForm(state);
  people = state.people;
  const alerts = state.alerts.map((alert) => ({ ...alert, person: nameOf(alert.user) }));
  byId("alerts-empty").hidden = alerts.length > 0;
  arrange(byId("alerts"), alerts.reverse(), { key: (alert) => alert.identifier, build: alertElement });
  byId("send").disabled = !state.health.ready || Boolean(state.health.ended);
}

const nameOf = (address) => people.find((person) => person.email === address)?.name ?? address;

// A link to an alert leads to its entry in MozDef's list.
function showAlert(identifier) {
  const found = byId("alerts").querySelector(`[data-key="${CSS.escape(identifier)}"]`);
  found?.scrollIntoView({ block: "center" });
  found?.focus({ preventScroll: true });
  found?.classList.add("is-target");
  found?.addEventListener("animationend", () => found.classList.remove("is-target"), { once: true });
}

function prepareForm(state) {
  samples = state.samples;
  const choices = [...samples.map((sample) => [sample.alert, sample.title]), [OWN, "Write my own"]];
  byId("samples").replaceChildren(...choices.map(([value, words], index) => radio({
    group: "sample", value, words, checked: index === 0, onchange: () => choose(value) })));
  byId("confidence").replaceChildren(...CONFIDENCES.map((word) => radio({
    group: "confidence", value: word, words: word, checked: false })));
  followAlerts({ template: state.alert_url, follow: showAlert });
  fillPeople(state.people);
  choose(samples[0].alert);
  byId("alert-person").addEventListener("change", toggleAddress);
  byId("alert-form").addEventListener("submit", send);
}

function fillPeople(members) {
  const options = members.filter((person) => person.email).map((person) => element("option", { value: person.email },
    person.note ? `${person.name} (${person.note})` : person.name));
  byId("alert-person").replaceChildren(...options, element("option", { value: OTHER }, "Another address…"));
}

function toggleAddress() {
  byId("address-field").hidden = byId("alert-person").value !== OTHER;
}

function choose(value) {
  const sample = samples.find((one) => one.alert === value);
  byId("alert-label").value = sample?.alert ?? "";
  byId("sample-hint").hidden = !sample?.hint;
  byId("sample-hint").textContent = sample?.hint ?? "";
  byId("label-shown").textContent = sample?.alert ?? "";
  byId("label-field").hidden = Boolean(sample);
  byId("alert-summary").value = sample?.summary ?? "";
  byId("alert-facts").value = Object.entries(sample?.facts ?? {}).map((fact) => fact.join(": ")).join("\n");
  byId("alert-occurred").value = sample?.minutes_ago ? localMinute(Date.now() - sample.minutes_ago * 60_000) : "";
  setConfidence(sample?.confidence ?? "moderate");
  if (!sample) byId("alert-label").focus();
}

// As a field of type datetime-local has it: in the reader's own time zone.
function localMinute(milliseconds) {
  const moment = new Date(milliseconds);
  return new Date(milliseconds - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

// A line without a colon becomes a fact without a value, which the bot leaves out.
function facts() {
  const lines = byId("alert-facts").value.split("\n").filter((line) => line.trim());
  return lines.map((line) => /^(?<name>.*?):(?=\s|$)(?<value>.*)$|^(?<rest>.*)$/.exec(line).groups)
    .map(({ name, value, rest }) => ({ name: (name ?? rest).trim(), value: (value ?? "").trim() }));
}

function occurredAt() {
  const chosen = byId("alert-occurred").value;
  return chosen ? new Date(chosen).toISOString() : "";
}

function setConfidence(word) {
  document.querySelector(`input[name=confidence][value=${word}]`).checked = true;
}

function address() {
  const chosen = byId("alert-person").value;
  return chosen === OTHER ? byId("alert-address").value.trim() : chosen;
}

async function send(event) {
  event.preventDefault();
  const user = address();
  const missing = whatIsMissing(user);
  if (missing) return tell(missing);
  const answer = await post("/api/alerts", {
    alert: byId("alert-label").value.trim(),
    summary: byId("alert-summary").value,
    user,
    confidence: document.querySelector("input[name=confidence]:checked").value,
    occurredAt: occurredAt(),
    facts: facts(),
  });
  tell(answer.trouble);
  const member = people.find((person) => person.email === user && person.reachable);
  if (!answer.trouble && member) viewAs(member.id);
}

// MozDef would send anything, but an empty field here is a mistake.
function whatIsMissing(user) {
  if (!byId("alert-label").value.trim()) return "The alert needs a label.";
  if (!byId("alert-summary").value.trim()) return "The alert needs a summary.";
  return user ? null : "The alert needs an e-mail address.";
}

function tell(trouble) {
  byId("form-error").hidden = !trouble;
  byId("form-error").textContent = trouble ?? "";
}

function alertElement(alert) {
  return element("li", { class: `alert status-${alert.status}`, tabindex: "-1" },
    element("span", { class: "alert-words" },
      element("code", {}, alert.alert),
      element("span", { class: "aside" }, `${alert.person} · ${alert.confidence} · ${clockTime(alert.sent_at)}`),
      alert.counts ? element("span", { class: "alert-counts" }, "What counts: ", element("b", {}, alert.counts)) : null),
    element("span", { class: "chip" }, STATUS_WORDS[alert.status] ?? alert.status));
}
