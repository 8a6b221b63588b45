// Small line charts.
const Charts = (() => {
  const line = (points, kind) => svg("polyline", { class: kind, points: points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ") });

  const frame = ({ width, height, left = 40, bottom = 26, label }, [x0, x1], [y0, y1], series, names) => {
    const x = (value) => left + ((value - x0) / (x1 - x0 || 1)) * (width - left - 8);
    const y = (value) => height - bottom - ((value - y0) / (y1 - y0 || 1)) * (height - bottom - 8);
    const parts = ([xs, ys]) => {
      const found = [[]];
      xs.forEach((value, i) => {
        if (ys[i] === null || Number.isNaN(ys[i])) found.push([]);
        else found[found.length - 1].push([x(value), y(ys[i])]);
      });
      return found.filter((points) => points.length);
    };
    return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      svg("line", { class: "rule", x1: left, x2: width - 8, y1: height - bottom, y2: height - bottom }),
      svg("line", { class: "rule", x1: left, x2: left, y1: 8, y2: height - bottom }),
      svg("text", { x: left - 5, y: 14, class: "end" }, shortNumber(y1)), svg("text", { x: left - 5, y: height - bottom, class: "end" }, shortNumber(y0)),
      svg("text", { x: left, y: height - bottom + 14 }, names.from), svg("text", { x: width - 8, y: height - bottom + 14, class: "end" }, names.to),
      svg("text", { x: (left + width) / 2, y: height - bottom + 14, class: "middle" }, names.x),
      series.map(({ xs, ys, kind }) => parts([xs, ys]).map((points) => line(points.length > 1 ? points : [points[0], [points[0][0] + 2, points[0][1]]], kind))));
  };

  const legend = (entries) => h("ul", { class: "legend" }, entries.map(([kind, text]) => h("li", null, svg("svg", { viewBox: "0 0 24 8", class: "key", "aria-hidden": "true" }, line([[0, 4], [24, 4]], kind)), text)));

  const history = RAW.history;
  const losses = history ? decoded(history.losses) : null;
  const rows = history && history.rows ? new Map(Array.from(decoded(history.rows), (index, row) => [index, row])) : null;

  const ofSample = (i) => {
    const row = !history ? undefined : rows ? rows.get(i) : i;
    if (row === undefined) return null;
    const xs = history.epochs;
    const own = Array.from(losses.subarray(row * xs.length, (row + 1) * xs.length));
    const known = [...own, ...history.median].filter((each) => each !== null && Number.isFinite(each));
    const names = { from: `epoch ${xs[0]}`, to: String(xs[xs.length - 1]), x: "" };
    const last = own[own.length - 1];
    return [frame({ width: 320, height: 130, label: `Loss over the epochs, ${shortNumber(own[0])} to ${shortNumber(last)}` },
      [xs[0], xs[xs.length - 1]], [0, Math.max(...known, 1e-9)],
      [{ xs, ys: history.median, kind: "line random" }, { xs, ys: own, kind: "line s0" }], names),
    legend([["line s0", "this sample"], ["line random", "median of all"]])];
  };

  return { frame, legend, losses: ofSample };
})();
