// The API of the running fabric: see openapi.json.

// ask sends a request and returns the answer. An error is a sentence for the user.
async function ask(path, query, options) {
  const parameters = new URLSearchParams(Object.entries(query ?? {}).filter(([, value]) => value !== "" && value !== undefined));
  let answer;
  try {
    answer = await fetch(`${location.origin}/v1/${path}?${parameters}`, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("arpfabric does not answer");
  }
  if (answer.ok) return answer;
  const isProblem = answer.headers.get("Content-Type") === "application/problem+json";
  throw new Error(isProblem ? (await answer.json()).detail : await answer.text());
}

export const get = async (path, query, signal) => (await ask(path, query, { signal })).json();

export const inNetwork = (network, what) => `networks/${encodeURIComponent(network)}/${what}`;

export const portsOf = async (network) => (await get("ports")).filter((port) => port.network === network);

export async function explain(question) {
  const body = JSON.stringify(question);
  return (await ask("explanation", {}, { method: "POST", body, headers: { "Content-Type": "application/json" } })).json();
}

// events calls each with the events of every part that arrives, until signal ends it or the server does.
export async function events(query, signal, each) {
  const answer = await ask("events", query, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    each(lines.filter((line) => line !== "").map((line) => JSON.parse(line)));
  }
}
