// What happens when the page opens, and when it is printed or changes its colours.

function bindTheme() {
  const button = byId("theme");
  const label = () => {
    button.textContent = themeName() === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${themeName() === "dark" ? "light" : "dark"} colours`);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    // Remembered in this document only: the page writes nothing to the reader's machine.
    document.documentElement.dataset.theme = themeName() === "dark" ? "light" : "dark";
    label();
    redraw(FIGURES);
  });
  dark.addEventListener("change", () => {
    label();
    redraw(FIGURES);
  });
  label();
}

/** Give a figure the colours of paper at once: drawing it anew would come too late for the print. */
function lighten(figure) {
  for (const name of ["fill", "stroke"]) {
    for (const shape of all(`svg [${name}]`, figure.chart)) shape.setAttribute(name, DATA.on_paper[shape.getAttribute(name)] ?? shape.getAttribute(name));
  }
  const spec = figure.spec("light", figure.width);
  const heat = (spec.layer ?? []).findIndex((layer) => layer.encoding?.fill?.scale?.interpolate === "rgb");
  if (heat >= 0) lightenCells(figure, heat, spec.layer[heat].encoding.fill);
}

/** Cells of a heat map have colours between those of the theme, which the table of colours lacks: mix those of paper anew. */
function lightenCells(figure, layer, { field, scale }) {
  const [low, zero, high] = scale.range.map((colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  const shades = figure.rows().map((row) => row[field]).filter((shade) => shade !== null);
  all(`.layer_${layer}_marks path`, figure.chart).forEach((path, i) => {
    const part = Math.min(1, Math.abs(shades[i]));
    const end = shades[i] < 0 ? low : high;
    path.setAttribute("fill", `rgb(${zero.map((from, j) => Math.round(from + part * (end[j] - from))).join(", ")})`);
  });
}

function bindPrint() {
  const opened = [];
  let lightened = false;
  window.addEventListener("beforeprint", () => {
    for (const details of all("details.print:not([open])")) {
      details.open = true;
      opened.push(details);
    }
    lightened = themeName() === "dark";
    if (lightened) for (const figure of FIGURES) lighten(figure);
  });
  window.addEventListener("afterprint", () => {
    if (lightened) redraw(FIGURES);
    for (const details of opened.splice(0)) details.open = false;
  });
}

/** A link to a code opens the list that it stands in. */
function bindCodes() {
  const open = () => {
    const target = location.hash.length > 1 ? byId(decodeURIComponent(location.hash.slice(1))) : null;
    const details = target?.closest("details");
    if (details && !details.open) {
      details.open = true;
      target.scrollIntoView();
    }
  };
  window.addEventListener("hashchange", open);
  open();
}

const KINDS = {
  answer: answerFigure, scatter: scatterFigure, separation: separationFigure, layers: layersFigure, margins: marginsFigure, controls: controlsFigure,
  heatmap: heatmapFigure, section: sectionFigure,
};

function start() {
  const made = Object.fromEntries(Object.keys(KINDS).map((kind) => [kind, all(`figure[data-figure=${kind}]`).map((holder) => KINDS[kind](holder))]));
  for (const holder of all("[data-table]")) bindTable(holder);
  for (const controls of all(".controls")) controls.hidden = false;
  const [separation] = made.separation;
  if (separation) {
    separation.chosen = () => sayMissing(separation.holder);
    separation.chosen();
    for (const row of all('[data-table="scores"] tbody tr')) row.hidden = Number(row.dataset.group) !== chosen.metric;
  }
  bindMetric([...made.separation, ...made.layers]);
  bindLayer(made.scatter);
  bindQuantity(made.heatmap);
  bindBaseline();
  bindUncover();
  if (F?.lost) addTextsToPairs(F.lost);
  for (const button of all(".copy-code")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button.parentElement.querySelector("code").textContent, "Text"));
  }
  bindTheme();
  bindPrint();
  bindCodes();
  drawTheRest();
}

start();
