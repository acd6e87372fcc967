// What is wrong with a field: said below it, and marked for screen readers. Shared by the page's forms.
import { byId } from "./elements.js";

// `input` has an element for its error, whose id is its own and "-error"; no words: nothing is wrong.
export function markField(input, words) {
  const error = byId(`${input.id}-error`);
  error.hidden = !words;
  error.textContent = words ?? "";
  if (words) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

// Puts the keyboard where something must be changed first.
export function focusFirstError(inputs) {
  inputs.find((input) => input.getAttribute("aria-invalid"))?.focus();
}
