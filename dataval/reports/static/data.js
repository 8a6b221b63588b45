// What the report is about, read once; orders and ranks are worked out when they are asked for.
const RAW = JSON.parse($("data").textContent);

const lazily = (make) => {
  const made = new Map();
  return (key) => {
    if (!made.has(key)) made.set(key, make(key));
    return made.get(key);
  };
};

const Data = (() => {
  const { n, labels, suggested } = RAW;
  const classes = labels ? labels.classes : [];
  const values = lazily((m) => decoded(RAW.methods[m].values));
  const order = lazily((m) => {
    const key = values(m);
    const at = (i) => (Number.isNaN(key[i]) ? Infinity : key[i]);
    return Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => (at(a) < at(b) ? -1 : at(a) > at(b) ? 1 : a - b));
  });
  const ranks = lazily((m) => {
    const found = new Uint32Array(n);
    order(m).forEach((index, place) => { found[index] = place + 1; });
    return found;
  });
  const given = labels && labels.codes ? decoded(labels.codes) : null;
  const proposed = suggested && suggested.codes ? decoded(suggested.codes) : null;
  const code = new Map(classes.map((text, i) => [text, i]));
  const nameOf = (text) => (code.has(text) ? labels.names[code.get(text)] : text);
  const givenText = (i) => (!labels ? "" : given ? classes[given[i]] : labels.texts[i]);
  const suggestedText = (i) => (!suggested ? "" : proposed ? classes[proposed[i]] : suggested.texts[i]);
  return {
    n, classes, values, order, ranks, given, proposed, nameOf, givenText, suggestedText,
    names: labels ? labels.names : [],
    methods: RAW.methods,
    hasLabels: Boolean(labels),
    isAmounts: Boolean(labels) && !classes.length,
    noisy: decoded(RAW.noisy),
    probability: suggested ? decoded(suggested.probability) : null,
    givenProbability: suggested ? decoded(suggested.given_probability) : null,
    idOf: (i) => (RAW.ids ? RAW.ids[i] : String(i)),
    hasIds: Boolean(RAW.ids),
    differs: (i) => Boolean(proposed) && proposed[i] !== given[i],
  };
})();
