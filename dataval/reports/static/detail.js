// The selected sample: large, its values under every method, its losses, its neighbours, and the decision.
const Detail = (() => {
  const root = $("detail");

  const methodTable = (i) => h("table", { class: "values" },
    h("caption", null, "Values"),
    h("thead", null, h("tr", null, ["method", "value", "rank"].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", null, Data.methods.map((method, m) => {
      const share = (Data.ranks(m)[i] - 0.5) / Data.n;
      return h("tr", null, h("th", { scope: "row" }, method.name), h("td", null, valueText(m, i)),
        h("td", null, `${count(Data.ranks(m)[i])} of ${count(Data.n)}`,
          h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: { left: `${100 * share}%` } }))));
    })));

  const labels = (i) => {
    if (!Data.hasLabels) return null;
    const suggested = Data.suggestedText(i);
    const sure = (array) => (array ? ` (${Math.round(100 * array[i])} %)` : "");
    return h("dl", { class: "facts" },
      h("dt", null, "Given"), h("dd", null, Data.nameOf(Data.givenText(i)), h("span", { class: "quiet" }, sure(Data.givenProbability))),
      suggested === "" ? null : [h("dt", null, "Suggested"), h("dd", { class: Data.differs(i) ? "suggested" : null }, Data.nameOf(suggested), h("span", { class: "quiet" }, sure(Data.probability)))],
      Data.noisy ? [h("dt", null, "Known noise"), h("dd", null, Data.noisy[i] ? "\u26a0 the label is wrong" : "the label is right")] : null);
  };

  const proposal = (i) => {
    const made = Decisions.of(i);
    if (made && made.decision === "relabel") return made.label;
    const suggested = Data.suggestedText(i);
    return suggested !== Data.givenText(i) ? suggested : "";
  };

  const labelField = (i) => {
    if (!Data.hasLabels) return null;
    const value = proposal(i);
    const onkeydown = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      decide("relabel");
      Grid.root.focus();
    };
    if (Data.isAmounts) return h("input", { type: "number", step: "any", id: "new-label", "aria-label": "New value", placeholder: "new value", value, onkeydown });
    return h("select", { id: "new-label", "aria-label": "New label", onkeydown },
      option("", "new label \u2026", value === ""),
      Data.classes.filter((text) => text !== Data.givenText(i)).map((text) => option(text, Data.nameOf(text), text === value)));
  };

  const decide = (kind) => {
    const { selected } = Store.get();
    if (selected === null) return;
    const position = View.placeOf(selected);
    const field = $("new-label");
    const label = kind === "relabel" && field ? field.value : "";
    if (kind === "relabel" && (!field || label === "" || label === Data.givenText(selected))) {
      if (field) field.focus();
      return;
    }
    Decisions.decide(selected, kind, label);
    const list = View.list();
    const next = View.placeOf(selected) < 0 ? position : position + 1;
    if (position >= 0 && list.length) Store.set({ selected: list[Math.min(next, list.length - 1)] });
  };

  const buttons = (i) => {
    const made = Decisions.of(i);
    const button = (kind, key, text) => h("button", {
      type: "button", class: `decide ${kind}`, "aria-pressed": String(Boolean(made) && made.decision === kind), "aria-keyshortcuts": key,
      onclick: () => decide(kind),
    }, text, h("kbd", null, key));
    return h("div", { class: "deciding", role: "group", "aria-label": "Decision" },
      button("keep", "k", "Keep"), button("drop", "d", "Drop"), button("unsure", "u", "Unsure"),
      Data.hasLabels ? h("span", { class: "relabelling" }, button("relabel", "r", "Relabel"), labelField(i)) : null,
      made ? h("button", { type: "button", class: "plain", onclick: () => Decisions.withdraw(i) }, "Withdraw the decision") : null);
  };

  const losses = (i) => {
    const found = Charts.losses(i);
    return found && h("section", null, h("h3", null, "Loss over the epochs"), found);
  };

  const near = (i) => {
    const slot = Sets.training.slots.get(i);
    if (!Neighbours || slot === undefined) return null;
    const found = Array.from(Neighbours.subarray(slot * Neighbours.k, (slot + 1) * Neighbours.k)).filter((each) => each >= 0);
    return h("section", null, h("h3", null, Data.given ? "Most alike in its class" : "Most alike"),
      h("div", { class: "strip" }, found.map((each) => smallTile(each, valueText(Store.get().method, each)))));
  };

  const refresh = () => {
    const { selected: i, tab } = Store.get();
    root.classList.toggle("open", i !== null);
    if (i === null) {
      replace(root, h("p", { class: "hint" }, "Choose a sample to see it large, with its values, its losses and its neighbours. Then decide: ",
        h("kbd", null, "k"), " keep, ", h("kbd", null, "r"), " relabel, ", h("kbd", null, "d"), " drop, ", h("kbd", null, "u"), " unsure, ", h("kbd", null, "z"), " undo."));
      return;
    }
    const scrolled = root.scrollTop;
    replace(root,
      h("div", { class: "heading" }, h("h2", null, `#${i}`, Data.hasIds ? h("span", { class: "quiet" }, ` ${Data.idOf(i)}`) : null),
        h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => { Store.set({ selected: null }); Grid.root.focus(); } }, "\u2715")),
      Samples.full("training", i, describe(i)), labels(i), buttons(i), methodTable(i), losses(i), near(i));
    root.scrollTop = tab === root.dataset.tab ? scrolled : 0;
    root.dataset.tab = tab;
  };

  return { refresh, decide };
})();

const Neighbours = (() => {
  const found = decoded(RAW.neighbours);
  if (found) [, found.k] = RAW.neighbours.shape;
  return found;
})();
