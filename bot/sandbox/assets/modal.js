// A modal: the bot's form in front of everything else, with errors shown as in Slack.
import { byId, element } from "./elements.js";
import { blockKit } from "./blocks.js";
import { focusFirstError, markField } from "./field_errors.js";
import { recall, remember } from "./memory.js";
import { plainText, textObject } from "./mrkdwn.js";
import { post } from "./server.js";

let shown = null; // the view on screen, and the person who sees it
let closed = () => {};

// `view` is the modal that the person sees, or null; `closed()` is called after the last one has closed.
export function showModal(view, slack) {
  const dialog = byId("modal");
  if (!view) return dialog.open ? dialog.close() : undefined;
  closed = slack.closed;
  if (shown?.view.id !== view.id || shown.view.hash !== view.hash) build(view, slack);
  if (!dialog.open) open(dialog);
}

function open(dialog) {
  dialog.oncancel = (event) => { event.preventDefault(); leave(); };
  dialog.onclose = () => { shown = null; closed(); };
  byId("modal-form").onsubmit = submit;
  byId("modal-form").oninput = typing;
  byId("modal-close").onclick = leave;
  dialog.showModal();
}

// Keeps the typed text of fields that the next view also has, or that a reload has interrupted.
function build(view, slack) {
  const before = recall("typed");
  const typed = shown ? values() : before?.view === view.id ? before.values : {};
  shown = { view, user: slack.user };
  const fields = { ...slack, input: (block) => field(block, typed, slack.people), press: () => {} };
  byId("modal-title").replaceChildren(view.title ?? "");
  byId("modal-blocks").replaceChildren(...blockKit(view.blocks, fields));
  byId("modal-close").replaceChildren(view.close ?? "Cancel");
  byId("modal-submit").replaceChildren(view.submit ?? "Submit");
  byId("modal-submit").hidden = !view.submit;
  tell({});
}

function field(block, typed, people) {
  const [id, made] = [`input-${block.block_id}`, block.element];
  const input = control(made, people, {
    id, class: "modal-input", autocomplete: "off", autofocus: true,
    "data-block": block.block_id, "data-action": made.action_id,
    "aria-required": block.optional ? null : "true", "aria-describedby": `${id}-hint ${id}-error` });
  input.value = typed[block.block_id]?.[made.action_id] ?? made.initial_value ?? made.initial_user ?? "";
  return element("div", { class: "block field" },
    element("label", { for: id }, plainText(block.label),
      block.optional ? element("span", { class: "aside" }, " optional") : null),
    input,
    element("p", { class: "field-error", id: `${id}-error`, hidden: true }),
    element("p", { class: "aside", id: `${id}-hint`, hidden: !block.hint }, textObject(block.hint)));
}

// A text, or a choice among all people of the workspace, as Slack's own lists them: bots and guests, too.
function control(made, people, attributes) {
  if (made.type === "users_select") {
    const choices = Object.entries(people).map(([id, name]) => element("option", { value: id }, name));
    return element("select", attributes,
      element("option", { value: "" }, made.placeholder?.text ?? "Choose a person"), ...choices);
  }
  return element(made.multiline ? "textarea" : "input", { ...attributes, rows: made.multiline ? 5 : null,
    maxlength: made.max_length ?? 3000, placeholder: made.placeholder?.text });
}

const inputs = () => [...byId("modal-blocks").querySelectorAll(".modal-input")];

function values() {
  const typed = {};
  for (const input of inputs()) typed[input.dataset.block] = { [input.dataset.action]: input.value };
  return typed;
}

function typing(event) {
  if (event.target.matches(".modal-input")) markField(event.target, null);
  remember("typed", { view: shown.view.id, values: values() });
}

async function submit(event) {
  event.preventDefault();
  const button = byId("modal-submit");
  if (button.getAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  const answer = await post("/api/modals/submitted", { user: shown.user, view_id: shown.view.id, values: values() });
  button.removeAttribute("aria-busy");
  if (shown) tell(answer);
}

async function leave() {
  const answer = await post("/api/modals/closed", { user: shown.user, view_id: shown.view.id });
  if (answer.trouble) byId("modal").close();
}

function tell({ trouble, errors = {} }) {
  byId("modal-trouble").hidden = !trouble;
  byId("modal-trouble").textContent = trouble ?? "";
  for (const input of inputs()) markField(input, errors[input.dataset.block] ?? null);
  focusFirstError(inputs());
}
