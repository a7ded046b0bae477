// The verdicts as the fabric makes them. The page listens only while somebody sees them: each listener costs the fabric
// some work.

import { events, portsOf } from "./api.js";
import { byID, element, fillList, link, setText } from "./dom.js";

const rowsAtMost = 200;
const lastAtFirst = 100; // events from before, if none are shown yet
const body = byID("verdicts-rows");
const form = byID("verdicts-form");
const pause = byID("verdicts-pause");

let listening; // the AbortController of the stream; undefined if there is none
let waiting = []; // events that are not shown yet
let lost = 0;
let shown; // the network

export function show(network, parameters) {
  for (const field of form.querySelectorAll("[name]")) {
    if ([...parameters].length > 0) field.value = parameters.get(field.name) ?? "";
  }
  if (network !== shown) body.replaceChildren();
  shown = network;
  listen();
}

export async function refresh(network) {
  if (listening === undefined) listen(); // again, after an error
  fillList("port-names", (await portsOf(network)).map((port) => port.name));
}

export function hide() {
  listening?.abort();
  listening = undefined;
}

async function listen() {
  hide();
  if (isPaused()) return;
  listening = new AbortController();
  const mine = listening;
  const last = body.rows.length === 0 ? lastAtFirst : 0;
  const query = { network: shown, last, ...Object.fromEntries(new FormData(form)) };
  setText("verdicts-message", "listening…");
  try {
    await events(query, mine.signal, take);
  } catch (error) {
    if (mine === listening) setText("verdicts-message", error.message);
  }
  if (mine === listening) listening = undefined;
}

// take keeps events for the next time that the browser draws. There may be thousands a second.
function take(list) {
  if (list.length === 0) return;
  if (waiting.length === 0) requestAnimationFrame(draw);
  waiting.push(...list);
  waiting = waiting.slice(-rowsAtMost);
}

function draw() {
  for (const e of waiting) lost += e.lost ?? 0;
  const rows = waiting.filter((e) => e.action).map(row);
  waiting = [];
  body.prepend(...rows.reverse());
  while (body.rows.length > rowsAtMost) body.deleteRow(-1);
  const about = lost > 0 ? `; ${lost.toLocaleString("en")} more were too many to show` : "";
  if (!isPaused()) setText("verdicts-message", `listening${about}`);
}

function row(e) {
  const notes = [e.dry_run ? "dry run" : "", e.undelivered ?? ""].filter((note) => note !== "").join("; ");
  const cell = (text, className) => element("td", { className: className ?? "" }, text);
  const frame = [...atob(e.frame ?? "")].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  return element("tr", { className: e.earlier ? "dim" : "" },
    cell(time(new Date(e.time)), "mono"),
    cell(e.port), element("td", null, element("span", { className: `action ${e.action}` }, e.action)),
    cell(notes ? `${e.reason} (${notes})` : e.reason), cell(e.words, "mono"),
    element("td", null, link("explain", { port: e.port, frame }, "explain")));
}

const time = (at) => `${at.toTimeString().slice(0, 8)}.${String(at.getMilliseconds()).padStart(3, "0")}`;

const isPaused = () => pause.getAttribute("aria-pressed") === "true";

pause.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!isPaused()));
  pause.textContent = isPaused() ? "Go on" : "Pause";
  if (isPaused()) {
    hide();
    setText("verdicts-message", "paused");
  } else {
    listen();
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  body.replaceChildren();
  lost = 0;
  listen();
});
