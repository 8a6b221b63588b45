// The samples that pass the filters, in the order that was asked for.
const View = (() => {
  let list = new Uint32Array(0);
  let place = new Map();

  const disagreement = lazily((pair) => {
    const [a, b] = pair.split(",").map(Number);
    const left = Data.ranks(a);
    const right = Data.ranks(b);
    const apart = (i) => Math.abs(left[i] - right[i]);
    return Uint32Array.from({ length: Data.n }, (_, i) => i).sort((i, j) => apart(j) - apart(i) || i - j);
  });

  const shuffled = lazily(() => {
    const indices = Uint32Array.from({ length: Data.n }, (_, i) => i);
    let seed = 1;
    for (let i = Data.n - 1; i > 0; i--) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      const j = Math.floor((seed / 2 ** 32) * (i + 1));
      [indices[i], indices[j]] = [indices[j], indices[i]];
    }
    return indices;
  });

  const highest = lazily((m) => {
    const key = Data.values(m);
    const known = Data.order(m).filter((i) => !Number.isNaN(key[i])).reverse();
    const unknown = Data.order(m).filter((i) => Number.isNaN(key[i]));
    const found = new Uint32Array(Data.n);
    found.set(known);
    found.set(unknown, known.length);
    return found;
  });

  const ordered = (state) => {
    if (state.order === "disagree") return disagreement(`${state.method},${state.other}`);
    if (state.order === "random") return shuffled("");
    return state.order === "highest" ? highest(state.method) : Data.order(state.method);
  };

  const passes = (state) => {
    const values = Data.values(state.method);
    const tests = [];
    if (state.given !== "") tests.push((i) => Data.given[i] === Number(state.given));
    if (state.suggested !== "") tests.push((i) => Data.proposed[i] === Number(state.suggested));
    if (state.differs) tests.push(Data.differs);
    if (state.sign) tests.push(state.sign === "negative" ? (i) => values[i] < 0 : (i) => values[i] > 0);
    if (state.noise) tests.push((i) => Boolean(Data.noisy[i]) === (state.noise === "wrong"));
    if (state.low !== null) tests.push((i) => values[i] >= state.low);
    if (state.high !== null) tests.push((i) => values[i] <= state.high);
    if (state.decision) tests.push((i) => (Decisions.of(i) || { decision: "none" }).decision === state.decision);
    const wanted = state.search.trim().toLowerCase();
    if (wanted) tests.push((i) => String(i) === wanted || (Data.hasIds && Data.idOf(i).toLowerCase().includes(wanted)));
    return tests;
  };

  const refresh = () => {
    const start = performance.now();
    const state = Store.get();
    const tests = passes(state);
    const all = ordered(state);
    list = tests.length ? all.filter((i) => tests.every((test) => test(i))) : all;
    place = null;
    performance.measure("filter", { start });
  };

  return {
    refresh,
    list: () => list,
    placeOf(index) {
      if (!place) place = new Map(Array.from(list, (each, position) => [each, position]));
      return place.has(index) ? place.get(index) : -1;
    },
  };
})();
