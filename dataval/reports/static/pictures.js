// Images, cut out of atlases that are decoded when one of their images is first shown.
const Pictures = (() => {
  const whenParsed = new Promise((done) => {
    if (document.readyState !== "loading") done();
    else document.addEventListener("DOMContentLoaded", done, { once: true });
  });

  const MOST = 12; // of 16 MB each
  const open = new Map();

  const decode = async (name) => {
    const [set, number] = name.split(":");
    await whenParsed;
    const type = Sets[set].media.mime;
    return createImageBitmap(new Blob([bytesOf($(`atlas-${set}-${number}`).textContent)], { type }));
  };

  // The atlas of this name; the one that was not asked for longest is forgotten where there are many.
  const atlas = (name) => {
    const found = open.get(name) || decode(name);
    open.delete(name);
    open.set(name, found);
    if (open.size > MOST) open.delete(open.keys().next().value);
    return found;
  };

  const place = (set, slot) => {
    const { media, sizes } = Sets[set];
    const each = media.columns * media.rows;
    const cell = slot % each;
    return {
      name: `${set}:${Math.floor(slot / each)}`,
      x: (cell % media.columns) * media.side,
      y: Math.floor(cell / media.columns) * media.side,
      width: sizes[2 * slot],
      height: sizes[2 * slot + 1],
    };
  };

  const canvas = (set, slot, text) => {
    const { name, x, y, width, height } = place(set, slot);
    const node = h("canvas", { width, height, role: "img", "aria-label": text });
    if (Math.max(width, height) < 64) node.classList.add("crisp");
    atlas(name).then((image) => node.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height));
    return node;
  };

  return { canvas };
})();
