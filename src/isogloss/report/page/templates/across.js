// What languages have in common: a matrix of two languages a model, and where texts lie by meaning.

function matrixFigure(holder) {
  const one = F.cross_lingual.matrices[Number(holder.dataset.index)];
  const rows = toRows(one.cells);
  const figure = {
    holder, name: `${one.name}-${one.model}`, size: "wide", title: () => one.title,
    key: "row: fitted on; column: scored on; blue: above chance, orange: below it",
    spec: (theme) => F.cross_lingual.spec[theme],
    rows: () => rows,
    csv: () => rows.map(({ label, scored, value, low, high, null_low, null_high, plain, reason }) => ({
      language: label, other: scored, [one.number]: value, low, high, null_low, null_high, plain, reason,
    })),
    tip: (row) => [
      [one.name === "transfer" ? "fitted on" : "language", row.label], [one.name === "transfer" ? "scored on" : "and", row.scored],
      [one.number, row.value === null ? row.reason : shortly(row.value)], ["interval", range(row)],
      ...(row.plain ? [["as estimated", row.plain]] : []),
      ...(row.null_low === null ? [] : [["permuted labels", `${shortly(row.null_low)} to ${shortly(row.null_high)}`]]),
    ],
  };
  addFigure(figure);
  const headings = ["language", "other", one.number, "low", "high", "shuffled from", "shuffled to"];
  lazyTable(holder, () => makeTable(one.title, headings, rows.map((row) => [row.label, row.scored, row.value ?? row.reason, row.low, row.high, row.null_low, row.null_high])));
  window.addEventListener("beforeprint", () => {
    if (themeName() === "dark") lightenCells(figure, F.cross_lingual.spec);
  });
  return figure;
}

function meaningFigure(holder) {
  const rows = toRows(F.cross_lingual.meaning.rows).sort((a, b) => a.layer - b.layer).map((row) => ({ ...row, layer: DATA.layers[row.layer] }));
  const title = "Silhouette by meaning minus silhouette by language";
  addFigure({
    holder, name: "meaning", size: "wide", title: () => title, key: "circle, grey: reference; diamond, green: aligned",
    spec: (theme) => F.cross_lingual.meaning.spec[theme],
    rows: () => rows,
    csv: () => rows.map(({ layer, model, value, low, high }) => ({ layer, model, value, low, high })),
    tip: (row) => [["layer", row.layer], ["model", row.model], ["meaning minus language", shortly(row.value)], ["interval", range(row)]],
  });
  lazyTable(holder, () => makeTable(title, ["layer", "model", "value", "low", "high"], rows.map((row) => [row.layer, row.model, row.value, row.low, row.high])));
}
