// The phone: what the provider of the second factor asks there, and what its owner does.
import { arrange, byId, element } from "./elements.js";
import { isAtEnd } from "./memory.js";
import { post } from "./server.js";

const ACTIONS = [["approve", "Approve", "button-primary"], ["deny", "Deny", ""], ["report", "This was not me", "button-danger"]];

// The phone takes room from the conversation, whose end has the code that must be the same.
export function showPhone(prompts) {
  const box = byId("messages");
  const atEnd = isAtEnd(box);
  byId("phone").hidden = prompts.length === 0;
  if (atEnd) box.scrollTop = box.scrollHeight;
  arrange(byId("prompts"), prompts, { key: (prompt) => prompt.id, build: promptElement });
}

function promptElement(prompt) {
  const waits = prompt.state === "waiting";
  return element("li", { class: `prompt is-${waits ? "waiting" : "over"}` },
    element("p", {}, element("strong", {}, prompt.subject), ", is this you?"),
    element("code", {}, prompt.code),
    waits ? element("div", { class: "prompt-actions" }, ACTIONS.map(([action, words, look]) => actionButton(prompt, action, words, look)))
      : element("p", { class: "prompt-state" }, prompt.state));
}

function actionButton(prompt, action, words, look) {
  return element("button", { type: "button", class: `button ${look}`.trim(), "data-control": action, "data-action": action,
    onclick: () => post("/api/phone", { id: prompt.id, action }) }, words);
}
