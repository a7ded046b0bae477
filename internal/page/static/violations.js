// The records of guests that used a MAC or an address that is not their own, in all networks.

import { get } from "./api.js";
import { age, byID, fillRows, setText } from "./dom.js";

export function show() {}

export async function refresh() {
  const list = await get("violations");
  list.sort((a, b) => new Date(b.last) - new Date(a.last));
  fillRows(byID("violations-rows"), list.map(row));
  setText("violations-message", list.length === 0 ? "no violations" : "`arpfabric violations clear` removes them.");
}

function row(v) {
  const owner = v.owner ? [v.owner.name, v.owner.mac].filter((text) => text).join(", ") : "nobody";
  return [
    v.network, { text: v.port, link: ["verdicts", { network: v.network, port: v.port }] },
    { text: v.mac, className: "mono" },
    v.address ? { text: v.address, link: ["map", { network: v.network, address: v.address }] } : "",
    { text: v.address ? owner : "", className: v.owner ? "" : "dim" },
    v.target, v.action === "pass" ? `${v.reason} (passed)` : v.reason,
    { text: v.count.toLocaleString("en"), className: "number" }, `${age(v.first)} ago`, `${age(v.last)} ago`,
  ];
}
