// A conversation: its messages, their threads, and the replies that were broadcast to it.
import { arrange, byId, clockTime, element, onUnfold } from "./elements.js";
import { blockKit } from "./blocks.js";
import { isAtEnd, recall, remember } from "./memory.js";
import { mrkdwn } from "./mrkdwn.js";
import { botAvatar } from "./places.js";

// The conversation follows new messages, unless the reader has scrolled up to older ones.
export function drawMessages(messages, slack) {
  const box = byId("messages");
  const atEnd = isAtEnd(box);
  const items = messages.filter((message) => !message.thread || message.broadcast)
    .map((message) => itemOf(message, messages, slack));
  arrange(box, items.length ? items : [{ empty: slack.place, isChannel: slack.isChannel, person: slack.person }], {
    key: keyOf, build: (item) => (item.empty ? emptyElement(item) : messageElement(item, slack)) });
  if (atEnd) box.scrollTop = box.scrollHeight;
}

// A message that has grown says at its end what is new, and below that what went wrong.
export function keepInView(name) {
  const found = byId("messages").querySelector(`[data-message="${CSS.escape(name)}"]`);
  (found?.querySelector(".trouble") ?? found?.lastElementChild.lastElementChild)?.scrollIntoView({ block: "nearest" });
}

// Scrolls a message into view and highlights it briefly; opens its thread if it is in one.
export function showMessage(channel, ts) {
  const found = byId("messages").querySelector(`[data-message="${CSS.escape(`${channel} ${ts}`)}"]`);
  if (!found) return;
  const thread = found.closest("details");
  if (thread) {
    thread.open = true;
    keepUnfolded(thread.closest("[data-message]").dataset.message, true);
  }
  found.scrollIntoView({ block: "center" });
  found.focus({ preventScroll: true });
  found.classList.add("is-target");
  found.addEventListener("animationend", () => found.classList.remove("is-target"), { once: true });
}

const keyOf = (item) => (item.empty ? `empty ${item.empty}` : nameOf(item));
const nameOf = (message) => `${message.channel} ${message.ts}`;

function itemOf(message, all, { troubles, isChannel }) {
  const replies = all.filter((one) => one.thread === message.ts && one.ts !== message.ts)
    .map((reply) => ({ ...reply, trouble: troubles.get(nameOf(reply)) ?? null }));
  const parent = message.broadcast ? all.find((one) => one.ts === message.thread) : null;
  return { ...message, trouble: troubles.get(nameOf(message)) ?? null, replies,
    about: parent ? firstText(parent) : null,
    open: recall("unfolded", {})[nameOf(message)] ?? isChannel };
}

function firstText(message) {
  return message.blocks.find((block) => block.type === "header")?.text.text ?? message.text;
}

function emptyElement({ isChannel, person }) {
  return element("p", { class: "empty" }, isChannel
    ? "No cards yet. When somebody says “no”, is not sure, or does not answer, the security team is told here."
    : person?.note ? `No messages. The bot does not ask ${person.name} (${person.note}): an alert about them is left to an analyst.`
      : "No messages. When MozDef raises an alert about this person, the bot’s question appears here.");
}

function messageElement(message, slack) {
  return element("article", { class: `message ${message.only_for ? "is-ephemeral" : ""}`, tabindex: "-1",
    "data-ts": message.ts, "data-message": nameOf(message) },
  botAvatar(), element("div", { class: "message-body" },
    messageHead(message, slack),
    message.broadcast ? repliedTo(message, slack) : null,
    ...content(message, slack),
    message.replies.length ? thread(message, slack) : null));
}

function messageHead(message, slack) {
  return element("p", { class: "message-head" },
    element("strong", {}, slack.bot.name), element("span", { class: "app" }, "APP"),
    element("time", {}, clockTime(Number(message.ts))),
    message.only_for ? element("span", { class: "only-you" }, "Only visible to you") : null);
}

function repliedTo(message, slack) {
  return element("p", { class: "replied" }, "replied to ",
    element("button", { type: "button", class: "reply-link", "data-control": "parent",
      onclick: () => slack.goTo(message.channel, message.thread) },
    message.about ?? "a message"));
}

// A broadcast reply appears in the conversation only as a reference, without buttons.
function content(message, slack) {
  const blocks = message.broadcast ? message.blocks.filter((block) => block.type !== "actions") : message.blocks;
  return [
    ...(blocks.length
      ? blockKit(blocks, { ...slack, press: (action) => slack.press(message, action) })
      : [element("div", { class: "rich" }, mrkdwn(message.text, slack.people))]),
    message.edited ? element("span", { class: "edited" }, "(edited)") : null,
    message.trouble ? element("p", { class: "trouble", role: "alert" }, message.trouble) : null,
  ].filter(Boolean);
}

function thread(message, slack) {
  const count = message.replies.length;
  return element("details", { class: "thread", open: message.open },
  element("summary", { "data-control": "thread", onclick: onUnfold((isOpen) => keepUnfolded(nameOf(message), isOpen)) },
    count === 1 ? "1 reply in the thread" : `${count} replies in the thread`),
  element("div", { class: "replies" }, message.replies.map((reply) => element("div",
    { class: `reply ${reply.only_for ? "is-ephemeral" : ""}`, tabindex: "-1",
      "data-message": reply.broadcast ? null : nameOf(reply) },
    messageHead(reply, slack), ...content({ ...reply, broadcast: false }, slack)))));
}

// `unfolded` says whether a message's thread is open, once somebody has opened or closed it.
function keepUnfolded(name, isOpen) {
  remember("unfolded", { ...recall("unfolded", {}), [name]: isOpen });
}
