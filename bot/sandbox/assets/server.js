// The connection to the sandbox program: fetch for requests, Server-Sent Events for the state.

// Resolves to the response's JSON; never rejects: any failure becomes {trouble: "…"}.
export async function post(path, body) {
  try {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    return await response.json();
  } catch {
    return { trouble: "The sandbox program did not answer. Is it still running?" };
  }
}

// `onstate(state)` receives every complete state; `onlost()` is called when the connection is lost.
export function follow({ onstate, onlost }) {
  const source = new EventSource("/api/events");
  source.onmessage = (event) => {
    const state = JSON.parse(event.data);
    if (state.health.ended) source.close();
    onstate(state);
  };
  source.onerror = () => onlost();
}
