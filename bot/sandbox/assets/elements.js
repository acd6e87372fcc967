// Builds and updates the page's elements. All text is inserted as text nodes: nothing here parses HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

// Makes `container` hold one element per item, in order. An element is rebuilt only when its item has
// changed, so focus, open details and scroll positions survive a live update.
export function arrange(container, items, { key, build }) {
  const old = new Map([...container.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => freshElement(item, { key, build, old }));
  const focus = placeOfFocus(container);
  const kept = new Set(wanted);
  [...container.children].filter((child) => !kept.has(child)).forEach((child) => child.remove());
  wanted.forEach((child, index) => {
    if (container.children[index] !== child) container.insertBefore(child, container.children[index] ?? null);
  });
  restoreFocus(container, focus);
}

function freshElement(item, { key, build, old }) {
  const [name, print] = [String(key(item)), JSON.stringify(item)];
  const known = old.get(name);
  if (known && known.print === print) return known;
  const made = build(item);
  made.dataset.key = name;
  made.print = print;
  if (!known && old.size > 0) made.classList.add("is-new");
  return made;
}

// The keyboard focus, as the item's key and the control's name, because the control may be rebuilt.
function placeOfFocus(container) {
  const focused = document.activeElement;
  if (!focused || !container.contains(focused)) return null;
  const item = focused.closest("[data-key]");
  return { focused, item: item?.dataset.key, control: focused.dataset.control };
}

function restoreFocus(container, place) {
  if (!place || place.focused.isConnected && document.activeElement === place.focused) return;
  const item = [...container.children].find((child) => child.dataset.key === place.item);
  const controls = item ? [...item.querySelectorAll("[data-control]"), item] : [];
  controls.find((control) => control.dataset.control === place.control)?.focus({ preventScroll: true });
}

// Chips and segments: real radio buttons, so that arrow keys and screen readers work by themselves.
export function radio({ group, value, words, checked, onchange }) {
  const input = element("input", { type: "radio", name: group, value, checked, onchange });
  return element("label", { class: "radio" }, input, element("span", {}, words));
}

export function clockTime(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

// What a summary's click does, before the browser opens or closes its details. Their `toggle` event is no help: it
// comes later, and for an element that was built open as well, so a live update in between would undo the click.
export const onUnfold = (keep) => (event) => keep(!event.currentTarget.parentElement.open);
