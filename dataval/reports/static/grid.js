// The grid: a list of any length of which only the tiles near the window are in the document.
const Grid = (() => {
  const SHAPES = { images: [128, 176], texts: [280, 152], table: [300, 172], none: [150, 84] };
  const GAP = 8;
  const TALLEST = 8e6; // pixels: browsers draw nothing far beyond
  const [least, height] = SHAPES[Samples.kind];
  const step = height + GAP;
  const tiles = new Map();
  let columns = 1;
  let frame = null;

  const spacer = h("div", { class: "spacer" });
  const root = h("div", {
    class: `grid ${Samples.kind}`, id: "grid", role: "listbox", tabindex: 0, "aria-label": "Samples",
    onscroll: () => schedule(),
  }, spacer);
  const empty = h("p", { class: "empty" }, "No sample passes the filters. ",
    h("button", { type: "button", onclick: () => Store.reset(FILTERS) }, "Clear the filters"));

  const rows = () => Math.ceil(View.list().length / columns);
  const total = () => rows() * step;
  const squeeze = () => {
    const shown = Math.min(total(), TALLEST);
    const room = shown - root.clientHeight;
    return room > 0 ? (total() - root.clientHeight) / room : 1;
  };

  const make = (position, index) => {
    const node = h("div", { class: "tile", role: "option", id: `tile-${index}`, onclick: () => { Store.set({ selected: index }); root.focus({ preventScroll: true }); } });
    node.dataset.index = index;
    return node;
  };

  const dress = (node, position, index) => {
    const selected = Store.get().selected === index;
    const made = Decisions.of(index);
    node.className = `tile${selected ? " selected" : ""}${made ? ` decided ${made.decision}` : ""}`;
    node.setAttribute("aria-selected", String(selected));
    node.setAttribute("aria-setsize", View.list().length);
    node.setAttribute("aria-posinset", position + 1);
    node.setAttribute("aria-label", describe(index));
    const key = `${Store.get().method}|${made ? made.decision + made.label : ""}`;
    if (node.dataset.key !== key) {
      replace(node, tileContents(index));
      node.dataset.key = key;
    }
  };

  const draw = () => {
    frame = null;
    const start = performance.now();
    const list = View.list();
    empty.hidden = list.length > 0;
    spacer.style.height = `${Math.min(total(), TALLEST)}px`;
    const offset = root.scrollTop * squeeze();
    const shift = root.scrollTop - offset;
    const first = Math.max(0, Math.floor(offset / step) - 1) * columns;
    const last = Math.min(list.length, (Math.ceil((offset + root.clientHeight) / step) + 1) * columns);
    const width = (spacer.clientWidth - GAP * (columns - 1)) / columns;
    const wanted = new Set(list.subarray(first, last));
    for (const [index, node] of tiles) {
      if (!wanted.has(index)) {
        node.remove();
        tiles.delete(index);
      }
    }
    let previous = null;
    for (let position = first; position < last; position++) {
      const index = list[position];
      if (!tiles.has(index)) tiles.set(index, make(position, index));
      const node = tiles.get(index);
      dress(node, position, index);
      const x = (position % columns) * (width + GAP);
      const y = Math.floor(position / columns) * step + shift;
      node.style.cssText = `width:${width}px;height:${height}px;transform:translate(${x}px,${y}px)`;
      if (previous ? previous.nextSibling !== node : spacer.firstChild !== node) {
        spacer.insertBefore(node, previous ? previous.nextSibling : spacer.firstChild);
      }
      previous = node;
    }
    const { selected } = Store.get();
    if (selected !== null && tiles.has(selected)) root.setAttribute("aria-activedescendant", `tile-${selected}`);
    else root.removeAttribute("aria-activedescendant");
    performance.measure("draw", { start });
  };

  const schedule = () => { frame = frame || requestAnimationFrame(draw); };

  const measure = () => {
    columns = Math.max(1, Math.floor((spacer.clientWidth + GAP) / (least + GAP)));
    if (Samples.kind === "images" && spacer.clientWidth < 400) columns = Math.max(2, columns);
  };

  const reveal = (index) => {
    const position = View.placeOf(index);
    if (position < 0 || !root.clientHeight) return;
    const top = Math.floor(position / columns) * step;
    const offset = root.scrollTop * squeeze();
    if (top < offset) root.scrollTop = top / squeeze();
    else if (top + step > offset + root.clientHeight) root.scrollTop = (top + step - root.clientHeight) / squeeze();
  };

  const refresh = (toTop) => {
    if (toTop) root.scrollTop = 0;
    measure();
    draw();
  };

  const print = matchMedia("print"); // on paper the grid is as tall as its tiles, and takes no more of them
  new ResizeObserver(() => {
    if (print.matches) return;
    measure();
    draw();
  }).observe(root);

  return { root, empty, refresh, reveal, schedule, columns: () => columns, page: () => Math.max(1, Math.floor(root.clientHeight / step)) * columns };
})();
