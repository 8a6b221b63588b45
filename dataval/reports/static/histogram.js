// How values are distributed, and a brush over them. The two fields below do the same from the keyboard.
const Histogram = (() => {
  const BINS = 48;
  const WIDTH = 260;
  const HEIGHT = 84;
  const TAIL = 0.002;
  let drag = null;
  let scale = null;

  const bounds = lazily((m) => {
    const values = Data.values(m);
    const known = Data.order(m).filter((i) => !Number.isNaN(values[i]));
    const at = (share) => values[known[Math.min(known.length - 1, Math.floor(share * known.length))]];
    const [low, high] = [at(TAIL), at(1 - TAIL)];
    return low < high ? { low, high } : { low: low - 1, high: high + 1 };
  });

  const counts = (m, indices) => {
    const { low, high } = bounds(m);
    const values = Data.values(m);
    const found = new Uint32Array(BINS);
    for (const i of indices) {
      const bin = Math.floor(((values[i] - low) / (high - low)) * BINS);
      if (!Number.isNaN(bin)) found[Math.min(BINS - 1, Math.max(0, bin))]++;
    }
    return found;
  };

  const everything = lazily((m) => counts(m, Data.order(m)));

  const chart = svg("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": "Histogram of values" });
  const axis = h("div", { class: "axis" });
  const field = (name, text) => h("input", {
    type: "number", step: "any", "aria-label": text, placeholder: name === "low" ? "lowest" : "highest",
    onchange: (event) => Store.set({ [name]: event.target.value === "" ? null : Number(event.target.value) }),
  });
  const low = field("low", "Values from");
  const high = field("high", "Values up to");

  const brush = (event) => {
    const share = (x) => (x - chart.getBoundingClientRect().left) / chart.getBoundingClientRect().width;
    const [a, b] = [share(drag), share(event.clientX)].sort((p, q) => p - q);
    const value = (s) => Number((scale.low + s * (scale.high - scale.low)).toPrecision(4));
    if (b - a < 0.01) Store.set({ low: null, high: null });
    else Store.set({ low: a <= 0 ? null : value(a), high: b >= 1 ? null : value(b) });
  };

  chart.addEventListener("pointerdown", (event) => {
    drag = event.clientX;
    chart.setPointerCapture(event.pointerId);
  });
  chart.addEventListener("pointermove", (event) => { if (drag !== null) brush(event); });
  chart.addEventListener("pointerup", (event) => {
    if (drag !== null) brush(event);
    drag = null;
  });

  const refresh = () => {
    const state = Store.get();
    const m = state.method;
    scale = bounds(m);
    const all = everything(m);
    const shown = View.list().length === Data.n ? all : counts(m, View.list());
    const most = Math.sqrt(Math.max(1, ...all));
    const x = (value) => Math.min(WIDTH, Math.max(0, ((value - scale.low) / (scale.high - scale.low)) * WIDTH));
    const bars = (heights, kind) => Array.from(heights, (n, bin) => {
      const tall = (Math.sqrt(n) / most) * (HEIGHT - 4);
      const middle = scale.low + ((bin + 0.5) / BINS) * (scale.high - scale.low);
      return n ? svg("rect", { class: `${kind} ${middle < 0 ? "hurts" : "helps"}`, x: (bin * WIDTH) / BINS + 0.5, y: HEIGHT - tall, width: WIDTH / BINS - 1, height: tall }) : null;
    });
    const [from, to] = [state.low === null ? 0 : x(state.low), state.high === null ? WIDTH : x(state.high)];
    replace(chart,
      svg("title", null, `${count(View.list().length)} of ${count(Data.n)} samples; the height is the square root of their number`),
      state.low !== null || state.high !== null ? svg("rect", { class: "brush", x: from, y: 0, width: Math.max(1, to - from), height: HEIGHT }) : null,
      bars(all, "all"), bars(shown, "some"),
      scale.low < 0 && scale.high > 0 ? svg("line", { class: "zero", x1: x(0), x2: x(0), y1: 0, y2: HEIGHT }) : null);
    const values = Data.values(m);
    const beyond = (sign, edge, isBeyond) => `${isBeyond ? `${sign} ` : ""}${shortNumber(edge)}`;
    replace(axis, h("span", null, beyond("\u2264", scale.low, Data.order(m).some((i) => values[i] < scale.low))),
      h("span", null, beyond("\u2265", scale.high, Data.order(m).some((i) => values[i] > scale.high))));
    low.value = state.low === null ? "" : state.low;
    high.value = state.high === null ? "" : state.high;
  };

  return { root: h("div", { class: "brushable" }, chart, axis, h("div", { class: "range" }, low, h("span", null, "to"), high)), refresh };
})();
