// The figures of an audit's page: which rows each draws, and what its tooltips, tables and files say.

const F = DATA.figures;
const SCORES = F?.scores ? toRows(F.scores.scores) : [];
const MODEL_KEY = "circle, grey: reference; diamond, green: aligned; grey bar: 95 % with permuted labels; dashed: approximate";
const shortly = (value) => (value === null || value === undefined ? "–" : String(Number(value.toPrecision(3))));
const percent = (value) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(0)} %`);
const range = (row, form = shortly) => (row.low === null ? "–" : `${row.approximate ? "≈ " : ""}${form(row.low)} to ${form(row.high)}`);
const chosen = { metric: 0, layer: F?.scores ? F.scores.layer : 0 };

function answerFigure(holder) {
  const { spec, rows, kind } = F.answer;
  const form = kind === "retention" ? percent : shortly;
  addFigure({
    holder, name: kind, size: "wide", title: () => holder.querySelector("figcaption strong").textContent,
    key: "circle: high-resource; square: middle; triangle: low-resource; hollow: no verdict; dashed: approximate",
    spec: (theme) => spec[theme],
    rows: () => (rows.some((row) => row.value !== null) ? rows : []),
    csv: () => rows.map(({ label, value, low, high, verdict, shape, approximate, reason }) => ({ language: label, [kind]: value, low, high, verdict, resources: shape, approximate, reason })),
    tip: (row) => [["language", row.label], [kind, form(row.value)], ["interval", range(row, form)], ["verdict", row.verdict], ["resources", row.shape]],
  });
}

function separationRows() {
  return SCORES.filter((row) => row.metric === chosen.metric && row.layer === F.scores.layer).map((row) => ({ ...row, label: LANGUAGES[row.language].name, approximate: Boolean(row.approximate) }))
    .sort((a, b) => a.language - b.language);
}

function separationFigure(holder) {
  const metric = () => F.scores.metrics[chosen.metric];
  const figure = {
    holder, name: "separation", size: "wide", title: () => metric().title, key: MODEL_KEY, empty: "This metric was not computed here.",
    spec: (theme) => metric().spec[theme],
    rows: () => separationRows().filter((row) => row.value !== null),
    csv: () => separationRows().map(({ label, model, value, low, high, null_low, null_high, approximate, reason }) => ({ language: label, model, metric: metric().title, value, low, high, null_low, null_high, approximate, reason })),
    tip: (row) => [["language", row.label], ["model", row.model], ["separation", shortly(row.value)], ["interval", range(row)], ["permuted labels", `${shortly(row.null_low)} to ${shortly(row.null_high)}`]],
  };
  addFigure(figure);
  return figure;
}

/** Say below the figure which numbers are missing, and why. */
function sayMissing(holder) {
  const reasons = new Map();
  for (const row of separationRows().filter((one) => one.value === null)) {
    reasons.set(row.reason, [...new Set([...(reasons.get(row.reason) ?? []), row.label])]);
  }
  const note = holder.querySelector(".missing");
  note.hidden = !reasons.size;
  note.textContent = [...reasons].map(([reason, labels]) => `Not computed for ${labels.join(", ")}: ${reason}.`).join(" ");
}

function bindMetric(figures) {
  const select = byId("metric");
  if (!select) return;
  select.addEventListener("change", () => {
    chosen.metric = Number(select.value);
    const { title } = F.scores.metrics[chosen.metric];
    for (const name of all(".metric-name")) name.textContent = title;
    for (const row of all('[data-table="scores"] tbody tr')) row.hidden = Number(row.dataset.group) !== chosen.metric;
    for (const figure of figures) figure.chosen?.();
    redraw(figures);
    say(`Showing ${title}`);
  });
}

function layersFigure(holder) {
  const language = Number(holder.dataset.language);
  const mine = () => SCORES.filter((row) => row.metric === chosen.metric && row.language === language)
    .sort((a, b) => a.layer - b.layer).map((row) => ({ ...row, layer: DATA.layers[row.layer], approximate: Boolean(row.approximate) }));
  const figure = {
    holder, name: `layers-${LANGUAGES[language].name}`, size: "multiple", key: MODEL_KEY, empty: "This metric was not computed here.",
    title: () => `${LANGUAGES[language].name}: ${F.scores.metrics[chosen.metric].title}`,
    spec: (theme) => F.scores.metrics[chosen.metric].layers[theme],
    rows: () => mine().filter((row) => row.value !== null),
    csv: () => mine().map(({ layer, model, value, low, high, null_low, null_high, reason }) => ({ layer, model, value, low, high, null_low, null_high, reason })),
    tip: (row) => [["layer", row.layer], ["model", row.model], ["separation", shortly(row.value)], ["interval", range(row)]],
  };
  addFigure(figure);
  lazyTable(holder, () => makeTable(figure.title(), ["layer", "model", "value", "low", "high"], mine().map((row) => [row.layer, row.model, row.value ?? row.reason, row.low, row.high])));
  return figure;
}

function scatterRows(language) {
  const texts = F.scatter.languages[language];
  const place = texts.layers[chosen.layer] ?? {};
  return texts.text.map((text, index) => {
    const row = { index, text, pair: texts.pair[index], class: texts.harmful[index] ? "harmful" : "harmless" };
    for (const model of F.scatter.models) {
      row[`${model}_x`] = place[model]?.x[index] ?? null;
      row[`${model}_y`] = place[model]?.y[index] ?? null;
      row[`${model}_score`] = place[model]?.s[index] ?? null;
    }
    return row;
  });
}

function scatterFigure(holder) {
  const language = Number(holder.dataset.language);
  const { name, tag } = LANGUAGES[language];
  const rows = () => scatterRows(language);
  const figure = {
    holder, name: `scatter-${name}`, size: "scatter", key: "triangle, orange: harmful; circle, blue: harmless",
    title: () => `${name}, layer ${DATA.layers[chosen.layer]}`,
    empty: "The texts vary in fewer than two directions.",
    spec: (theme) => F.scatter.spec[theme],
    rows: () => rows().filter((row) => F.scatter.models.every((model) => row[`${model}_x`] !== null && row[`${model}_y`] !== null)),
    csv: () => rows().map(({ index, ...row }) => row),
    tip: (row) => {
      const lines = [["language", name], ["label", row.class], ["text id", row.text], ["pair", row.pair ?? "–"]];
      for (const model of F.scatter.models) if (row[`${model}_score`] !== null) lines.push([`probe score, ${model}`, shortly(row[`${model}_score`])]);
      return TEXTS && uncovered ? [...lines, element("p", { children: [shownText(row.text, tag)] })] : lines;
    },
  };
  addFigure(figure);
  lazyTable(holder, () => {
    const headings = ["text", "label", "pair", ...F.scatter.models.flatMap((model) => [`${model} PC 1`, `${model} PC 2`]), ...(TEXTS ? ["shown"] : [])];
    const lines = rows().map((row) => [
      pointOut(figure, row), row.class, row.pair, ...F.scatter.models.flatMap((model) => [row[`${model}_x`], row[`${model}_y`]]), ...(TEXTS ? [coveredText(row.text, tag)] : []),
    ]);
    return makeTable(`Texts of ${name}`, headings, lines);
  });
  return figure;
}

/** A button that shows where a text is in both panels: what brushing is to a mouse. */
function pointOut(figure, row) {
  const button = element("button", { type: "button", class: "quiet", "aria-pressed": "false", title: "Point out in the figure", children: [element("bdi", { class: "foreign", text: row.text })] });
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of all("button[aria-pressed]", figure.holder)) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", String(on));
    figure.view?.signal("focus", on ? row.index : -1).runAsync();
  });
  return button;
}

function bindLayer(figures) {
  const slider = byId("layer");
  if (!slider) return;
  slider.setAttribute("aria-valuetext", DATA.layers[chosen.layer]);
  slider.addEventListener("input", () => {
    chosen.layer = Number(slider.value);
    byId("layer-name").textContent = DATA.layers[chosen.layer];
    slider.setAttribute("aria-valuetext", DATA.layers[chosen.layer]);
    for (const figure of figures) figure.holder.querySelector("details.lazy .table")?.remove();
    for (const details of all("figure[data-figure=scatter] details.lazy")) details.open = false;
    redraw(figures);
  });
}

function marginsFigure(holder) {
  const language = Number(holder.dataset.language);
  const { edges, languages, spec } = F.margins;
  const own = languages[language];
  const bins = edges.slice(0, -1).map((from, i) => ({ from, to: edges[i + 1], reference: own.reference?.shares[i] ?? 0, aligned: own.aligned?.shares[i] ?? 0 }));
  const last = edges[edges.length - 1];
  const figure = {
    holder, name: `margins-${LANGUAGES[language].name}`, size: "multiple", title: () => `${LANGUAGES[language].name}: margins of pairs`,
    key: "filled, green: aligned; outline, grey: reference", empty: "No pair has a probe score here.",
    spec: (theme) => spec[theme],
    rows: () => (own.aligned || own.reference ? [...bins, { from: last, to: last, reference: 0, aligned: 0 }] : []),
    csv: () => bins,
    tip: (row) => [["margin", `${shortly(row.from)} to ${shortly(row.to)}`], ["reference", percent(row.reference)], ["aligned", percent(row.aligned)]],
  };
  addFigure(figure);
  lazyTable(holder, () => makeTable(figure.title(), ["from", "to", "reference", "aligned"], bins.map((bin) => [bin.from, bin.to, bin.reference, bin.aligned])));
}

function controlsFigure(holder) {
  addFigure({
    holder, name: "controls", size: "wide", title: () => "The probe, and what could explain its score",
    key: "diamond: probe; square: n-grams; triangle: text length; cross: untrained model; grey bar: permuted labels",
    spec: (theme) => F.controls.spec[theme],
    rows: () => F.controls.rows,
    csv: () => F.controls.rows.map(({ label, what, value, low, high, approximate }) => ({ language: label, what, value, low, high, approximate })),
    tip: (row) => [["language", row.label], ["what", row.what], ["AUROC", shortly(row.value)], ["interval", range(row)]],
  });
}

/** A figure of an analysis: its fields say what tooltip, table and file show of its rows. */
function sectionFigure(holder) {
  const own = DATA.sections.figures[holder.dataset.key];
  const spec = DATA.sections.specs[own.spec];
  const layers = own.fields.filter((field) => field.form === "layer").map((field) => field.name);
  const rows = toRows(own.rows).map((row) => ({ ...row, ...Object.fromEntries(layers.map((name) => [name, DATA.layers[row[name]] ?? row[name]])) }));
  const bound = (row, field, end) => row[field.name ? `${field.name}_${end}` : end] ?? null;
  const interval = (row, field) => ({ low: bound(row, field, "low"), high: bound(row, field, "high"), approximate: field.name ? false : row.approximate });
  const shown = (row, field) => {
    if (field.form === "interval") return interval(row, field).low === null ? null : range(interval(row, field));
    const value = row[field.name] ?? null;
    if (field.form !== "number") return value === "" ? null : value;
    return value === null ? row.reason || null : shortly(value);
  };
  // An interval takes two columns of a table or file.
  const columns = own.fields.flatMap((field) => {
    if (field.form === "interval") return ["low", "high"].map((end) => ({ heading: `${field.heading}, ${end}`, read: (row) => bound(row, field, end) }));
    return [{ heading: field.heading, read: (row) => row[field.name] ?? (field.form === "number" ? row.reason || null : null) }];
  });
  const figure = {
    holder, name: holder.dataset.key, size: own.size === "multiple" ? "multiple" : "wide", key: own.legend,
    title: () => (own.heading ? `${own.heading}: ${own.title}` : own.title),
    spec: (theme) => spec[theme],
    rows: () => rows,
    csv: () => rows.map((row) => Object.fromEntries(columns.map(({ heading, read }) => [heading, read(row)]))),
    tip: (row) => own.fields.map((field) => [field.heading, shown(row, field)]).filter(([, text]) => text !== null),
  };
  addFigure(figure);
  lazyTable(holder, () => makeTable(figure.title(), columns.map(({ heading }) => heading), rows.map((row) => columns.map(({ read }) => read(row)))));
  return figure;
}

/** Tables of many points are made when somebody opens them. */
function lazyTable(holder, make) {
  const details = holder.querySelector("details.lazy");
  details?.addEventListener("toggle", () => {
    if (details.open && !details.querySelector(".table")) details.append(make());
  });
}
