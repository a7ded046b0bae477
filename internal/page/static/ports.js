// The current ports of a network, with the verdicts on their frames.

import { portsOf } from "./api.js";
import { age, byID, fillRows, setText } from "./dom.js";

let before = { at: 0, frames: new Map() }; // the number of frames by ifindex, to tell how many there are a second

export function show() {}

export async function refresh(network) {
  const ports = await portsOf(network);
  const now = { at: performance.now(), frames: new Map(ports.map((port) => [port.index, frames(port)])) };
  fillRows(byID("ports-rows"), ports.map((port) => row(port, now)));
  setText("ports-message", ports.length === 0 ? "no ports" : "");
  before = now;
}

const sum = (counts) => counts.reduce((all, [, n]) => all + n, 0);
const frames = (port) => sum(Object.entries(port.reasons));
const answers = ["answered", "self-probe", "conflict-probe", "unallocated-probe"];

function row(port, now) {
  const reasons = Object.entries(port.reasons).sort(([, a], [, b]) => b - a);
  const answered = sum(reasons.filter(([reason]) => answers.includes(reason)));
  const dropped = sum(reasons.filter(([reason]) => ![...answers, "not-arp"].includes(reason)));
  const macs = port.macs ?? [];
  const guests = macs.map((m) => [m.name, ...(m.addresses ?? [])].filter((text) => text).join(" ")).filter((text) => text);
  return [
    { text: port.name, link: ["verdicts", { port: port.name }] },
    port.kind, few(guests), { ...few(macs.map((m) => m.mac)), className: "mono" },
    port.last_seen ? `${age(port.last_seen)} ago` : "",
    number(rate(port, now)), number(answered), number(dropped), number(port.refused),
    { text: reasons.map(([reason, n]) => `${reason} ${n.toLocaleString("en")}`).join(" · "), className: "dim" },
  ];
}

function rate(port, now) {
  const last = before.frames.get(port.index);
  if (last === undefined || now.at <= before.at) return "";
  return Math.max(0, Math.round(((frames(port) - last) * 1000) / (now.at - before.at)));
}

// few returns a cell with the first texts of a list. The others are in its title.
function few(list) {
  const more = list.length > 2 ? ` and ${list.length - 2} more` : "";
  return { text: list.slice(0, 2).join(", ") + more, title: more && list.join("\n") };
}

const number = (n) => ({ text: n.toLocaleString("en"), className: "number" });
