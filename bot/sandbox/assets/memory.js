// What a reload keeps: who is looked at, what is open, typed and scrolled. It lasts as long as the tab.

const KEY = "triage-bot-sandbox";
// What concerns one sandbox's messages and answers, and not those of the next.
const OF_ONE_SANDBOX = ["seen", "unfolded", "bodies", "typed", "sent"];
const SCROLLED = ["messages", "home", "alerts", "people-list", "part-mozdef", "part-received"];

const kept = read();

export const recall = (name, otherwise = null) => kept[name] ?? otherwise;

export function remember(name, value) {
  kept[name] = value;
  write();
}

// Returns whether another sandbox was here before.
export function rememberSandbox(id) {
  const isNew = Boolean(kept.sandbox) && kept.sandbox !== id;
  if (isNew) for (const name of OF_ONE_SANDBOX) delete kept[name];
  remember("sandbox", id);
  return isNew;
}

// To be called once everything is drawn: before, there is nothing to scroll.
export function restoreScroll() {
  for (const [id, top] of Object.entries(recall("scroll", {}))) {
    const box = id === "window" ? document.documentElement : document.getElementById(id);
    if (box && top !== null) box.scrollTop = top;
  }
}

export const isAtEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 80;

// A reader at the end of a conversation stays there, even if it has grown.
function keepScroll() {
  const tops = SCROLLED.map((id) => [id, document.getElementById(id)])
    .map(([id, box]) => [id, id === "messages" && isAtEnd(box) ? null : box.scrollTop]);
  remember("scroll", { ...Object.fromEntries(tops), window: document.documentElement.scrollTop });
}

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

// A browser may refuse to store anything: then a reload starts afresh.
function write() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    return;
  }
}

history.scrollRestoration = "manual";
addEventListener("pagehide", keepScroll);
