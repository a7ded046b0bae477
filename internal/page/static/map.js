// The map: a cell for each address, in blocks of 256. The blocks are one list for the keyboard, and for screen readers.

import { get, inNetwork } from "./api.js";
import { age, byID, element, link, plural, setText } from "./dom.js";

const blocksAtOnce = 64; // 16384 addresses
const columns = 16;
const states = {
  ".": ["free", "free"],
  a: ["allocated", "allocated"],
  A: ["active", "active"],
  "!": ["violated", "violated"],
  "-": ["unusable", "no host can have it"],
};

const list = byID("map-blocks");
let shown = { network: undefined, afters: [""], blocks: [] }; // afters are the parameters of this page and those before it
let selected; // the index of the selected cell in all blocks
let knowsActive = true; // whether the fabric knows which guests are active in the network
let looking; // aborts the look-up of the cell that was selected before

export async function show(network, parameters) {
  if (network !== shown.network) {
    shown = { network, afters: [""], blocks: [] };
    select(undefined);
  }
  const address = parameters.get("address");
  if (address) await goTo(address);
}

export async function refresh(network, status) {
  const n = status.networks.find((one) => one.name === network);
  const how = n.waits_for ? "waits" : `guard ${n.guard}`;
  knowsActive = n.guard === "full" && n.attach.startsWith("bridge");
  await load();
  const subnet = shown.subnet ? `${shown.subnet} · ` : "";
  setText("map-summary", `${subnet}${n.mode} on ${n.attach} · ${how} · ${plural(n.bindings, "binding")} · ${plural(n.ports, "guest port")}`);
}

async function load() {
  const { network, afters } = shown;
  const answer = await get(inNetwork(network, "addresses"), { limit: blocksAtOnce, after: afters.at(-1) });
  if (network !== shown.network || afters !== shown.afters) return; // another page was asked for meanwhile
  shown.after = answer.after;
  shown.subnet = answer.subnet;
  draw(answer.blocks);
  drawLegend(answer);
  byID("map-pages").hidden = afters.length === 1 && !answer.after;
  byID("map-earlier").disabled = afters.length === 1;
  byID("map-later").disabled = !answer.after;
}

// draw changes the blocks that have changed.
function draw(blocks) {
  const isSame = blocks.length === shown.blocks.length && blocks.every((b, i) => b.first === shown.blocks[i].first);
  if (!isSame) {
    const before = selected === undefined ? undefined : addressAt(selected);
    shown.blocks = blocks.map(({ first }) => ({ first, states: "" }));
    list.replaceChildren(...blocks.map(({ first }) => newBlock(first)));
    list.dataset.size = blocks.length <= 1 ? "huge" : blocks.length <= 4 ? "large" : blocks.length <= 16 ? "medium" : "small";
    select(indexOf(before));
  }
  blocks.forEach((block, i) => {
    if (block.states !== shown.blocks[i].states) drawBlock(i, block);
  });
}

const emptyBlock = element("div", { className: "block", role: "group" }, element("h3"), element("div", { className: "cells" }));
for (let i = 0; i < 256; i++) emptyBlock.lastChild.append(element("i", { role: "option" }));

function newBlock(first) {
  const block = emptyBlock.cloneNode(true);
  block.setAttribute("aria-label", `${first}/24`);
  return block;
}

function drawBlock(i, { first, states: letters }) {
  const block = list.children[i];
  const before = shown.blocks[i].states;
  const cells = block.lastChild.children;
  for (let j = 0; j < letters.length; j++) {
    if (letters[j] !== before[j]) cells[j].className = states[letters[j]][0];
  }
  shown.blocks[i].states = letters;
  const bound = [...letters].filter((letter) => letter === "a" || letter === "A" || letter === "!").length;
  block.firstChild.replaceChildren(`${first}/24 `, element("span", { className: "dim" }, `${bound} bound`));
  if (selected !== undefined && Math.floor(selected / 256) === i) describe();
}

function drawLegend({ subnet, blocks }) {
  const counts = {};
  for (const block of blocks) {
    for (const letter of block.states) counts[letter] = (counts[letter] ?? 0) + 1;
  }
  const items = [".", "a", "A", "!"].map((letter) => {
    const [name, meaning] = states[letter];
    return element("li", null, element("i", { className: name }), ` ${(counts[letter] ?? 0).toLocaleString("en")} ${meaning}`);
  });
  const notes = [];
  if (!subnet || blocks.length * 256 < 2 ** (32 - subnet.split("/")[1])) notes.push("blocks of free addresses are left out");
  if (!knowsActive) notes.push("active ones are known only on a bridge with guard: full");
  byID("map-legend").replaceChildren(...items, element("li", { className: "dim" }, notes.join("; ")));
}

// addressAt returns the address of a cell, and indexOf the cell of an address; undefined if there is none.
function addressAt(index) {
  const first = shown.blocks[Math.floor(index / 256)]?.first;
  return first?.replace(/\d+$/, String(index % 256));
}

function indexOf(address) {
  const block = shown.blocks.findIndex(({ first }) => address?.replace(/\d+$/, "0") === first);
  return block < 0 ? undefined : block * 256 + Number(address.split(".")[3]);
}

const cellAt = (index) => list.children[Math.floor(index / 256)].lastChild.children[index % 256];

// select selects a cell; undefined for none.
function select(index) {
  const before = byID("selected-cell");
  before?.removeAttribute("id");
  before?.removeAttribute("aria-selected");
  before?.removeAttribute("aria-label");
  selected = index;
  if (index === undefined) {
    list.removeAttribute("aria-activedescendant");
    byID("map-details").replaceChildren(element("p", { className: "dim" }, "Choose an address: click it, or use the arrow keys."));
    return;
  }
  const cell = cellAt(index);
  cell.id = "selected-cell";
  cell.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", cell.id);
  cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  describe();
}

// describe shows what is known about the selected address.
async function describe() {
  looking?.abort();
  looking = new AbortController();
  const { signal } = looking;
  const address = addressAt(selected);
  const letter = shown.blocks[Math.floor(selected / 256)].states[selected % 256] ?? "-";
  cellAt(selected).setAttribute("aria-label", `${address}, ${states[letter][1]}`);
  try {
    const bindings = await get("bindings", { address }, signal);
    const violations = letter === "!" ? await get("violations", { network: shown.network, address }, signal) : [];
    const binding = bindings.find((b) => b.network === shown.network);
    byID("map-details").replaceChildren(...details(address, letter, binding, violations));
  } catch (error) {
    if (error.name !== "AbortError") byID("map-details").replaceChildren(element("p", null, error.message));
  }
}

function details(address, letter, binding, violations) {
  const [name, meaning] = states[letter];
  const facts = binding
    ? [
        ["host", binding.name],
        ["MAC", binding.mac],
        ["moves between", (binding.macs ?? []).join(", ")],
        ["binding", binding.first === binding.last ? "" : `${binding.first}–${binding.last}`],
        ["only from port", binding.port],
        ["location", binding.location && `${binding.location.port} for ${age(binding.location.since)}, by ${binding.location.from}`],
        ["router to", (binding.routes ?? []).join(", ")],
        ["written in", binding.origin],
      ]
    : [];
  const rows = facts.filter(([, value]) => value).flatMap(([what, value]) => [element("dt", null, what), element("dd", null, value)]);
  const used = violations.filter((v) => v.address === address).map((v) => // others were sent to it
    element("li", null, `${v.mac} at ${v.port} used it ${v.count === 1 ? "once" : `${v.count.toLocaleString("en")} times`}, `
      + `last ${age(v.last)} ago (${v.reason})`));
  return [
    element("h2", null, address),
    element("p", null, element("i", { className: name }), ` ${meaning}`),
    rows.length > 0 ? element("dl", null, ...rows) : element("p", { className: "dim" }, "It has no binding."),
    ...(used.length > 0 ? [element("ul", { className: "used" }, ...used)] : []),
    element("p", { className: "links" },
      link("verdicts", { address }, "Watch its verdicts"),
      binding ? link("explain", question(address, binding), "Explain a request of it") : null),
  ];
}

// question is the question about a request of a host for another one in the map.
function question(address, binding) {
  let other = address;
  shown.blocks.forEach((block) => {
    const i = [...block.states].findIndex((letter, j) => "aA".includes(letter) && block.first.replace(/\d+$/, j) !== address);
    if (other === address && i >= 0) other = block.first.replace(/\d+$/, String(i));
  });
  return { port: binding.port || binding.location?.port || "", frame: `who-has ${other} tell ${address}` };
}

// goTo selects an address, and loads its page first if it must.
async function goTo(address) {
  setText("map-message", "");
  const parts = address.trim().split(".").map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) {
    setText("map-message", `${address} is not an IPv4 address`);
    return;
  }
  const wanted = parts.join(".");
  if (shown.blocks.length === 0) await load();
  if (indexOf(wanted) === undefined) {
    const before = parts[0] * 2 ** 24 + parts[1] * 2 ** 16 + parts[2] * 2 ** 8 - 1;
    shown.afters = before < 0 ? [""] : ["", [24, 16, 8, 0].map((bits) => Math.floor(before / 2 ** bits) % 256).join(".")];
    await load();
  }
  const index = indexOf(wanted);
  if (index === undefined) {
    setText("map-message", `${wanted} is free, as are its neighbours`);
    return;
  }
  select(index);
  list.focus({ preventScroll: true });
}

async function turn(afters) {
  shown.afters = afters;
  select(undefined);
  await load();
}

const moves = {
  ArrowLeft: (i) => i - 1,
  ArrowRight: (i) => i + 1,
  ArrowUp: (i) => i - columns,
  ArrowDown: (i) => i + columns,
  PageUp: (i) => i - 256,
  PageDown: (i) => i + 256,
  Home: () => 0,
  End: () => shown.blocks.length * 256 - 1,
};

list.addEventListener("keydown", (event) => {
  const move = moves[event.key];
  if (!move || event.altKey || event.ctrlKey || event.metaKey || shown.blocks.length === 0) return;
  event.preventDefault();
  const next = selected === undefined ? 0 : move(selected);
  if (next >= 0 && next < shown.blocks.length * 256) select(next);
});

// position returns the index of a cell.
function position(cell) {
  const indexIn = (all, one) => Array.prototype.indexOf.call(all, one);
  return indexIn(list.children, cell.closest(".block")) * 256 + indexIn(cell.parentElement.children, cell);
}

list.addEventListener("click", (event) => {
  if (event.target.matches("[role=option]")) select(position(event.target));
});

list.addEventListener("mouseover", (event) => {
  if (event.target.matches("[role=option]") && !event.target.title) event.target.title = addressAt(position(event.target));
});

byID("map-form").addEventListener("submit", (event) => {
  event.preventDefault();
  goTo(byID("map-address").value).catch((error) => setText("map-message", error.message));
});
byID("map-earlier").addEventListener("click", () => turn(shown.afters.slice(0, -1)));
byID("map-later").addEventListener("click", () => turn([...shown.afters, shown.after]));
