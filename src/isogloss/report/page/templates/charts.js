// Drawing: every figure is drawn by Vega when it comes into view, with expressions interpreted and never compiled.

const DATA = JSON.parse(byId("data").textContent);
const LANGUAGES = DATA.languages;

// Vega clears an element with innerHTML = "". Nothing else may write HTML anywhere, where the browser can enforce that.
if (window.trustedTypes?.createPolicy) {
  window.trustedTypes.createPolicy("default", {
    createHTML: (text) => {
      if (text !== "") throw new TypeError("this page writes no HTML");
      return text;
    },
  });
}

const REFUSE = {
  load: () => Promise.reject(new Error("this page loads nothing")),
  sanitize: () => Promise.reject(new Error("this page loads nothing")),
  http: () => Promise.reject(new Error("this page loads nothing")),
  file: () => Promise.reject(new Error("this page loads nothing")),
};

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const themeName = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");

/** Columns to rows. */
function toRows(columns) {
  const names = Object.keys(columns);
  const count = names.length ? columns[names[0]].length : 0;
  return Array.from({ length: count }, (_, i) => Object.fromEntries(names.map((name) => [name, columns[name][i]])));
}

/** Fit a chart into a width: what its fixed margins leave, or two panels side by side. */
function fitted(spec, width) {
  const own = structuredClone(spec);
  if (own.hconcat) {
    const gap = own.spacing ?? 10;
    const side = Math.floor((width - 12 - gap * (own.hconcat.length - 1)) / own.hconcat.length);
    for (const panel of own.hconcat) panel.width = panel.height = Math.max(90, Math.min(230, side));
    own.padding = 2;
  } else {
    const narrow = width < 460 && own.padding.left > 60;
    if (narrow) own.padding.left = Math.min(own.padding.left, 104);
    own.width = Math.max(90, Math.floor(width - own.padding.left - own.padding.right));
  }
  return own;
}

/** How high a fitted chart will be. Its room is kept from the start, so that nothing moves when it is drawn. */
function heightOf(spec) {
  if (spec.hconcat) return spec.hconcat[0].height + 26;
  const inner = typeof spec.height === "number" ? spec.height : spec.height.step * LANGUAGES.length;
  return inner + spec.padding.top + spec.padding.bottom;
}

function options(figure) {
  return {
    mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, loader: REFUSE,
    tooltip: (handler, event, item, value) => showTip(figure, event, value),
  };
}

function showTip(figure, event, value) {
  const tip = byId("tip");
  const lines = value && typeof value === "object" ? figure.tip(value) : null;
  tip.hidden = !lines;
  if (!lines) return;
  const pairs = lines.filter((line) => Array.isArray(line));
  const others = lines.filter((line) => line instanceof Node);
  const list = element("dl", {
    children: pairs.map(([name, said]) =>
      element("div", { children: [element("dt", { text: name }), element("dd", { children: [element("bdi", { class: "foreign", text: said })] })] }),
    ),
  });
  tip.replaceChildren(list, ...others);
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - box.width - 8))}px`;
  tip.style.top = `${event.clientY + 18 + box.height > window.innerHeight ? Math.max(4, event.clientY - box.height - 12) : event.clientY + 18}px`;
}

/** Letters in charts grow with the page's. Not where a mouse measures positions: Vega would mistake them. */
function enlarged(figure) {
  return figure.size === "scatter" ? 1 : Math.max(1, parseFloat(getComputedStyle(document.documentElement).fontSize) / 16.5);
}

/** Keep the room that a figure will take at a width; returns by how much its letters are enlarged. */
function reserve(figure, width) {
  const scale = enlarged(figure);
  const spec = fitted(figure.spec(themeName(), width / scale), Math.floor(width / scale));
  figure.chart.style.minHeight = `${Math.round(heightOf(spec) * scale)}px`;
  return scale;
}

/** What is drawn: `spec(theme, width)`, `rows()`, `tip(row)`, `csv()` and an element to draw in. */
const FIGURES = [];
let turn = 0;

async function draw(figure) {
  const width = figure.chart.clientWidth;
  if (!width) return;
  const scale = reserve(figure, width);
  const mine = (figure.turn = ++turn);
  figure.stale = false;
  figure.width = width;
  const rows = figure.rows();
  if (!rows.length) {
    figure.chart.style.minHeight = "0";
    figure.view?.finalize();
    figure.view = null;
    figure.chart.replaceChildren(element("p", { class: "note", text: figure.empty ?? "Nothing to draw." }));
    return;
  }
  const spec = figure.spec(themeName(), width / scale);
  // The holder is one picture with a name, and a table has its numbers: shapes need not be read out one by one.
  const mount = element("div", { "aria-hidden": "true" });
  const result = await vegaEmbed(mount, { ...fitted(spec, Math.floor(width / scale)), datasets: { ...spec.datasets, rows } }, options(figure));
  if (figure.turn !== mine) {
    result.view.finalize();
    return;
  }
  figure.view?.finalize();
  figure.view = result.view;
  const svg = mount.querySelector("svg");
  if (svg && scale > 1) Object.assign(svg.style, { width: "100%", height: "auto" });
  figure.chart.replaceChildren(mount);
  figure.chart.dataset.drawn = themeName();
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const figure = FIGURES.find((one) => one.chart === entry.target);
      figure.inView = entry.isIntersecting;
      if (figure.inView && figure.stale) draw(figure);
    }
  },
  { rootMargin: "400px" },
);

let resizing = 0;
const resized = new ResizeObserver(() => {
  clearTimeout(resizing);
  resizing = setTimeout(() => redraw(FIGURES.filter((one) => one.width && one.width !== one.chart.clientWidth)), 120);
});

function addFigure(figure) {
  const holder = figure.holder;
  Object.assign(figure, { chart: holder.querySelector(".chart"), stale: true, inView: false });
  FIGURES.push(figure);
  if (figure.chart.clientWidth && figure.rows().length) reserve(figure, figure.chart.clientWidth);
  for (const tools of all("details.tools", holder)) tools.hidden = false;
  for (const button of all("[data-save]", holder)) button.addEventListener("click", () => save(figure, button.dataset.save));
  seen.observe(figure.chart);
  resized.observe(figure.chart);
}

/** Draw figures anew: now if they can be seen, else when they are or when there is time. */
function redraw(figures) {
  for (const figure of figures) {
    figure.stale = true;
    if (figure.inView) draw(figure);
  }
  drawTheRest();
}

const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 50));
let drawing = false;

/** Draw what nobody has scrolled to, one figure at a time, so that a print has them all. */
function drawTheRest() {
  if (drawing) return;
  drawing = true;
  whenIdle(async () => {
    const next = FIGURES.find((figure) => figure.stale && figure.chart.clientWidth);
    if (next) await draw(next);
    drawing = false;
    if (next) drawTheRest();
  });
}

const EXPORT_WIDTH = { scatter: 520, multiple: 420, wide: 760 };

/** A file of a figure is always light, on white, with its title and key, whatever the page shows. */
async function save(figure, kind) {
  const name = `isogloss-${DATA.name}-${figure.name}`.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 80);
  if (kind === "csv") return saveFile(`${name}.csv`, new Blob(["\ufeff", toCsv(figure.csv())], { type: "text/csv" }));
  const spec = { ...fitted(figure.spec("light", EXPORT_WIDTH[figure.size]), EXPORT_WIDTH[figure.size]), background: "#ffffff" };
  spec.datasets = { ...spec.datasets, rows: figure.rows() };
  spec.title = { text: figure.title(), subtitle: figure.key, anchor: "start", frame: "bounds", offset: 14 };
  if (!spec.hconcat) spec.padding = { ...spec.padding, top: spec.padding.top + 52 };
  else spec.padding = 14;
  const { view } = await vegaEmbed(document.createElement("div"), spec, options(figure));
  try {
    if (kind === "svg") saveFile(`${name}.svg`, new Blob([await view.toSVG()], { type: "image/svg+xml" }));
    else {
      const canvas = await view.toCanvas(2);
      canvas.toBlob((blob) => saveFile(`${name}.png`, blob), "image/png");
    }
  } finally {
    view.finalize();
  }
  return undefined;
}

function saveFile(name, blob) {
  const link = element("a", { download: name, href: URL.createObjectURL(blob) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  say(`${name} saved`);
}
