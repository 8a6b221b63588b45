// A sample as one tile among many.
const MARKS = { keep: "\u2713 keep", relabel: "\u2192", drop: "\u2715 drop", unsure: "? unsure" };

const labelsLine = (i) => {
  if (!Data.hasLabels) return null;
  const given = Data.nameOf(Data.givenText(i));
  const suggested = Data.suggestedText(i);
  const differs = suggested !== "" && suggested !== Data.givenText(i);
  return h("span", { class: "labels" },
    h("span", { class: "given" }, given),
    differs && h("span", { class: "suggested" }, h("span", { "aria-label": "suggested" }, " \u2192 "), Data.nameOf(suggested)));
};

const decisionText = (made) => (made.decision === "relabel" ? `${MARKS.relabel} ${Data.nameOf(made.label)}` : MARKS[made.decision]);

const valueText = (m, i) => {
  const value = Data.values(m)[i];
  const kind = value < 0 ? "hurts" : value > 0 ? "helps" : "";
  return h("span", { class: `value ${kind}`, title: kind ? `${kind} (${Data.methods[m].name})` : null }, shortNumber(value));
};

const describe = (i) => {
  const parts = [`sample ${i}`];
  if (Data.hasIds) parts.push(Data.idOf(i));
  if (Data.hasLabels) parts.push(`given ${Data.nameOf(Data.givenText(i))}`);
  if (Data.suggestedText(i) && Data.suggestedText(i) !== Data.givenText(i)) parts.push(`suggested ${Data.nameOf(Data.suggestedText(i))}`);
  parts.push(`value ${shortNumber(Data.values(Store.get().method)[i])}`);
  const made = Decisions.of(i);
  if (made) parts.push(`decided: ${made.decision}`);
  return parts.join(", ");
};

const tileContents = (i) => {
  const made = Decisions.of(i);
  return [
    h("div", { class: "media" }, Samples.preview("training", i, ""),
      made && h("span", { class: `badge ${made.decision}` }, decisionText(made))),
    h("div", { class: "caption" },
      labelsLine(i),
      h("span", { class: "numbers" }, h("span", { class: "index", title: Data.hasIds ? Data.idOf(i) : null }, `#${i}`),
        Data.noisy && Data.noisy[i] ? h("span", { class: "noisy", title: "known to be wrong", role: "img", "aria-label": "known to be wrong" }, "\u26a0") : null,
        valueText(Store.get().method, i))),
  ];
};

// A small tile that is a button, for neighbours and explanations.
const smallTile = (i, note) => h("button", {
  type: "button", class: `small ${Samples.kind}`, "aria-label": `${describe(i)}${note ? `, ${note}` : ""}`,
  onclick: () => Store.set({ selected: i }),
}, h("div", { class: "media" }, Samples.preview("training", i, "")),
h("div", { class: "caption" }, labelsLine(i), h("span", { class: "numbers" }, h("span", { class: "index" }, `#${i}`), note)));
