// Slack's confirm dialog: title, text, and two buttons of which one goes on.
import { byId } from "./elements.js";
import { plainText, textObject } from "./mrkdwn.js";

// Resolves to true when the person went on, to false when they pressed the other button or Escape.
export function ask(confirm, style) {
  const dialog = byId("confirm");
  byId("confirm-title").replaceChildren(plainText(confirm.title.text));
  byId("confirm-text").replaceChildren(...textObject(confirm.text));
  byId("confirm-deny").replaceChildren(plainText(confirm.deny.text));
  const goOn = byId("confirm-yes");
  goOn.replaceChildren(plainText(confirm.confirm.text));
  goOn.className = `button button-${confirm.style ?? style ?? "primary"}`;
  dialog.returnValue = "deny";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "confirm"), { once: true });
  });
}
