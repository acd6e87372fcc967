// Renders Slack's mrkdwn as DOM nodes: the part that this bot's messages can contain.
import { dateWords } from "./dates.js";
import { element } from "./elements.js";

const BLOCK = /```([\s\S]+?)```/;
const INLINE = [
  [/`([^`\n]+)`/, (inside) => element("code", {}, plain(inside))],
  [/<([^<>\n]+)>/, (inside, people) => reference(inside, people)],
  [/(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])/, (inside, people) => element("strong", {}, inline(inside, people))],
  [/(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])/, (inside, people) => element("em", {}, inline(inside, people))],
  [/(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])/, (inside, people) => element("s", {}, inline(inside, people))],
];
const EMOJI = {
  white_check_mark: "✅", warning: "⚠️", rotating_light: "🚨", wave: "👋", lock: "🔒", shield: "🛡️",
  eyes: "👀", thinking_face: "🤔", bell: "🔔", x: "❌", question: "❓",
  memo: "📝", hourglass: "⌛", alarm_clock: "⏰", mag: "🔍", raising_hand: "🙋", house: "🏠", speech_balloon: "💬",
  pray: "🙏", heavy_check_mark: "✔️",
};

// `people` maps a member's id to the name that a mention shows.
export function mrkdwn(text, people = {}) {
  const found = BLOCK.exec(text);
  if (!found) return lines(text, people);
  const before = text.slice(0, found.index).replace(/\n$/, "");
  const after = text.slice(found.index + found[0].length).replace(/^\n/, "");
  return [...lines(before, people), element("pre", {}, plain(found[1].trim())), ...mrkdwn(after, people)];
}

// plain_text objects have no markup, except emoji names unless they say otherwise.
export function plainText(object) {
  return document.createTextNode(object.emoji === false ? object.text : withEmoji(object.text));
}

export function textObject(object, people) {
  if (!object) return [];
  return object.type === "mrkdwn" ? mrkdwn(object.text, people) : [plainText(object)];
}

function lines(text, people) {
  if (text === "") return [];
  const made = [];
  for (const [index, line] of text.split("\n").entries()) {
    const quoted = /^&gt; ?(.*)$/.exec(line) ?? /^> ?(.*)$/.exec(line);
    if (index > 0 && !quoted) made.push(element("br"));
    made.push(...(quoted ? [element("blockquote", {}, inline(quoted[1], people))] : inline(line, people)));
  }
  return made;
}

function inline(text, people) {
  const first = earliest(text);
  if (!first) return [plain(text)];
  const { found, make } = first;
  const rest = inline(text.slice(found.index + found[0].length), people);
  return [plain(text.slice(0, found.index)), make(found[1], people), ...rest];
}

function earliest(text) {
  const hits = INLINE.map(([pattern, make]) => ({ found: pattern.exec(text), make })).filter((hit) => hit.found);
  return hits.reduce((best, hit) => (!best || hit.found.index < best.found.index ? hit : best), null);
}

// <@U1>, <#C1|name>, <!channel>, <https://…|words>: shown as Slack shows them, so that it is visible if
// the bot fails to escape an alert's text.
function reference(inside, people) {
  const [target, words] = inside.split("|", 2);
  if (target.startsWith("@")) return mention(`@${people[target.slice(1)] ?? words ?? target.slice(1)}`);
  if (target.startsWith("#")) return mention(`#${words ?? target.slice(1)}`);
  const date = target.startsWith("!") ? dateWords(unescape(target.slice(1))) : null;
  if (date) return element("time", {}, date);
  if (target.startsWith("!")) return mention(words ?? `@${target.slice(1).split("^")[0]}`);
  if (!/^(https?:|mailto:)/.test(unescape(target))) return plain(`<${inside}>`);
  const shown = words ?? target.replace(/^mailto:/, "");
  return element("a", { href: unescape(target), target: "_blank", rel: "noopener noreferrer" }, plain(shown));
}

const mention = (words) => element("span", { class: "mention" }, unescape(words));
const plain = (text) => document.createTextNode(withEmoji(unescape(text)));
const unescape = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
const withEmoji = (text) => text.replace(/:([a-z0-9_+-]+):/g, (whole, name) => EMOJI[name] ?? whole);
