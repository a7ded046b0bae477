// Small helpers for the document. All text comes in as text, never as HTML: names and frames are from elsewhere.

export const byID = (id) => document.getElementById(id);

// element makes an element. Its children are elements or text; those that are null are left out.
export function element(tag, properties, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// link makes a link to a view with parameters.
export function link(view, parameters, text) {
  return element("a", { href: `#${view}?${new URLSearchParams(parameters)}` }, text);
}

// fillRows makes a table body have these rows, each a list of cells: text, or an object with text and the properties of
// the td, or with link, [view, parameters]. Cells that stay the same are left alone, so that a selection in them survives.
export function fillRows(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, i) => {
    const row = body.rows[i] ?? body.insertRow();
    cells.forEach((cell, j) => fillCell(row.cells[j] ?? row.insertCell(), cell));
  });
}

const contents = new WeakMap(); // of the cells of tables

function fillCell(td, cell) {
  const content = JSON.stringify(cell ?? "");
  if (contents.get(td) === content) return;
  contents.set(td, content);
  const { text, link: to, className = "", title = "" } = cell?.text === undefined ? { text: cell ?? "" } : cell;
  td.className = className;
  td.title = title;
  td.replaceChildren(to ? link(...to, text) : String(text));
}

// setText sets the text of an element, if it is another one: a screen reader reads a status each time that it is set.
export function setText(id, text) {
  const at = byID(id);
  if (at.textContent !== text) at.textContent = text;
}

// fillList sets the suggestions of an input.
export function fillList(id, values) {
  const list = byID(id);
  if (list.options.length === values.length && values.every((value, i) => list.options[i].value === value)) return;
  list.replaceChildren(...values.map((value) => element("option", { value })));
}

// age returns the time since then in at most two units, as `arpfabric status` does.
export function age(then) {
  const seconds = Math.max(0, Math.floor((Date.now() - new Date(then)) / 1000));
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days > 0) return `${days}d${hours % 24}h`;
  if (hours > 0) return `${hours}h${minutes % 60}m`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}

// plural returns "1 host" or "2 hosts".
export const plural = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;
