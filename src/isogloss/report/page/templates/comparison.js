// Several audits: a heat map of languages by run, and the run that others are held against.

const SHOWN = { quantity: 0 };
const inWords = (quantity, value) => (quantity.name === "retention" ? percent(value) : shortly(value));

function heatmapFigure(holder) {
  const { quantities, spec, runs, wordy } = F.heatmap;
  const cells = quantities.map((one) => toRows(one.cells));
  const quantity = () => quantities[SHOWN.quantity];
  const { left, right } = spec.lying.light.padding;
  const figure = {
    holder, name: "heatmap", size: "wide", title: () => quantity().title,
    key: "filled circle: reached; half: weakened; quarter: lagging; empty: not reached; triangle: reversed; ?: no verdict",
    spec: (theme, width) => spec[(width - left - right) / runs < wordy ? "upright" : "lying"][theme],
    rows: () => cells[SHOWN.quantity],
    csv: () => cells[SHOWN.quantity].map(({ label, name, value, low, high, verdict, approximate, reason }) => ({
      language: label, run: name, [quantity().name]: quantity().name === "verdict" ? verdict : value, low, high,
      ...(quantity().name === "verdict" ? {} : { verdict }), approximate, reason,
    })),
    tip: (row) => [
      ["language", row.label], ["run", row.name],
      ...(quantity().name === "verdict" ? [] : [[quantity().name, inWords(quantity(), row.value)], ["interval", range(row, (value) => inWords(quantity(), value))]]),
      ["verdict", row.verdict], ...(row.reason ? [["reason", row.reason]] : []),
    ],
  };
  addFigure(figure);
  return figure;
}

/** Show the rows of a table that belong to what is chosen, and hide its second column, which says the same. */
function showGroup(table, chosen) {
  for (const row of all(`[data-table="${table}"] tr`)) {
    row.cells[1].hidden = true;
    row.hidden = row.dataset.group !== undefined && Number(row.dataset.group) !== chosen;
  }
}

function bindQuantity(figures) {
  const select = byId("quantity");
  if (!select) return;
  const show = () => {
    SHOWN.quantity = Number(select.value);
    const { name, title, end } = F.heatmap.quantities[SHOWN.quantity];
    for (const one of all(".metric-name")) one.textContent = title;
    const scale = document.querySelector(".scale");
    scale.hidden = name === "verdict";
    scale.querySelector(".from").textContent = `−${shortly(end)}${name === "retention" ? " and less" : ""}`;
    scale.querySelector(".to").textContent = `${shortly(end)}${name === "retention" ? " and more" : ""}`;
    for (const sign of all(".sign")) sign.hidden = name === "gain" || name === "separation";
    showGroup("cells", SHOWN.quantity);
    redraw(figures);
  };
  select.addEventListener("change", () => {
    show();
    say(`Showing ${F.heatmap.quantities[SHOWN.quantity].title}`);
  });
  show();
}

function bindBaseline() {
  const select = byId("baseline");
  if (!select) return;
  const show = () => showGroup("against", Number(select.value));
  select.addEventListener("change", () => {
    show();
    say(`Held against ${select.selectedOptions[0].textContent}`);
  });
  show();
}
