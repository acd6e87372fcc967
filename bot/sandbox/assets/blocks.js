// Renders Block Kit as DOM nodes: the blocks that this bot's messages, modals and App Homes can contain.
import { element } from "./elements.js";
import { plainText, textObject } from "./mrkdwn.js";
import { richText } from "./rich_text.js";

const BUILDERS = { rich_text, section, actions, context, divider, header, input };

// `press(action)` is called when a button is pressed and, if it asks for that, confirmed; `input(block)`
// builds an input field, if there is a form.
export function blockKit(blocks, slack) {
  return blocks.map((block) => (BUILDERS[block.type] ?? unknown)(block, slack));
}

function section(block, slack) {
  const fields = (block.fields ?? []).map((field) => element("div", { class: "rich" }, textObject(field, slack.people)));
  return element("div", { class: "block block-section" },
    block.text ? element("div", { class: "rich" }, textObject(block.text, slack.people)) : null,
    fields.length ? element("div", { class: "fields" }, fields) : null,
    block.accessory ? control(block.accessory, block, slack) : null);
}

function rich_text(block) {
  return element("div", { class: "block block-rich rich" }, richText(block));
}

function actions(block, slack) {
  return element("div", { class: "block block-actions" }, block.elements.map((made) => control(made, block, slack)));
}

function context(block, slack) {
  const words = block.elements.filter((part) => part.type !== "image");
  return element("div", { class: "block block-context" },
    words.map((part) => element("span", { class: "rich" }, textObject(part, slack.people))));
}

function divider() {
  return element("hr", { class: "block" });
}

function header(block) {
  return element("p", { class: "block block-header" }, plainText(block.text));
}

function input(block, slack) {
  return slack.input ? slack.input(block) : unknown(block);
}

function unknown(block) {
  return element("p", { class: "block block-unknown" }, `(a block of type “${block.type}”)`);
}

function control(made, block, slack) {
  if (made.type !== "button") return unknown(made);
  if (made.url) return link(made, block, slack);
  return element("button", {
    type: "button",
    class: `button ${made.style ? `button-${made.style}` : ""}`,
    "data-control": `${block.block_id ?? ""} ${made.action_id}`,
    "data-action-id": made.action_id,
    "aria-haspopup": made.confirm ? "dialog" : null,
    onclick: (event) => pressed(event.currentTarget, { made, block, slack }),
  }, plainText(made.text));
}

// Slack also notifies the app when a link button is pressed.
function link(made, block, slack) {
  const href = /^https?:/.test(made.url) ? made.url : null;
  const onclick = () => slack.press({ action_id: made.action_id, block_id: block.block_id });
  return element("a", { class: "button", href, onclick, "data-control": `${block.block_id ?? ""} ${made.action_id}`, target: "_blank", rel: "noopener noreferrer" }, plainText(made.text));
}

async function pressed(button, { made, block, slack }) {
  if (button.getAttribute("aria-busy")) return;
  if (made.confirm && !(await slack.ask(made.confirm, made.style))) return;
  button.setAttribute("aria-busy", "true");
  await slack.press({ action_id: made.action_id, block_id: block.block_id });
  button.removeAttribute("aria-busy");
}
