// Methods side by side: ranks, and what finding wrong labels and removing samples gives.
const Methods = (() => {
  const SIZE = 420;
  const STYLES = 6;
  const style = (m) => `line s${m % STYLES}`;
  const several = Data.methods.length > 1;
  const detected = Data.methods.map((method, m) => [method, m]).filter(([method]) => method.detection);
  const removed = Data.methods.map((method, m) => [method, m]).filter(([method]) => method.removal);

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const correlation = (a, b) => {
    const [left, right] = [Data.ranks(a), Data.ranks(b)];
    const mean = (Data.n + 1) / 2;
    let [both, own] = [0, 0];
    for (let i = 0; i < Data.n; i++) {
      both += (left[i] - mean) * (right[i] - mean);
      own += (left[i] - mean) ** 2;
    }
    return own ? both / own : NaN;
  };

  const scatter = () => {
    const { method: a, other: b, selected } = Store.get();
    const [left, right] = [Data.ranks(a), Data.ranks(b)];
    const canvas = h("canvas", { width: SIZE, height: SIZE, class: "scatter", role: "img", "aria-label": `Ranks by ${Data.methods[a].name} against ${Data.methods[b].name}, correlation ${correlation(a, b).toFixed(2)}` });
    const at = (ranks, i) => ((ranks[i] - 0.5) / Data.n) * SIZE;
    const context = canvas.getContext("2d");
    const shown = View.list();
    const dot = Math.max(1.5, Math.min(4, 200 / Math.sqrt(shown.length)));
    const draw = (wanted, paint) => {
      context.fillStyle = paint;
      for (const i of shown) if (!Data.noisy || Boolean(Data.noisy[i]) === wanted) context.fillRect(at(left, i) - dot / 2, SIZE - at(right, i) - dot / 2, dot, dot);
    };
    context.globalAlpha = shown.length > 3000 ? 0.5 : 0.8;
    draw(false, colour("--helps"));
    if (Data.noisy) draw(true, colour("--hurts"));
    context.globalAlpha = 1;
    if (selected !== null) {
      context.strokeStyle = colour("--ink");
      context.lineWidth = 2;
      context.beginPath();
      context.arc(at(left, selected), SIZE - at(right, selected), 7, 0, 2 * Math.PI);
      context.stroke();
    }
    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const [x, y] = [((event.clientX - box.left) / box.width) * SIZE, ((event.clientY - box.top) / box.height) * SIZE];
      const away = (i) => (at(left, i) - x) ** 2 + (SIZE - at(right, i) - y) ** 2;
      let best = null;
      for (const i of shown) if (best === null || away(i) < away(best)) best = i;
      if (best !== null) Store.set({ selected: best });
    });
    return canvas;
  };

  const choose = (name, label) => h("label", { class: "field" }, h("span", null, label), h("select", {
    onchange: (event) => Store.set({ [name]: Number(event.target.value) }),
  }, Data.methods.map((method, m) => option(m, method.name, m === Store.get()[name]))));

  const ranks = () => h("section", { class: "card" }, h("h3", null, "Ranks against each other"),
    h("div", { class: "pair" }, choose("method", "Across"), choose("other", "Up")),
    h("figure", null, scatter(), h("figcaption", { class: "quiet" },
      `Rank 1, the lowest value, is at the lower left. Rank correlation ${shortNumber(correlation(Store.get().method, Store.get().other))}. `,
      Data.noisy ? [h("span", { class: "value hurts" }, "\u25a0"), " known to be wrong, ", h("span", { class: "value helps" }, "\u25a0"), " right. "] : "",
      "Choose a point to see its sample; filters apply.")));

  const detection = () => {
    const steps = detected[0][0].detection.recall.map((_, i, all) => i / (all.length - 1));
    const wrong = Data.noisy.reduce((sum, each) => sum + each, 0) / Data.n;
    const series = detected.map(([method, m]) => ({ xs: steps, ys: method.detection.recall, kind: style(m) }));
    series.unshift({ xs: [0, 1], ys: [0, 1], kind: "line random" });
    return h("section", { class: "card" }, h("h3", null, "Finding the wrong labels"),
      Charts.frame({ width: 420, height: 300, label: "Share of the wrong labels found against the share inspected" }, [0, 1], [0, 1], series, { from: "0", to: "1", x: "share inspected, lowest first" }),
      Charts.legend([...detected.map(([method, m]) => [style(m), `${method.name}: average precision ${method.detection.average_precision.toFixed(3)}`]), ["line random", `at random: ${wrong.toFixed(3)}`]]));
  };

  const removal = () => removed.map(([method, m]) => {
    const curve = method.removal;
    const all = [...curve.by_value, ...curve.at_random];
    const spread = Math.max(...all) - Math.min(...all) || 1;
    return h("section", { class: "card" }, h("h3", null, `${method.name}: ${curve.kind === "removal" ? "without" : "only with"} the ${curve.order} values`),
      Charts.frame({ width: 420, height: 300, label: `${curve.utility} by share` }, [curve.shares[0], curve.shares[curve.shares.length - 1]],
        [Math.min(...all) - 0.05 * spread, Math.max(...all) + 0.05 * spread],
        [{ xs: curve.shares, ys: curve.at_random, kind: "line random" }, { xs: curve.shares, ys: curve.by_value, kind: style(m) }],
        { from: shortNumber(curve.shares[0]), to: shortNumber(curve.shares[curve.shares.length - 1]), x: `share ${curve.kind === "removal" ? "removed" : "trained on"}` }),
      Charts.legend([[style(m), `${curve.utility}, by value`], ["line random", "at random"]]));
  });

  const panel = () => h("div", { class: "pad cards" }, several ? ranks() : null, detected.length ? detection() : null, removal());

  return { isThere: several || detected.length > 0 || removed.length > 0, panel };
})();
