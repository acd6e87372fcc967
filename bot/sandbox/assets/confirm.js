// Slack's confirm dialog: title, text, a button to confirm and one to cancel.
import { byId } from "./elements.js";
import { plainText, textObject } from "./mrkdwn.js";

// Resolves to true if the person confirms, to false if they press the other button or Escape.
export function ask(confirm, style) {
  const dialog = byId("confirm");
  byId("confirm-title").replaceChildren(plainText(confirm.title));
  byId("confirm-text").replaceChildren(...textObject(confirm.text));
  byId("confirm-deny").replaceChildren(plainText(confirm.deny));
  const goOn = byId("confirm-yes");
  goOn.replaceChildren(plainText(confirm.confirm));
  goOn.className = `button button-${confirm.style ?? style ?? "primary"}`;
  dialog.returnValue = "deny";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), { once: true });
  });
}
