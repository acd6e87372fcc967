// The way to the sandbox program: requests go by fetch, the state comes by Server-Sent Events.

// Resolves to the answer's JSON; a failure of any kind becomes {trouble: "…"}.
export async function post(path, body) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return await response.json();
  } catch {
    return { trouble: "The sandbox program did not answer. Is it still running?" };
  }
}

// `onstate(state)` gets every state, whole; `onlost()` is called when the program went away.
export function follow({ onstate, onlost }) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => {
    const state = JSON.parse(event.data);
    if (state.health.ended) source.close();
    onstate(state);
  };
  source.onerror = () => onlost();
}
