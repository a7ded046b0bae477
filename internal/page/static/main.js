// The page has one view for each link in its header. A view has show(network, parameters), refresh(network, status), both
// of which may be asynchronous, and hide().

import { get } from "./api.js";
import { age, byID, element, fillList, plural, setText } from "./dom.js";
import * as explain from "./explain.js";
import * as hosts from "./hosts.js";
import * as map from "./map.js";
import * as ports from "./ports.js";
import * as verdicts from "./verdicts.js";
import * as violations from "./violations.js";

const views = { map, hosts, ports, verdicts, violations, explain };
const refreshInterval = 3000; // milliseconds

let current; // the name of the view that is visible
let network; // the name of the network that is shown
let status;

const chooser = byID("network");

// follow shows the view that the address of the page names: #view?parameters.
async function follow() {
  const [name, parameters] = location.hash.slice(1).split("?");
  const next = name in views ? name : "map";
  if (next !== current) {
    views[current]?.hide?.();
    current = next;
  }
  for (const view of Object.keys(views)) byID(view).hidden = view !== current;
  for (const a of document.querySelectorAll("nav a")) {
    if (a.hash === `#${current}`) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  document.title = `${current} – arpfabric`;
  await open(parameters);
}

// open gives the view that is visible its network, and parameters if there are new ones. They may name the network.
async function open(text) {
  if (status === undefined) return;
  const parameters = new URLSearchParams(text);
  const named = parameters.get("network");
  if (status.networks.some((n) => n.name === named)) network = chooser.value = named;
  await attempt(() => views[current].show(network, parameters));
}

// attempt runs a request of a view, and says so if it fails.
async function attempt(request) {
  try {
    await request();
    await views[current].refresh?.(network, status);
    return true;
  } catch (error) {
    if (error.name !== "AbortError") showHealth("bad", error.message);
    return false;
  }
}

async function refresh() {
  try {
    const isFirst = status === undefined;
    status = await get("status");
    showStatus();
    if (isFirst) await follow();
    else await attempt(() => {});
  } catch (error) {
    showHealth("bad", error.message);
  }
}

// keepFresh refreshes while somebody can see the page.
async function keepFresh() {
  if (!document.hidden) await refresh();
  setTimeout(keepFresh, refreshInterval);
}

function showStatus() {
  const names = status.networks.map((n) => n.name);
  if (!names.includes(network)) network = names[0];
  if (chooser.length !== names.length || names.some((name, i) => chooser[i].value !== name)) {
    chooser.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
  }
  chooser.value = network;
  byID("network-label").hidden = names.length < 2;
  const problems = status.problems;
  byID("problems").hidden = problems.length === 0;
  byID("problems").replaceChildren(...problems.map((text) => element("li", null, text)));
  if (problems.length === 0) showHealth("good", "all is well");
  else showHealth("bad", plural(problems.length, "problem"));
  setText("about", `${status.version}, up ${age(status.started)}, configuration ${status.configuration.generation}`);
  setText("violations-count", String(status.violations.records));
  byID("violations-count").hidden = status.violations.records === 0;
  fillList("reason-names", Object.keys(status.reasons));
}

function showHealth(kind, text) {
  byID("health").className = `health ${kind}`;
  setText("health", text);
}

chooser.addEventListener("change", () => {
  network = chooser.value;
  open();
});
addEventListener("hashchange", follow);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) views[current].hide?.();
  else open();
});
follow();
keepFresh();
