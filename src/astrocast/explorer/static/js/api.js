// Requests to the server; errors become messages.

export class RequestError extends Error {}

async function answer(response) {
  if (response.ok) return response;
  const type = response.headers.get("content-type") || "";
  const message = type.includes("json") ? (await response.json()).message : await response.text();
  throw new RequestError(message || `the server answered ${response.status}`);
}

async function ask(path, options) {
  try {
    return await answer(await fetch(path, { credentials: "same-origin", ...options }));
  } catch (error) {
    if (error instanceof RequestError || error.name === "AbortError") throw error;
    throw new RequestError(
      "The server does not answer. Start it again with `astrocast explore` and open the new address.",
    );
  }
}

const query = (values) =>
  new URLSearchParams(
    Object.entries(values).filter(([, v]) => v !== undefined && v !== null),
  ).toString();

export async function getJSON(path, values = {}, options = {}) {
  return (await ask(`${path}?${query(values)}`, options)).json();
}

export async function getBlob(path) {
  return (await ask(path)).blob();
}

export async function getBytes(path, values = {}, options = {}) {
  return new Uint8Array(await (await ask(`${path}?${query(values)}`, options)).arrayBuffer());
}

export async function send(path, body, method = "POST") {
  const response = await ask(path, {
    method,
    headers: { "content-type": "application/json", "x-astrocast": "1" },
    body: JSON.stringify(body ?? {}),
  });
  const type = response.headers.get("content-type") || "";
  return type.includes("json") ? response.json() : response.blob();
}

export async function upload(path, file) {
  return (await ask(path, { method: "POST", headers: { "x-astrocast": "1" }, body: file })).json();
}
