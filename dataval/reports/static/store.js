// The state of the page, and who wants to know of its changes.
const INITIAL = {
  tab: "samples",
  method: 0,
  other: Math.min(1, Data.methods.length - 1),
  order: "lowest",
  given: "",
  suggested: "",
  differs: false,
  sign: "",
  noise: "",
  decision: "",
  low: null,
  high: null,
  search: "",
  selected: null,
  query: 0,
};

const Store = (() => {
  let state = { ...INITIAL };
  const listeners = [];
  return {
    get: () => state,
    set(changes) {
      const changed = new Set(Object.keys(changes).filter((key) => changes[key] !== state[key]));
      if (!changed.size) return;
      state = { ...state, ...changes };
      for (const listener of listeners) listener(state, changed);
    },
    subscribe: (listener) => listeners.push(listener),
    reset(keys) {
      Store.set(Object.fromEntries(keys.map((key) => [key, INITIAL[key]])));
    },
  };
})();

const FILTERS = ["given", "suggested", "differs", "sign", "noise", "decision", "low", "high", "search"];
const ORDERING = ["method", "other", "order"];
