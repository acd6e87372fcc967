// Starts the page: its three parts show every state that the sandbox program sends.
import { arrange, byId, element } from "./elements.js";
import { showMozdef } from "./mozdef.js";
import { showReceived, spokenReceipt } from "./received.js";
import { follow, post } from "./server.js";
import { showSlack } from "./slack.js";

let spokenUpTo = null;
let ended = false;

follow({ onstate: show, onlost: lost });

function show(state) {
  ended = Boolean(state.health.ended);
  showHealth(state.health);
  showMozdef(state);
  showSlack(state);
  showReceived(state);
  announce(state.receipts);
  document.body.dataset.ready = String(state.health.ready);
}

function showHealth(health) {
  arrange(byId("health"), health.parts, { key: (part) => part.name, build: healthElement });
  banner(health.ended, health.failed);
}

function healthElement(part) {
  return element("li", { class: `pill is-${part.state}` },
    element("span", { class: "dot", "aria-hidden": "true" }),
    element("span", { class: "pill-name" }, part.name), element("span", { class: "pill-words" }, part.words),
    part.fault ? element("button", { type: "button", class: "pill-fault", "data-control": "fault",
      onclick: () => post("/api/faults", { fault: part.fault }).then((answer) => announceTrouble(answer.trouble)) },
    part.offer) : null);
}

function banner(words, failed) {
  byId("banner").hidden = !words;
  byId("banner").classList.toggle("is-failure", Boolean(failed));
  if (byId("banner").textContent !== (words ?? "")) byId("banner").textContent = words ?? "";
}

function announceTrouble(trouble) {
  if (trouble) byId("announcer").textContent = trouble;
}

function lost() {
  if (!ended) banner("The connection to the sandbox program is lost. This page reconnects automatically.", true);
}

// Screen readers announce only new receipts, never the whole list.
function announce(receipts) {
  const newest = receipts.at(-1);
  if (spokenUpTo !== null && newest && newest.number > spokenUpTo) {
    byId("announcer").textContent = spokenReceipt(newest);
  }
  spokenUpTo = newest?.number ?? 0;
}
