// The bindings of a network, a page at a time, or those that a search finds.

import { get, inNetwork } from "./api.js";
import { age, byID, fillRows, plural, setText } from "./dom.js";

const hostsAtOnce = 100;
let shown = { network: undefined, after: "" };
let next; // the parameter of the next page

export function show(network, parameters) {
  if (network !== shown.network) shown = { network, after: "" };
  if (parameters.has("find")) byID("hosts-find").value = parameters.get("find");
}

export async function refresh(network) {
  const text = byID("hosts-find").value.trim();
  const { bindings, after } = text === "" ? await page(network) : await find(network, text);
  next = after;
  byID("hosts-pages").hidden = text !== "" || (!after && shown.after === "");
  byID("hosts-next").disabled = !after;
  byID("hosts-first").disabled = shown.after === "";
  setText("hosts-message", text === "" ? "" : plural(bindings.length, "host"));
  fillRows(byID("hosts-rows"), bindings.map(row));
}

const page = (network) => get(inNetwork(network, "bindings"), { limit: hostsAtOnce, after: shown.after });

async function find(network, text) {
  let query = { name: text };
  if (/^[\d.]+$/.test(text)) query = { beginning: text };
  else if (/^[\da-f]{2}([:.-]?[\da-f]{2}){5}$/i.test(text)) query = { mac: text };
  const found = await get("bindings", query);
  return { bindings: found.filter((b) => b.network === network) };
}

function row(b) {
  let addresses = { text: b.first, link: ["map", { address: b.first }] };
  if (b.first === "") addresses = "(MAC only)";
  else if (b.first !== b.last) addresses.text = `${b.first}–${b.last}`;
  const location = b.location && b.location.from !== "binding" ? b.location : undefined;
  return [
    addresses, b.name, { text: b.macs ? b.macs.join(", ") : b.mac, className: "mono" },
    location?.port ?? { text: "not seen", className: "dim" }, { text: location ? age(location.since) : "", title: location ? `shown by ${location.from}` : "" },
    b.port || { text: "any", className: "dim" },
    { text: b.not_in_force ? `${b.origin}: not in force` : b.origin, title: b.not_in_force ?? "", className: "dim" },
  ];
}

const failed = (error) => setText("hosts-message", error.message);

function turn(after) {
  shown.after = after;
  refresh(shown.network).catch(failed);
}

byID("hosts-form").addEventListener("submit", (event) => {
  event.preventDefault();
  turn("");
});
byID("hosts-next").addEventListener("click", () => turn(next));
byID("hosts-first").addEventListener("click", () => turn(""));
