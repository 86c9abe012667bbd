// Texts of the corpus: embedded only if asked for, covered until clicked, one by one or all.

const TEXTS = DATA.texts === null ? null : new Map(Object.entries(DATA.texts));
let uncovered = false;
const COVERED = new Set();

function shownText(id, tag) {
  const marks = { class: "foreign shown", dir: "auto", ...(tag ? { lang: tag } : {}) };
  return element("bdi", { ...marks, text: TEXTS.get(id) ?? "this text is not embedded" });
}

/** A button that turns into its text when clicked, or the text if all are uncovered. */
function coveredText(id, tag) {
  const holder = element("span");
  const show = () => holder.replaceChildren(shownText(id, tag));
  const cover = () => {
    const button = element("button", { type: "button", class: "covered", text: "Show text" });
    button.addEventListener("click", show);
    holder.replaceChildren(button);
  };
  const one = { holder, update: () => (uncovered ? show() : cover()) };
  COVERED.add(one);
  one.update();
  return holder;
}

function bindUncover() {
  const button = byId("uncover");
  if (!button) return;
  button.addEventListener("click", () => {
    uncovered = !uncovered;
    button.setAttribute("aria-pressed", String(uncovered));
    button.textContent = uncovered ? "Cover all texts" : "Uncover all texts";
    for (const one of COVERED) one.update();
    say(uncovered ? "Texts are shown" : "Texts are covered");
  });
}

/** Add the texts to the tables of pairs that lose most. */
function addTextsToPairs(lost) {
  if (!TEXTS) return;
  for (const holder of all("[data-lost]")) {
    const one = lost[Number(holder.dataset.lost)];
    const { tag } = LANGUAGES[one.language];
    const table = holder.querySelector("table");
    for (const heading of ["harmful text", "harmless text"]) table.tHead.rows[0].append(element("th", { scope: "col", class: "left", text: heading }));
    [...table.tBodies[0].rows].forEach((row, i) => {
      row.append(...one.ids[i].map((id) => element("td", { class: "left", children: [coveredText(id, tag)] })));
    });
  }
}
