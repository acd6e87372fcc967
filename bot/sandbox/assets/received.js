// What MozDef receives: every message on the response queue, and what a stock MozDef does with it.
import { arrange, byId, clockTime, element, onUnfold } from "./elements.js";
import { recall, remember } from "./memory.js";

const STATUSES = {
  acknowledged: "MozDef sets the alert to acknowledged",
  escalated: "MozDef escalates the alert",
  manual: "MozDef leaves the alert to an analyst",
};

export function showReceived(state) {
  const receipts = [...state.receipts].reverse();
  byId("receipts-empty").hidden = receipts.length > 0;
  arrange(byId("receipts"), receipts, { key: (receipt) => receipt.number, build: receiptElement });
}

// One sentence for screen readers.
export function spokenReceipt(receipt) {
  if (receipt.queue === "dead-letter") return "A request went to the dead-letter queue.";
  const answer = [titleOf(receipt), change(receipt)].filter(Boolean).join(". ");
  return `MozDef received for ${receipt.user || "an alert"}: ${answer}. ${receipt.status ? STATUSES[receipt.status] : receipt.verdict}.`;
}

function receiptElement(receipt) {
  if (receipt.queue === "dead-letter") return deadLetter(receipt);
  if (!receipt.kept) return dropped(receipt);
  return receipt.status ? verdict(receipt) : note(receipt);
}

function verdict(receipt) {
  return card(`status-${receipt.status}`, receipt, { chip: receipt.status, words: STATUSES[receipt.status] });
}

function note(receipt) {
  return card("status-note", receipt, {
    chip: "note",
    words: receipt.verdict || "MozDef indexes it without changing the alert",
    counts: receipt.retracted ? receipt.label : null,
  });
}

function titleOf(receipt) {
  if (receipt.queue === "dead-letter") return "The bot rejected a request";
  if (!receipt.kept) return "MozDef discards this";
  if (receipt.status) return receipt.label || receipt.response;
  if (receipt.question) return "The security team asks a question";
  if (receipt.inReplyTo !== undefined && receipt.inReplyTo !== null) return receipt.comment ? "They replied" : "The question could not be asked";
  if (receipt.comment) return "They added a note";
  return receipt.retracted ? "They changed their mind" : receipt.label || "A note";
}

// What was known before, and what they say now.
function change({ before, now }) {
  return before ? `Before: “${before}”. Now: “${now}”` : null;
}

function dropped(receipt) {
  return card("is-dropped", receipt, {
    chip: "dropped", words: receipt.verdict });
}

function deadLetter(receipt) {
  return card("is-dead-letter", receipt, {
    chip: "dead letter", words: receipt.verdict });
}

// `counts` names the answer that stands, if the person has given another one since.
function card(look, receipt, { chip, words, counts = null }) {
  return element("li", { class: `receipt ${look}` },
    element("p", { class: "receipt-head" },
      element("strong", {}, titleOf(receipt)), element("span", { class: "chip" }, chip)),
    receipt.alert || receipt.user
      ? element("p", { class: "receipt-who" }, receipt.alert ? element("code", {}, receipt.alert) : null,
        element("span", { class: "aside" }, receipt.user || ""))
      : null,
    receipt.before ? element("p", { class: "receipt-words" }, change(receipt), ".") : null,
    element("p", { class: "receipt-words" }, words),
    counts ? element("p", { class: "receipt-words" }, "What counts: ", element("b", {}, counts)) : null,
    receipt.comment || receipt.question
      ? element("blockquote", { class: "comment" }, receipt.comment || receipt.question) : null,
    receipt.reason ? element("p", { class: "receipt-words aside" }, "Reason: ", element("code", {}, receipt.reason)) : null,
    element("details", { open: recall("bodies", []).includes(receipt.number) },
      element("summary", { "data-control": "body", onclick: onUnfold((isOpen) => keepBody(receipt.number, isOpen)) }, element("span", {}, "Body"),
        element("time", {}, clockTime(receipt.received_at))),
      element("pre", { class: "json", tabindex: "0" }, ...coloured(receipt.body))));
}

function keepBody(number, isOpen) {
  const others = recall("bodies", []).filter((one) => one !== number);
  remember("bodies", isOpen ? [...others, number] : others);
}

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

// Pretty-prints and colours JSON; a body that is not JSON is shown as received.
function coloured(body) {
  let text;
  try {
    text = JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return [body];
  }
  const made = [];
  let end = 0;
  for (const found of text.matchAll(TOKEN)) {
    const kind = found[2] ? "key" : found[1] ? "text" : "literal";
    const token = found[1] ?? found[0];
    made.push(text.slice(end, found.index), element("span", { class: `json-${kind}` }, token));
    end = found.index + token.length;
  }
  return [...made, text.slice(end)];
}
