// The MozDef part: the form that sends an alert, and the list of alerts with their current status.
import { speak } from "./announcer.js";
import { arrange, byId, clockTime, element, radio } from "./elements.js";
import { focusFirstError, markField } from "./field_errors.js";
import { recall, remember } from "./memory.js";
import { followAlerts } from "./permalinks.js";
import { followSent, showSent } from "./sent.js";
import { post } from "./server.js";
import { viewAs } from "./slack.js";

const OWN = "own";
const OTHER = "other";
const CONFIDENCES = ["lowest", "low", "moderate", "high", "highest"];
// The fields that a reload keeps, besides the two choices.
const FIELDS = ["alert-label", "alert-summary", "alert-facts", "alert-occurred", "alert-person", "alert-address"];
const STATUS_WORDS = { open: "waiting", acknowledged: "acknowledged", manual: "manual", escalated: "escalated" };

let samples = [];
let people = [];

export function showMozdef(state) {
  people = state.people;
  if (!samples.length) prepareForm(state);
  const alerts = state.alerts.map((alert) => ({ ...alert, person: nameOf(alert.user) }));
  byId("alerts-empty").hidden = alerts.length > 0;
  arrange(byId("alerts"), alerts.reverse(), { key: (alert) => alert.identifier, build: alertElement });
  byId("send").disabled = !state.health.ready || Boolean(state.health.ended);
  showSent(state);
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
    group: "sample", value, words, checked: index === 0, onchange: () => pick(value) })));
  byId("confidence").replaceChildren(...CONFIDENCES.map((word) => radio({
    group: "confidence", value: word, words: word, checked: false })));
  followAlerts({ template: state.alert_url, follow: showAlert });
  fillPeople(state.people);
  choose(samples[0].alert);
  refill();
  for (const kind of ["input", "change"]) byId("alert-form").addEventListener(kind, changed);
  byId("alert-form").addEventListener("submit", send);
}

function fillPeople(members) {
  const options = members.filter((person) => person.email).map((person) => element("option", { value: person.email },
    person.note ? `${person.name} (${person.note})` : person.name));
  byId("alert-person").replaceChildren(...options, element("option", { value: OTHER }, "Another address…"));
}

// Says before anything is sent who is not asked.
function showPerson() {
  const chosen = byId("alert-person").value;
  const person = people.find((one) => one.email === chosen);
  byId("address-field").hidden = chosen !== OTHER;
  hint("person-hint", chosen === OTHER ? "If nobody in Slack has this address, nobody is asked, and the alert is left to an analyst."
    : person?.note ? `The bot will not ask ${person.name} (${person.note}). The alert is left to an analyst.` : "");
}

function hint(id, words) {
  if (byId(id).textContent !== words && words) speak(words);
  byId(id).hidden = !words;
  byId(id).textContent = words;
}

// What is typed survives a reload.
function changed(event) {
  if (event.target.id === "alert-person") showPerson();
  if (event.target.id && byId(`${event.target.id}-error`)) markField(event.target, null);
  remember("form", { sample: checkedOf("sample"), confidence: checkedOf("confidence"),
    fields: Object.fromEntries(FIELDS.map((id) => [id, byId(id).value])) });
}

function refill() {
  const form = recall("form");
  if (form) {
    choose(form.sample);
    check("sample", form.sample);
    check("confidence", form.confidence);
    for (const id of FIELDS) byId(id).value = form.fields[id];
  }
  showPerson();
}

function pick(value) {
  choose(value);
  if (value === OWN) byId("alert-label").focus();
}

function choose(value) {
  const sample = samples.find((one) => one.alert === value);
  [byId("alert-label"), byId("alert-summary"), byId("alert-occurred")].forEach((input) => markField(input, null));
  byId("alert-label").value = sample?.alert ?? "";
  hint("sample-hint", sample?.hint ?? "");
  byId("label-shown").textContent = sample?.alert ?? "";
  byId("label-field").hidden = Boolean(sample);
  byId("alert-summary").value = sample?.summary ?? "";
  byId("alert-facts").value = Object.entries(sample?.facts ?? {}).map((fact) => fact.join(": ")).join("\n");
  byId("alert-occurred").value = sample?.minutes_ago ? localMinute(Date.now() - sample.minutes_ago * 60_000) : "";
  check("confidence", sample?.confidence ?? "moderate");
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

const checkedOf = (group) => document.querySelector(`input[name=${group}]:checked`).value;

function check(group, value) {
  const input = document.querySelector(`input[name=${group}][value="${CSS.escape(value)}"]`);
  if (input) input.checked = true;
}

function address() {
  const chosen = byId("alert-person").value;
  return chosen === OTHER ? byId("alert-address").value.trim() : chosen;
}

async function send(event) {
  event.preventDefault();
  const user = address();
  if (hasErrors()) return;
  const answer = await post("/api/alerts", {
    alert: byId("alert-label").value.trim(),
    summary: byId("alert-summary").value,
    user,
    confidence: checkedOf("confidence"),
    occurredAt: occurredAt(),
    facts: facts(),
  });
  tell(answer.trouble);
  if (answer.trouble) return;
  const member = people.find((person) => person.email === user && person.reachable);
  if (member) viewAs(member.id);
  followSent(answer.identifier);
}

// MozDef would send anything, but an empty field here is a mistake.
function hasErrors() {
  const [label, summary, occurred, other] = ["alert-label", "alert-summary", "alert-occurred", "alert-address"].map(byId);
  markField(label, label.value.trim() ? null : "Enter a label.");
  markField(summary, summary.value.trim() ? null : "Enter a summary.");
  markField(occurred, occurred.validity.badInput ? "Complete the date and time, or clear both." : null);
  markField(other, address() ? null : "Enter an e-mail address.");
  const wrong = [label, summary, occurred, other].filter((input) => input.hasAttribute("aria-invalid"));
  focusFirstError(wrong);
  return wrong.length > 0;
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
      alert.counts ? element("span", { class: "alert-counts" }, "What counts: ", element("b", {}, alert.counts)) : null,
      alert.later ? element("span", { class: "alert-counts" }, "Said later: ", element("b", {}, alert.later)) : null),
    element("span", { class: "chip" }, STATUS_WORDS[alert.status] ?? alert.status));
}
