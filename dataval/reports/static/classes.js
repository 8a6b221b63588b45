// Given labels against suggested ones; a cell filters the grid.
const Classes = (() => {
  const MOST = 24;

  const counted = lazily(() => {
    const k = Data.classes.length;
    const cells = new Uint32Array(k * k);
    for (let i = 0; i < Data.n; i++) cells[Data.given[i] * k + Data.proposed[i]]++;
    return cells;
  });

  const chosen = (cells, k) => {
    const off = (c) => {
      let sum = 0;
      for (let other = 0; other < k; other++) if (other !== c) sum += cells[c * k + other] + cells[other * k + c];
      return sum;
    };
    const order = Array.from({ length: k }, (_, c) => c).sort((a, b) => off(b) - off(a));
    return order.slice(0, MOST).sort((a, b) => a - b);
  };

  const panel = () => {
    const k = Data.classes.length;
    const cells = counted("");
    const shown = k > MOST ? chosen(cells, k) : Array.from({ length: k }, (_, c) => c);
    const most = Math.max(1, ...shown.flatMap((a) => shown.filter((b) => b !== a).map((b) => cells[a * k + b])));
    const cell = (a, b) => {
      const n = cells[a * k + b];
      const open = () => Store.set({ ...Object.fromEntries(FILTERS.map((key) => [key, INITIAL[key]])), given: String(a), suggested: String(b), tab: "samples" });
      const shade = a === b ? 0 : Math.round((100 * Math.sqrt(n)) / Math.sqrt(most));
      return h("td", { class: a === b ? "same" : null }, h("button", {
        type: "button", disabled: n === 0, onclick: open, class: shade > 55 ? "strong" : null, style: { background: shade ? `color-mix(in srgb, var(--hurts) ${shade}%, transparent)` : "" },
        "aria-label": `${many(n, "sample")} given ${Data.names[a]}, suggested ${Data.names[b]}`,
      }, n ? count(n) : "\u00b7"));
    };
    return h("div", { class: "pad" },
      h("p", { class: "quiet" }, "Rows: the given label. Columns: what the model suggests. Choose a cell to see its samples.",
        k > MOST ? ` The ${MOST} of ${k} classes that are confused most.` : ""),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Given against suggested labels" }, h("table", { class: "matrix" },
        h("thead", null, h("tr", null, h("th", null, "given \\ suggested"), shown.map((b) => h("th", { scope: "col" }, h("span", null, Data.names[b]))))),
        h("tbody", null, shown.map((a) => h("tr", null, h("th", { scope: "row" }, Data.names[a]), shown.map((b) => cell(a, b))))))));
  };

  return { isThere: Boolean(Data.given && Data.proposed), panel };
})();
