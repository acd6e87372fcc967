// Starts the page: its three parts show every state that the sandbox program sends.
import { speak } from "./announcer.js";
import { arrange, byId, element } from "./elements.js";
import { rememberSandbox, restoreScroll } from "./memory.js";
import { showMozdef } from "./mozdef.js";
import { showReceived, spokenReceipt } from "./received.js";
import { showPhone } from "./phone.js";
import { follow, post } from "./server.js";
import { showSlack } from "./slack.js";

const NEW = "This is a new sandbox. The alerts and answers of the one before are gone.";

let latest = null;
let notice = null; // what is said at the top until it is dismissed

follow({ onstate: show, onlost: lost });

// Another sandbox has other alerts, and perhaps another version of this page.
function show(state) {
  if (latest && latest.sandbox !== state.sandbox) return location.reload();
  if (latest) announce(latest, state);
  else if (rememberSandbox(state.sandbox)) notice = NEW;
  const isFirst = !latest;
  latest = state;
  draw(state);
  if (isFirst) restoreScroll();
}

// Until the sandbox is back, nothing is said to run, and nothing can be sent.
function lost() {
  if (!latest) return;
  const parts = latest.health.parts.map(({ name }) => ({ name, state: "down", words: "stopped" }));
  draw({ ...latest, health: { ended: "The sandbox does not answer.", ...withoutNull(latest.health), ready: false, parts } });
}

const withoutNull = ({ ended, failed }) => (ended ? { ended, failed } : {});

function draw(state) {
  showHealth(state);
  showMozdef(state);
  showSlack(state);
  showPhone(state.phone);
  showReceived(state);
  document.body.dataset.ready = String(state.health.ready);
}

function showHealth({ health, program }) {
  arrange(byId("health"), health.parts, { key: (part) => part.name, build: healthElement });
  const restart = `${program} sandbox --port ${location.port}`;
  const item = health.ended ? { words: health.ended, restart, failed: Boolean(health.failed) }
    : notice ? { words: notice } : null;
  byId("banner").hidden = !item;
  arrange(byId("banner"), item ? [item] : [], { key: () => "banner", build: bannerElement });
}

// What follows the first line is the log of what has failed.
function bannerElement({ words, restart, failed }) {
  const [first, ...log] = words.split("\n");
  return element("div", { class: `banner-words ${failed ? "is-failure" : ""}` },
    element("p", {}, first),
    restart
      ? element("p", {}, "To start it again, run ", element("code", {}, restart), ". This page then carries on by itself.")
      : element("button", { type: "button", class: "button", onclick: dismiss }, "Dismiss"),
    log.length ? element("pre", { class: "json", tabindex: "0", role: "region", "aria-label": "Last lines of its log" },
      log.join("\n")) : null);
}

function notify(words) {
  notice = words;
  showHealth(latest);
}

// The button is gone then, and the keyboard must be somewhere.
function dismiss() {
  notify(null);
  byId("title").focus();
}

function healthElement(part) {
  // While the button is gone, the keyboard waits on the pill.
  return element("li", { class: `pill is-${part.state}`, tabindex: "-1", "data-control": "fault" },
    element("span", { class: "dot", "aria-hidden": "true" }),
    element("span", { class: "pill-name" }, part.name), element("span", { class: "pill-words" }, part.words),
    part.fault ? element("button", { type: "button", class: "pill-fault", "data-control": "fault",
      onclick: () => post("/api/faults", { fault: part.fault }).then((answer) => notify(answer.trouble ?? null)) },
    part.offer) : null);
}

// Screen readers are told what is new, never the whole list.
function announce(before, now) {
  for (const part of now.health.parts) {
    const was = before.health.parts.find((one) => one.name === part.name);
    if (was && was.state !== part.state) speak(`${part.name}: ${part.words}`);
  }
  const known = before.receipts.at(-1)?.number ?? 0;
  now.receipts.filter((receipt) => receipt.number > known).forEach((receipt) => speak(spokenReceipt(receipt)));
}
