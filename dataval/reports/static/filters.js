// The left side: method and order, histogram, filters and the search.
const Filters = (() => {
  const bound = [];

  const select = (name, label, options, hidden) => {
    const control = h("select", {
      id: `filter-${name}`,
      onchange: (event) => Store.set({ [name]: typeof INITIAL[name] === "number" ? Number(event.target.value) : event.target.value }),
    }, options.map(([value, text]) => option(value, text)));
    bound.push(() => { control.value = String(Store.get()[name]); });
    return hidden ? null : h("label", { class: "field" }, h("span", null, label), control);
  };

  const methods = Data.methods.map((method, m) => [m, method.name]);
  const classes = [["", "any"], ...Data.names.map((name, i) => [i, name])];
  const several = methods.length > 1;

  const orders = [["lowest", "lowest first"], ["highest", "highest first"]];
  if (several) orders.push(["disagree", "two methods disagree"]);
  orders.push(["random", "random"]);

  const other = select("other", "Against", methods, !several);
  const differs = h("input", { type: "checkbox", id: "filter-differs", onchange: (event) => Store.set({ differs: event.target.checked }) });
  bound.push(() => { differs.checked = Store.get().differs; });
  const search = h("input", {
    type: "search", id: "search", placeholder: Data.hasIds ? "id or index" : "index", "aria-label": "Search by id",
    oninput: (event) => Store.set({ search: event.target.value }),
  });
  bound.push(() => { if (search.value !== Store.get().search) search.value = Store.get().search; });
  const clear = h("button", { type: "button", class: "wide", onclick: () => Store.reset(FILTERS) }, "Clear the filters");

  const build = () => replace($("filters"),
    h("label", { class: "field" }, h("span", null, "Find"), search),
    select("method", "Method", methods, !several),
    select("order", "Order", orders),
    other,
    h("div", { class: "field tall" }, h("span", null, "Values"), Histogram.root),
    select("sign", "Sign", [["", "any"], ["negative", "negative: hurts"], ["positive", "positive: helps"]]),
    select("given", "Given label", classes, !Data.given),
    select("suggested", "Suggested", classes, !Data.proposed),
    Data.proposed ? h("label", { class: "check" }, differs, " given \u2260 suggested") : null,
    select("noise", "Known noise", [["", "any"], ["wrong", "known to be wrong"], ["right", "known to be right"]], !Data.noisy),
    select("decision", "Decision", [["", "any"], ["none", "none yet"], ["keep", "keep"], ["relabel", "relabel"], ["drop", "drop"], ["unsure", "unsure"]]),
    clear);

  const refresh = () => {
    const state = Store.get();
    for (const update of bound) update();
    if (other) other.hidden = state.order !== "disagree";
    clear.hidden = FILTERS.every((key) => state[key] === INITIAL[key]);
    $("hits").textContent = `${count(View.list().length)} of ${count(Data.n)}`;
    Histogram.refresh();
  };

  return { build, refresh, focusSearch: () => { $("filterbox").open = true; search.focus(); search.select(); } };
})();
