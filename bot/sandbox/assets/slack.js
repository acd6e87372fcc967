// The Slack part: the view shown (a person's Messages or Home, or a channel), and button presses in it.
import { speak } from "./announcer.js";
import { arrange, byId, element } from "./elements.js";
import { ask } from "./confirm.js";
import { drawHome } from "./home.js";
import { recall, remember } from "./memory.js";
import { showModal } from "./modal.js";
import { drawMessages, keepInView, showMessage } from "./messages.js";
import { followLinks } from "./permalinks.js";
import { botAvatar, drawPlaces, markSeen, showChosen } from "./places.js";
import { post } from "./server.js";

let latest = null;
const view = { place: null, tab: "messages", analyst: null };
const troubles = new Map(); // message, or person's Home → Slack's warning when a press was not acknowledged
let pressed = null; // the last button pressed, which gets the focus back after a dialog
let isAwaited = false; // whether the bot has yet to redraw the message of that button

export function showSlack(state) {
  const before = latest;
  if (!before) prepare(state);
  latest = state;
  draw();
  if (before) announce(before);
  else showChosen();
  if (state.health.ready && !before?.health.ready && view.tab === "home") opened(view.place);
}

// Screen readers are told what the bot makes of an answer.
function announce(before) {
  if (!isAwaited) return;
  const text = (state) => messagesOf(state).find((one) => `${one.channel} ${one.ts}` === pressed.key)?.text;
  if (text(before) === text(latest)) return;
  isAwaited = false;
  speak(`${latest.bot.name}: ${text(latest)}`);
  keepInView(pressed.key);
}

const messagesOf = (state) => [...state.messages, ...state.channels.flatMap((channel) => channel.messages)];

export function viewAs(id) {
  look(id, "messages");
  byId("messages").scrollTop = byId("messages").scrollHeight;
}

function prepare(state) {
  const places = [...state.people, ...state.channels].map((place) => place.id);
  const before = recall("view", {});
  view.place = places.includes(before.place) ? before.place : state.people.find((person) => person.reachable)?.id ?? null;
  view.tab = before.tab ?? view.tab;
  view.analyst = places.includes(before.analyst) ? before.analyst : state.channels[0]?.members[0] ?? null;
  for (const tab of tabs()) {
    tab.addEventListener("click", () => look(view.place, tab.dataset.tab));
    tab.addEventListener("keydown", moveAlongTabs);
  }
  followLinks({ domain: state.domain, follow: goTo, visit: (person) => personOf(person) && look(person, "messages") });
}

function look(place, tab) {
  change({ place, tab });
  if (tab === "home") opened(place);
}

function change(now) {
  Object.assign(view, now);
  remember("view", view);
  draw();
  showChosen();
}

// Slack notifies the app whenever somebody opens its Home.
async function opened(person) {
  troubles.delete(`home ${person}`);
  const answer = await post("/api/home/opened", { user: person });
  if (answer.trouble) troubles.set(`home ${person}`, answer.trouble);
  draw();
}

// A link to a message leads to the view that shows it.
function goTo(channel, ts) {
  const message = latest.messages.find((one) => one.channel === channel && one.ts === ts);
  look(message?.person ?? channel, "messages");
  showMessage(channel, ts);
}

const channelInView = () => latest.channels.find((channel) => channel.id === view.place);
const viewer = () => (channelInView() ? view.analyst : view.place);
const tabs = () => [...byId("tabs").querySelectorAll("[role=tab]")];

function draw() {
  const channel = channelInView();
  const messages = (channel?.messages ?? latest.messages.filter((one) => one.person === view.place))
    .filter((message) => !message.only_for || message.only_for === viewer());
  markSeen(view.place, messages);
  drawPlaces(latest, { viewed: view.place, choose: (id) => look(id, "messages") });
  drawHead(channel);
  drawTabs(channel);
  drawMessages(messages, { ...context(), place: view.place, person: personOf(view.place), isChannel: Boolean(channel), troubles, press, goTo });
  drawHome(latest.homes[view.place], { ...context(), person: personOf(view.place),
    trouble: troubles.get(`home ${view.place}`) ?? null, press: pressAtHome });
  showModal(latest.modals[viewer()] ?? null, { ...context(), user: viewer(), closed: refocus });
}

const personOf = (id) => latest.people.find((person) => person.id === id);
const names = () => Object.fromEntries([...latest.people, latest.bot].map((person) => [person.id, person.name]));
const context = () => ({ people: names(), ask, bot: latest.bot });

function drawHead(channel) {
  const head = channel ? { channel: channel.name, members: channel.members.map(personOf), analyst: view.analyst }
    : { bot: latest.bot.name, name: personOf(view.place)?.name ?? "", email: personOf(view.place)?.email ?? "" };
  arrange(byId("conversation-head"), [head], { key: () => "head", build: head.channel ? channelHead : personHead });
}

function personHead(head) {
  return element("div", { class: "conversation-title" },
    botAvatar(),
    element("div", {},
      element("p", {}, element("strong", {}, head.bot), " ", element("span", { class: "app" }, "APP")),
      element("p", { class: "viewing" }, "as seen by ", element("b", {}, head.name),
        head.email ? ` · ${head.email}` : null)));
}

function channelHead(head) {
  const options = head.members.map((person) => element("option",
    { value: person.id, selected: person.id === head.analyst }, person.name));
  const choose = (event) => change({ analyst: event.target.value });
  return element("div", { class: "conversation-title" },
    element("span", { class: "avatar channel-mark", "aria-hidden": "true" }, "#"),
    element("div", {},
      element("p", {}, element("strong", {}, head.channel)),
      element("p", { class: "viewing" }, "cards for the security team")),
    element("label", { class: "acting" }, "as",
      element("select", { id: "analyst", "data-control": "analyst", onchange: choose }, options)));
}

function drawTabs(channel) {
  const isHome = !channel && view.tab === "home";
  byId("tabs").hidden = Boolean(channel) || !personOf(view.place)?.looks;
  byId("panel-messages").hidden = isHome;
  byId("panel-home").hidden = !isHome;
  for (const tab of tabs()) {
    const isSelected = (tab.dataset.tab === "home") === isHome;
    tab.setAttribute("aria-selected", String(isSelected));
    tab.tabIndex = isSelected ? 0 : -1;
  }
}

function moveAlongTabs(event) {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const other = tabs().find((tab) => tab !== event.currentTarget);
  other.focus();
  other.click();
}

// As in Slack, a press that the bot does not acknowledge shows a warning under the message.
async function press(message, action) {
  const key = `${message.channel} ${message.ts}`;
  pressed = { box: "messages", key, control: `${action.block_id} ${action.action_id}` };
  isAwaited = true;
  await tell(key, "/api/clicks", { user: viewer(), channel: message.channel, ts: message.ts, ...action });
}

async function pressAtHome(action) {
  isAwaited = false;
  pressed = { box: "home", key: "home", control: `${action.block_id} ${action.action_id}` };
  await tell(`home ${view.place}`, "/api/home/clicks", { user: view.place, ...action });
}

async function tell(key, path, action) {
  troubles.delete(key);
  const answer = await post(path, action);
  if (answer.trouble) troubles.set(key, answer.trouble);
  draw();
  if (answer.trouble) keepInView(key);
}

// The button that opened the dialog may have been rebuilt in the meantime.
function refocus() {
  const isLost = document.activeElement === document.body || document.activeElement.closest("dialog");
  if (!pressed || !isLost) return;
  const item = [...byId(pressed.box).children].find((child) => child.dataset.key === pressed.key);
  const controls = [...(item?.querySelectorAll("[data-control]") ?? [])];
  (controls.find((control) => control.dataset.control === pressed.control) ?? byId(pressed.box)).focus();
}
