// The list of views to choose from: people, and the security team's channels.
import { arrange, byId, element } from "./elements.js";
import { recall, remember } from "./memory.js";

// `seen` maps a place to the ts of the newest message that was on screen there.
export function markSeen(place, messages) {
  const seen = recall("seen", {});
  const newest = messages.at(-1)?.ts;
  if (newest && seen[place] !== newest) remember("seen", { ...seen, [place]: newest });
}

export function drawPlaces(state, { viewed, choose }) {
  const row = (place, messages) => rowOf(place, { messages, viewed });
  const build = (item) => placeElement(item, choose);
  const rows = state.people.map((person) =>
    row(person, state.messages.filter((message) => message.person === person.id)));
  const channels = state.channels.map((channel) => row({ id: channel.id, channel: channel.name, name: channel.name,
    reachable: true }, channel.messages));
  arrange(byId("people"), rows.filter((person) => !person.analyst), { key: (item) => item.id, build });
  arrange(byId("security"), [...channels, ...rows.filter((person) => person.analyst)], { key: (item) => item.id, build });
}

// On a narrow screen the list is a strip, which may have to be moved to show who is chosen.
export function showChosen() {
  const list = byId("people-list");
  const [outer, inner] = [list, list.querySelector(".person:has(:checked)")].map((box) => box?.getBoundingClientRect());
  if (inner) list.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
}

export const botAvatar = () =>
  element("img", { class: "avatar", src: "/assets/icon.svg", alt: "", width: 32, height: 32 });

// Only messages outside of threads, and broadcast replies, count as unread.
function rowOf(place, { messages, viewed }) {
  const after = Number(recall("seen", {})[place.id] ?? 0);
  const calling = messages.filter((message) => !message.thread || message.broadcast);
  const unread = calling.filter((message) => Number(message.ts) > after).length;
  return { ...place, viewed: place.id === viewed, unread: place.id === viewed ? 0 : unread };
}

function placeElement(place, choose) {
  const radio = element("input", {
    type: "radio", name: "viewed", value: place.id, checked: place.viewed, "data-control": "view",
    onchange: () => choose(place.id),
  });
  return element("label", { class: `person ${place.reachable ? "" : "is-unreachable"}` },
    radio, place.channel ? element("span", { class: "avatar channel-mark", "aria-hidden": "true" }, "#")
      : avatar(place.name, place.id),
    element("span", { class: "person-words" },
      element("span", { class: "person-name" }, place.name),
      place.note ? element("span", { class: "person-note" }, place.note) : null),
    place.unread ? badge(place.unread) : null);
}

const badge = (count) => element("span", { class: "badge" }, String(count),
  element("span", { class: "spoken" }, count === 1 ? " unread message" : " unread messages"));

function avatar(name, id) {
  const initials = name.split(/\s+/).map((word) => word[0]).slice(0, 2).join("").toUpperCase();
  const hue = [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 6, 0);
  return element("span", { class: `avatar hue-${hue}`, "aria-hidden": "true" }, initials);
}
