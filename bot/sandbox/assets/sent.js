// What became of the alert that was sent last: shown below the button, and told to screen readers.
import { speak } from "./announcer.js";
import { byId } from "./elements.js";
import { recall, remember } from "./memory.js";

const NARROW = matchMedia("(max-width: 1079px)");

let latest = null;
let told = null; // null: whatever comes first is known from before a reload

export function followSent(identifier) {
  told = "";
  remember("sent", identifier);
  byId("sent").hidden = false;
  byId("sent").scrollIntoView({ block: "nearest" });
  showSent(latest);
}

export function showSent(state) {
  latest = state;
  const alert = state.alerts.find((one) => one.identifier === recall("sent"));
  // What waits in a sandbox that has ended will not be asked.
  byId("sent").hidden = !alert || Boolean(state.health.ended);
  if (byId("sent").hidden) return;
  const { words, at } = progress(alert, state);
  byId("sent-words").textContent = words;
  byId("sent-show").hidden = !at;
  byId("sent-show").onclick = () => byId(at).scrollIntoView({ block: "start" });
  if (told !== null && told !== words) {
    speak(words);
    lead(at);
  }
  told = words;
}

// Side by side, the question appears before the reader's eyes; below each other, a reader who still looks at the
// button is taken there.
function lead(at) {
  const { top, bottom } = byId("sent").getBoundingClientRect();
  if (NARROW.matches && at === "part-slack" && bottom > 0 && top < innerHeight) byId(at).scrollIntoView();
}

function progress(alert, state) {
  const receipts = state.receipts.filter((one) => one.identifier === alert.identifier);
  const refused = receipts.find((one) => one.queue === "dead-letter");
  if (refused) return { words: `The bot refused the request: ${refused.verdict}.`, at: "part-received" };
  const undelivered = receipts.find((one) => one.outcome === "undeliverable");
  if (undelivered) {
    return { words: `Nobody was asked (${undelivered.reason}). The alert is left to an analyst.`, at: "part-received" };
  }
  const person = state.people.find((one) => one.email === alert.user);
  const asked = state.messages.some((one) => one.person === person?.id && !one.thread && Number(one.ts) > alert.sent_at);
  if (asked) return { words: `The bot asked ${person.name} in Slack.`, at: "part-slack" };
  const held = state.health.parts.find((part) => part.state !== "up");
  return { words: held ? `Sent. It waits (${held.name}: ${held.words}).` : "Sent to the request queue." };
}
