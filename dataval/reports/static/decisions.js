// What was decided, kept in the browser under the fingerprint of this report.
const Decisions = (() => {
  const KEY = `dataval-review:${RAW.fingerprint}`;
  const KINDS = ["keep", "relabel", "drop", "unsure"];
  let made = new Map();
  let history = [];
  let isKept = true;
  const listeners = [];

  const isDecision = (entry) => Array.isArray(entry) && Number.isInteger(entry[0]) && entry[0] >= 0 && entry[0] < Data.n
    && KINDS.includes(entry[1]) && typeof entry[2] === "string";

  const load = () => {
    try {
      const entries = JSON.parse(localStorage.getItem(KEY) || "[]");
      made = new Map(entries.filter(isDecision).map(([index, decision, label]) => [index, { decision, label }]));
    } catch {
      isKept = false;
    }
  };

  const keep = () => {
    try {
      localStorage.setItem(KEY, JSON.stringify(Array.from(made, ([index, { decision, label }]) => [index, decision, label])));
    } catch {
      isKept = false;
    }
  };

  const changed = (index) => {
    keep();
    for (const listener of listeners) listener(index);
  };

  const put = (index, decision) => {
    if (decision) made.set(index, decision);
    else made.delete(index);
  };

  window.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) {
      load();
      history = [];
      for (const listener of listeners) listener(null);
    }
  });

  load();
  return {
    of: (index) => made.get(index),
    size: () => made.size,
    canUndo: () => history.length > 0,
    isKept: () => isKept,
    counts: () => Object.fromEntries(KINDS.map((kind) => [kind, Array.from(made.values()).filter((each) => each.decision === kind).length])),
    entries: () => Array.from(made).sort((a, b) => a[0] - b[0]),
    subscribe: (listener) => listeners.push(listener),
    decide(index, decision, label) {
      history.push([index, made.get(index)]);
      put(index, { decision, label: decision === "relabel" ? label : "" });
      changed(index);
    },
    withdraw(index) {
      history.push([index, made.get(index)]);
      put(index, undefined);
      changed(index);
    },
    undo() {
      if (!history.length) return null;
      const [index, before] = history.pop();
      put(index, before);
      changed(index);
      return index;
    },
  };
})();
