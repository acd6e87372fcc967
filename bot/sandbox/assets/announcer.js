// Tells screen readers what has happened, one thing after the other, also if it is the same again.
import { byId, element } from "./elements.js";

const KEPT = 5;

export function speak(words) {
  const box = byId("announcer");
  box.append(element("p", {}, words));
  while (box.children.length > KEPT) box.firstElementChild.remove();
}
