// Which view is open; and the first drawing.
const Tabs = (() => {
  const VIEWS = [
    ["samples", "Samples", true, null],
    ["explain", "Explain", Explain.isThere, Explain.panel],
    ["classes", "Classes", Classes.isThere, Classes.panel],
    ["methods", "Methods", Methods.isThere, Methods.panel],
  ].filter(([, , isThere]) => isThere);
  const samples = h("div", { class: "panel samples", role: "tabpanel", id: "panel-samples", "aria-labelledby": "tab-samples" }, Grid.empty, Grid.root);
  const other = h("div", { class: "panel scrolls", role: "tabpanel", tabindex: 0 });

  const step = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const at = VIEWS.findIndex(([name]) => name === Store.get().tab);
    open((at + by + VIEWS.length) % VIEWS.length);
    $(`tab-${Store.get().tab}`).focus();
    event.preventDefault();
    event.stopPropagation();
  };

  const open = (number) => { if (VIEWS[number]) Store.set({ tab: VIEWS[number][0] }); };

  const build = () => {
    replace($("main"), samples, other);
    replace($("tabs"), VIEWS.map(([name, text], i) => h("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": name === "samples" ? "panel-samples" : "panel-other", onclick: () => open(i), onkeydown: step,
    }, text)));
    other.id = "panel-other";
    $("tabs").hidden = VIEWS.length < 2;
  };

  const refresh = () => {
    const { tab } = Store.get();
    for (const [name] of VIEWS) {
      $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
      $(`tab-${name}`).tabIndex = name === tab ? 0 : -1;
    }
    samples.hidden = tab !== "samples";
    other.hidden = tab === "samples";
    other.setAttribute("aria-labelledby", `tab-${tab}`);
    const view = VIEWS.find(([name]) => name === tab);
    if (view[3]) replace(other, view[3]());
    else other.replaceChildren();
  };

  return { build, refresh, open, names: () => VIEWS.map(([name]) => name) };
})();

const any = (changed, keys) => keys.some((key) => changed.has(key));

const refresh = (changed) => {
  const isOther = any(changed, [...FILTERS, ...ORDERING]);
  if (isOther) View.refresh();
  if (isOther) Filters.refresh();
  if (changed.has("method")) Head.trust();
  if (isOther || any(changed, ["tab", "query"]) || (changed.has("selected") && Store.get().tab === "methods")) Tabs.refresh();
  if (Store.get().tab === "samples") {
    if (isOther || changed.has("tab")) Grid.refresh(isOther);
    else if (changed.has("selected")) Grid.schedule();
    if (changed.has("selected") || changed.has("tab")) Grid.reveal(Store.get().selected);
  }
  if (any(changed, ["selected", "method", "tab"])) Detail.refresh();
};

const start = () => {
  const begin = performance.now();
  Head.build();
  Tabs.build();
  Filters.build();
  Store.set(Fragment.read());
  View.refresh();
  Filters.refresh();
  Head.trust();
  Head.progress();
  Tabs.refresh();
  Detail.refresh();
  Grid.refresh(false);
  Grid.reveal(Store.get().selected);
  Store.subscribe((state, changed) => {
    refresh(changed);
    Fragment.write();
  });
  Decisions.subscribe((index) => {
    Head.progress();
    const isFiltered = Store.get().decision !== "";
    if (isFiltered) {
      View.refresh();
      Filters.refresh();
      Grid.refresh(false);
    } else Grid.schedule();
    if (index === null || index === Store.get().selected) Detail.refresh();
  });
  window.addEventListener("hashchange", () => Store.set(Fragment.read()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Tabs.refresh());
  $("skip").addEventListener("click", (event) => { event.preventDefault(); Grid.root.focus(); });
  performance.measure("start", { start: begin });
};

start();
