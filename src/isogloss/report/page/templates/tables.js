"use strict";
// Tables that sort and copy, and small helpers that all scripts share. Text becomes text nodes only.

const byId = (id) => document.getElementById(id);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Build an element with text or children; attributes are set as attributes, never as markup. */
function element(name, { text, children = [], ...attributes } = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}

/** Tell screen readers, and nobody else. */
function say(text) {
  byId("said").textContent = text;
}

/** A cell that a spreadsheet would run as a formula gets an apostrophe; numbers stay numbers. */
function harmless(cell) {
  if (cell === null || cell === undefined) return "";
  if (typeof cell === "number") return String(cell);
  const text = String(cell).replace(/[\t\r\n]+/g, " ");
  const isNumber = /^[-+]?\d+(\.\d+)?([eE][-+]?\d+)?( %)?$/.test(text.trim());
  return /^\s*[=+\-@]/.test(text) && !isNumber ? `'${text}` : text;
}

function toCsv(rows) {
  if (!rows.length) return "";
  const names = Object.keys(rows[0]);
  const quoted = (cell) => {
    const text = harmless(cell);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows.map((row) => names.map((name) => row[name]))].map((line) => line.map(quoted).join(",")).join("\r\n") + "\r\n";
}

function cellText(cell) {
  const shown = [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean);
  return shown.join(" ");
}

function toTsv(table) {
  const rows = all("tr", table).filter((row) => !row.hidden);
  return rows.map((row) => [...row.cells].filter((cell) => !cell.hidden).map((cell) => harmless(cellText(cell))).join("\t")).join("\n") + "\n";
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page from a file may not have the clipboard; a selection can still be copied.
    const area = element("textarea", { class: "unseen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} copied`);
}

function sortBy(header) {
  const table = header.closest("table");
  const body = table.tBodies[0];
  const column = header.cellIndex;
  const numbers = all("tr", body).some((row) => row.cells[column].dataset.value !== undefined);
  const first = numbers ? "descending" : "ascending";
  const other = numbers ? "ascending" : "descending";
  const direction = header.getAttribute("aria-sort") === first ? other : first;
  const sign = direction === "ascending" ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[column];
    if (!numbers) return cellText(cell);
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (numbers ? x - y : x.localeCompare(y));
  };
  for (const one of all("th[aria-sort]", table)) one.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  body.append(...all("tr", body).sort(compare));
}

function bindTable(holder) {
  for (const button of all(".sort", holder)) button.addEventListener("click", () => sortBy(button.closest("th")));
  for (const tools of all("p.tools", holder)) tools.hidden = false;
  for (const button of all(".copy", holder)) button.addEventListener("click", () => copy(toTsv(holder.querySelector("table")), "Table"));
}

/** Build a table like those that the page came with. `cells` gives text, a number or an element per column. */
function makeTable(caption, headings, lines) {
  const head = element("tr", {
    children: headings.map((heading, i) =>
      element("th", { scope: "col", ...(i ? {} : { class: "left" }), children: [element("button", { type: "button", class: "sort", text: heading })] }),
    ),
  });
  const cell = (content, i) => {
    const kind = i ? "td" : "th";
    const marks = i ? {} : { scope: "row", class: "left" };
    if (content instanceof Node) return element(kind, { ...marks, class: "left", children: [content] });
    if (typeof content === "number") return element(kind, { ...marks, "data-value": content, text: String(Number(content.toPrecision(4))) });
    return element(kind, { ...marks, children: [element("bdi", { class: "foreign", text: content ?? "–" })] });
  };
  const body = lines.map((line) => element("tr", { children: line.map(cell) }));
  const table = element("table", {
    children: [element("caption", { class: "unseen", text: caption }), element("thead", { children: [head] }), element("tbody", { children: body })],
  });
  const holder = element("div", {
    class: "table",
    children: [
      element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, children: [table] }),
      element("p", { class: "tools", children: [element("button", { type: "button", class: "quiet copy", text: "Copy table" })] }),
    ],
  });
  bindTable(holder);
  return holder;
}
