// The current ports of a network, with the verdicts on their frames.

import { portsOf } from "./api.js";
import { byID, fillRows, setText } from "./dom.js";

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
  const shownMACs = macs.slice(0, 2).map((m) => m.mac).join(", ") + (macs.length > 2 ? ` and ${macs.length - 2} more` : "");
  return [
    { text: port.name, link: ["verdicts", { port: port.name }] },
    port.kind, { text: shownMACs, className: "mono", title: macs.map((m) => m.mac).join("\n") },
    number(rate(port, now)), number(answered), number(dropped), number(port.refused),
    { text: reasons.map(([reason, n]) => `${reason} ${n.toLocaleString("en")}`).join(" · "), className: "dim" },
  ];
}

function rate(port, now) {
  const last = before.frames.get(port.index);
  if (last === undefined || now.at <= before.at) return "";
  return Math.max(0, Math.round(((frames(port) - last) * 1000) / (now.at - before.at)));
}

const number = (n) => ({ text: n.toLocaleString("en"), className: "number" });
