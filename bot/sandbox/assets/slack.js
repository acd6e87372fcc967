// The Slack part: whose Slack is looked at, their messages from the bot, and the buttons.
import { arrange, byId, clockTime, element } from "./elements.js";
import { blockKit } from "./blocks.js";
import { ask } from "./confirm.js";
import { mrkdwn } from "./mrkdwn.js";
import { post } from "./server.js";

let viewed = null;
let latest = { people: [], messages: [], bot: { name: "Triage Bot" } };
const seen = new Map(); // person → ts of the newest message that was on screen
const troubles = new Map(); // message → what Slack said when a click got no answer

export function showSlack(state) {
  latest = state;
  viewed ??= state.people.find((person) => person.reachable)?.id ?? null;
  draw();
}

export function viewAs(id) {
  viewed = id;
  draw();
  byId("messages").scrollTop = byId("messages").scrollHeight;
}

function draw() {
  const messages = messagesFor(viewed);
  if (messages.length) seen.set(viewed, messages.at(-1).ts);
  arrange(byId("people"), latest.people.map(personRow), { key: (row) => row.id, build: personElement });
  arrange(byId("conversation-head"), [headOf(viewed)], { key: () => "head", build: headElement });
  drawMessages(messages);
}

const messagesFor = (id) => latest.messages.filter((message) => message.person === id);

// The conversation follows new messages, unless the reader has scrolled up to older ones.
function drawMessages(messages) {
  const box = byId("messages");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 80;
  const items = messages.length ? messages.map(withTrouble) : [{ empty: viewed }];
  arrange(box, items, { key: keyOf, build: (item) => (item.empty ? emptyElement() : messageElement(item)) });
  if (atEnd) box.scrollTop = box.scrollHeight;
}

const keyOf = (item) => (item.empty ? `empty ${item.empty}` : `${item.channel} ${item.ts}`);
const withTrouble = (message) => ({ ...message, trouble: troubles.get(keyOf(message)) ?? null });

function personRow(person) {
  const after = Number(seen.get(person.id) ?? 0);
  const unread = messagesFor(person.id).filter((message) => Number(message.ts) > after).length;
  return { ...person, viewed: person.id === viewed, unread: person.id === viewed ? 0 : unread };
}

function personElement(person) {
  const radio = element("input", {
    type: "radio", name: "viewed", value: person.id, checked: person.viewed, "data-control": "view",
    onchange: () => viewAs(person.id),
  });
  return element("label", { class: `person ${person.reachable ? "" : "is-unreachable"}` },
    radio, avatar(person.name, person.id),
    element("span", { class: "person-words" },
      element("span", { class: "person-name" }, person.name),
      person.note ? element("span", { class: "person-note" }, person.note) : null),
    person.unread ? badge(person.unread) : null);
}

const badge = (count) => element("span", { class: "badge" }, String(count),
  element("span", { class: "spoken" }, count === 1 ? " unread message" : " unread messages"));

function avatar(name, id) {
  const initials = name.split(/\s+/).map((word) => word[0]).slice(0, 2).join("").toUpperCase();
  const hue = [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 6, 0);
  return element("span", { class: `avatar hue-${hue}`, "aria-hidden": "true" }, initials);
}

function headOf(id) {
  const person = latest.people.find((one) => one.id === id);
  return { bot: latest.bot.name, name: person?.name ?? "", email: person?.email ?? "" };
}

function headElement(head) {
  return element("div", { class: "conversation-title" },
    botAvatar(),
    element("div", {},
      element("p", {}, element("strong", {}, head.bot), " ", element("span", { class: "app" }, "APP")),
      element("p", { class: "viewing" }, "as ", element("b", {}, head.name), " sees it",
        head.email ? ` · ${head.email}` : null)));
}

const botAvatar = () => element("img", { class: "avatar", src: "/assets/icon.svg", alt: "", width: 32, height: 32 });

function emptyElement() {
  return element("p", { class: "empty" },
    "No messages. When MozDef raises an alert about this person, the bot’s question appears here.");
}

function messageElement(message) {
  const names = Object.fromEntries(latest.people.map((person) => [person.id, person.name]));
  const slack = { people: names, ask, press: (action) => click(message, action) };
  return element("article", { class: `message ${message.ephemeral ? "is-ephemeral" : ""}`, "data-ts": message.ts },
    botAvatar(),
    element("div", { class: "message-body" },
      messageHead(message),
      message.blocks.length
        ? blockKit(message.blocks, slack)
        : element("div", { class: "rich" }, mrkdwn(message.text, names)),
      message.edited ? element("span", { class: "edited" }, "(edited)") : null,
      message.trouble ? element("p", { class: "trouble", role: "alert" }, message.trouble) : null));
}

function messageHead(message) {
  return element("p", { class: "message-head" },
    element("strong", {}, latest.bot.name), element("span", { class: "app" }, "APP"),
    element("time", {}, clockTime(Number(message.ts))),
    message.ephemeral ? element("span", { class: "only-you" }, "Only visible to you") : null,
    message.thread ? element("span", { class: "only-you" }, "In a thread") : null);
}

// As in Slack, a press that the bot does not acknowledge puts a warning under the message.
async function click(message, action) {
  troubles.delete(keyOf(message));
  const answer = await post("/api/clicks", { user: viewed, channel: message.channel, ts: message.ts, ...action });
  if (answer.trouble) troubles.set(keyOf(message), answer.trouble);
  draw();
}
