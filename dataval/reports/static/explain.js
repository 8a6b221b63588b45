// Which training samples a validation sample owes its prediction to.
const Explain = (() => {
  const found = RAW.explained;
  const PAGE = 24;
  const read = (name) => decoded(found[name]);
  const helpful = found && { indices: read("helpful_indices"), values: read("helpful_values") };
  const harmful = found && { indices: read("harmful_indices"), values: read("harmful_values") };

  const isWrong = (q) => Boolean(found.predicted && found.true) && found.predicted[q] !== found.true[q];

  const name = (q) => {
    const parts = [];
    if (found.predicted) parts.push(`predicted ${Data.nameOf(found.predicted[q])}${found.probability ? ` (${Math.round(100 * found.probability[q])} %)` : ""}`);
    if (found.true) parts.push(found.predicted ? `truly ${Data.nameOf(found.true[q])}` : Data.nameOf(found.true[q]));
    return parts.join(", ");
  };

  const query = (q) => h("button", {
    type: "button", class: `small ${Sets.validation.media.kind}${q === Store.get().query ? " selected" : ""}`, "aria-pressed": String(q === Store.get().query),
    "aria-label": `validation sample ${found.indices[q]}, ${name(q)}`, onclick: () => Store.set({ query: q }),
  }, h("div", { class: "media" }, Samples.preview("validation", found.indices[q], "")),
  h("div", { class: "caption" }, h("span", { class: "numbers" }, h("span", { class: "index" }, `#${found.indices[q]}`), isWrong(q) ? h("span", { class: "noisy", title: "predicted wrongly" }, "\u2715") : null)));

  const ranking = (title, side, q, kind) => {
    const indices = Array.from(side.indices.subarray(q * found.top, (q + 1) * found.top));
    const known = indices.filter((i) => i >= 0);
    return h("section", null, h("h3", null, title),
      known.length ? h("div", { class: "strip" }, known.map((i, place) => smallTile(i, h("span", { class: `value ${kind}` }, shortNumber(side.values[q * found.top + place])))))
        : h("p", { class: "quiet" }, "None."));
  };

  const panel = () => {
    const total = found.indices.length;
    const q = Math.min(Store.get().query, total - 1);
    const start = Math.floor(q / PAGE) * PAGE;
    const go = (to) => Store.set({ query: Math.min(total - 1, Math.max(0, to)) });
    const wrong = () => {
      for (let i = 1; i <= total; i++) if (isWrong((q + i) % total)) return go((q + i) % total);
      return null;
    };
    return h("div", { class: "pad" },
      h("p", { class: "quiet" }, found.about),
      h("div", { class: "pager" },
        h("button", { type: "button", onclick: () => go(start - PAGE), disabled: start === 0 }, "\u2190 earlier"),
        h("span", null, `validation samples ${count(start + 1)} to ${count(Math.min(total, start + PAGE))} of ${count(total)}`),
        h("button", { type: "button", onclick: () => go(start + PAGE), disabled: start + PAGE >= total }, "later \u2192"),
        found.predicted && found.true ? h("button", { type: "button", onclick: wrong }, "next that is predicted wrongly") : null),
      h("div", { class: "strip queries" }, Array.from({ length: Math.min(PAGE, total - start) }, (_, i) => query(start + i))),
      h("div", { class: "chosen" },
        h("div", { class: "question" }, Samples.full("validation", found.indices[q], name(q)), h("p", null, h("strong", null, `Validation sample ${found.indices[q]}`), h("br"), name(q))),
        h("div", null,
          ranking(`The ${Math.min(20, found.top)} that help it most`, helpful, q, "helps"),
          ranking(`The ${Math.min(20, found.top)} that harm it most`, harmful, q, "hurts"))));
  };

  return { isThere: Boolean(found), panel };
})();
