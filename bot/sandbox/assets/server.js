// The connection to the sandbox program: fetch for requests, Server-Sent Events for the state.

const RETRY_MS = 1000;

// Resolves to the response's JSON; never rejects: any failure becomes {trouble: "…"}.
export async function post(path, body) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return await response.json();
  } catch {
    return { trouble: "The sandbox did not answer. Is it still running?" };
  }
}

// `onstate(state)` receives every complete state; `onlost()` is called while there is no connection. Browsers
// give up after some errors, so this page connects again by itself.
export function follow({ onstate, onlost }) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => onstate(JSON.parse(event.data));
  source.onerror = () => {
    source.close();
    onlost();
    setTimeout(follow, RETRY_MS, { onstate, onlost });
  };
}
