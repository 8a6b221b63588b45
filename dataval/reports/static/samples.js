// What samples look like: images, rows of a table, or texts; of the training and of the validation set.
const setOf = (media) => {
  if (!media) return null;
  const shown = decoded(media.shown);
  const slots = new Map(Array.from(shown, (index, slot) => [index, slot]));
  return { media, shown, slots, sizes: decoded(media.sizes), marks: decoded(media.marks) };
};

const Sets = { training: setOf(RAW.media), validation: setOf(RAW.validation) };

const Samples = (() => {
  const cells = lazily((key) => {
    const [set, number] = key.split(":");
    const column = Sets[set].media.columns[Number(number)];
    return decoded(column.numbers || column.codes);
  });

  const cell = (set, number, slot) => {
    const column = Sets[set].media.columns[number];
    const value = cells(`${set}:${number}`)[slot];
    return column.numbers ? cellNumber(value) : column.texts[value] || "empty";
  };

  const isMarked = (set, number, slot) => {
    const { media, marks } = Sets[set];
    const bytes = Math.ceil(media.columns.length / 8);
    return Boolean((marks[slot * bytes + (number >> 3)] >> (number & 7)) & 1);
  };

  const usual = (column, index) => {
    if (!column.usual || !column.usual.length) return null;
    if (column.usual.length > 1 && !Data.given) return null;
    const group = column.usual.length > 1 ? Data.given[index] : 0;
    const found = column.usual[group];
    return found && found[1] !== null ? found : null;
  };

  const sign = (set, number, slot, index) => {
    const column = Sets[set].media.columns[number];
    const range = column.numbers && usual(column, index);
    if (!range) return "\u25c6";
    return cells(`${set}:${number}`)[slot] > range[1] ? "\u25b2" : "\u25bc";
  };

  const inOrder = (set, slot) => {
    const numbers = Sets[set].media.columns.map((_, i) => i);
    return [...numbers.filter((i) => isMarked(set, i, slot)), ...numbers.filter((i) => !isMarked(set, i, slot))];
  };

  const row = (set, slot, index, most) => h("ul", { class: "row" }, inOrder(set, slot).slice(0, most).map((number) => {
    const marked = isMarked(set, number, slot);
    return h("li", { class: marked ? "marked" : null, title: marked ? "unusual" : null },
      h("span", { class: "key" }, Sets[set].media.columns[number].name), " ",
      h("span", { class: "cell" }, marked ? `${sign(set, number, slot, index)}\u00a0` : "", cell(set, number, slot)));
  }));

  const table = (set, slot, index) => h("table", { class: "cells" },
    h("thead", null, h("tr", null, h("th", { scope: "col" }, "column"), h("th", { scope: "col" }, "here"),
      h("th", { scope: "col" }, set === "training" && Data.given ? "usual in its class" : "usual"))),
    h("tbody", null, inOrder(set, slot).map((number) => {
      const column = Sets[set].media.columns[number];
      const range = set === "training" ? usual(column, index) : null;
      return h("tr", { class: isMarked(set, number, slot) ? "marked" : null },
        h("th", { scope: "row" }, column.name),
        h("td", { class: column.numbers ? "number" : null }, isMarked(set, number, slot) ? h("span", { "aria-label": "unusual:" }, `${sign(set, number, slot, index)}\u00a0`) : "", cell(set, number, slot)),
        h("td", { class: "quiet" }, range ? `${shortNumber(range[0])} to ${shortNumber(range[2])}` : ""));
    })));

  const absent = (set) => h("div", { class: "absent" },
    Sets[set] && Sets[set].media.kind !== "none" ? "not in this file" : "");

  const preview = (set, index, text) => {
    const found = Sets[set];
    const slot = found ? found.slots.get(index) : undefined;
    if (slot === undefined) return absent(set);
    if (found.media.kind === "images") return Pictures.canvas(set, slot, text);
    if (found.media.kind === "texts") return h("p", { class: "text" }, found.media.texts[slot].slice(0, 400));
    return row(set, slot, index, 9);
  };

  const full = (set, index, text) => {
    const found = Sets[set];
    const slot = found ? found.slots.get(index) : undefined;
    if (slot === undefined) return absent(set);
    if (found.media.kind === "images") return h("div", { class: "large" }, Pictures.canvas(set, slot, text));
    if (found.media.kind === "texts") return h("p", { class: "whole", tabindex: 0 }, found.media.texts[slot]);
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "all cells" }, table(set, slot, index));
  };

  return { preview, full, kind: Sets.training.media.kind };
})();
