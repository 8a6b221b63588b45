// Everything by keyboard.
const Keys = (() => {
  const HELP = [
    ["arrows", "move among the samples"], ["Home, End", "the first, the last"], ["Page up, Page down", "a page on"],
    ["k", "keep the label"], ["r", "give it the new label, the suggested one at first"], ["d", "drop the sample"], ["u", "unsure"], ["z", "undo"],
    ["Enter", "to the selected sample's panel"], ["/", "search"], ["1 2 3 4", "views"], ["Esc", "back to the samples, or close"], ["?", "this list"],
  ];
  const DECIDE = { k: "keep", r: "relabel", d: "drop", u: "unsure" };

  const move = (by) => {
    const list = View.list();
    if (!list.length) return;
    const at = View.placeOf(Store.get().selected);
    const to = at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + by));
    Store.set({ selected: list[to] });
  };

  const undo = () => {
    const index = Decisions.undo();
    if (index !== null) Store.set({ selected: index });
  };

  const show = () => {
    const dialog = $("keys");
    replace(dialog, h("h2", null, "Keys"), h("dl", null, HELP.map(([key, text]) => h("div", null, h("dt", null, h("kbd", null, key)), h("dd", null, text)))),
      h("form", { method: "dialog" }, h("button", { onclick: (event) => { event.preventDefault(); dialog.close(); } }, "Close")));
    dialog.showModal();
  };

  const moves = () => ({
    ArrowRight: 1, ArrowLeft: -1, ArrowDown: Grid.columns(), ArrowUp: -Grid.columns(),
    PageDown: Grid.page(), PageUp: -Grid.page(), Home: -Infinity, End: Infinity,
  });

  const press = (event) => {
    const isWriting = event.target.closest("input, select, textarea, dialog");
    if (event.key === "Escape" && !event.target.closest("dialog")) {
      if (event.target === Grid.root) Store.set({ selected: null });
      else if (Store.get().tab === "samples") Grid.root.focus();
      return;
    }
    if (isWriting || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const { tab } = Store.get();
    const isFree = event.target === document.body || event.target === Grid.root;
    if (key in DECIDE) Detail.decide(DECIDE[key]);
    else if (key === "z") undo();
    else if (key === "/") Filters.focusSearch();
    else if (key === "?") show();
    else if (/^[1-4]$/.test(key)) Tabs.open(Number(key) - 1);
    else if (tab === "samples" && isFree && key in moves()) move(moves()[key]);
    else if (key === "Enter" && event.target === Grid.root) $("detail").focus();
    else return;
    event.preventDefault();
  };

  document.addEventListener("keydown", press);
  return { show, undo };
})();
