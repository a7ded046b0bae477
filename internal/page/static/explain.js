// The form that asks why a frame is answered, passed or dropped.

import * as api from "./api.js";
import { byID, element, fillList, setText } from "./dom.js";

const form = byID("explain-form");
let shown; // the network

export async function show(network, parameters) {
  shown = network;
  if (!parameters.has("frame")) return;
  form.elements.port.value = parameters.get("port") ?? "";
  form.elements.frame.value = parameters.get("frame");
  await ask();
}

export async function refresh(network) {
  fillList("port-names", (await api.portsOf(network)).map((port) => port.name));
}

async function ask() {
  const frame = form.elements.frame.value.trim();
  const isHex = /^(0x[\da-f]{4,}:|[\da-f:\s])+$/i.test(frame);
  setText("explain-message", "");
  try {
    const question = { network: shown, port: form.elements.port.value.trim(), [isHex ? "frame" : "words"]: frame };
    byID("explain-answer").replaceChildren(...answer(await api.explain(question)));
  } catch (error) {
    byID("explain-answer").replaceChildren();
    setText("explain-message", error.message);
  }
}

function answer(e) {
  const rows = e.rows.map((r) =>
    element("tr", { className: r.fits ? "fits" : "" },
      element("td", null, r.fits ? "✓" : ""), element("td", { className: "reason" }, r.reason), element("td", null, r.compared),
      element("td", { className: "dim" }, [r.setting, r.binding].filter((text) => text).join(", "))));
  const head = ["", "row", "compared", "decided by"].map((text) => element("th", null, text));
  return [
    element("p", { className: "outcome" }, element("span", { className: `action ${e.action}` }, e.action), ` ${e.reason}`),
    element("p", { className: "mono" }, e.frame.text),
    element("p", { className: "dim" }, `from ${e.frame.from || "?"} to ${e.frame.to || "?"}, by port ${e.port}; ${e.summary}`),
    ...section("To change it", e.change),
    ...section("The answer", e.reply ? [`${e.reply.text}, from ${e.reply.from} to ${e.reply.to}`] : []),
    ...section("Written in the configuration", e.decided.map((line) => (line.origin ? `${line.origin}: ${line.text}` : line.text))),
    ...section("Notes", e.notes),
    element("h3", null, "The rows of the decision that were tried"),
    element("div", { className: "scroll" }, element("table", null,
      element("thead", null, element("tr", null, ...head)), element("tbody", null, ...rows))),
  ];
}

// section returns a heading with a list, or nothing if the list is empty.
function section(heading, lines) {
  if (lines.length === 0) return [];
  return [element("h3", null, heading), element("ul", null, ...lines.map((line) => element("li", null, line)))];
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
form.elements.frame.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey) return;
  event.preventDefault();
  ask();
});
