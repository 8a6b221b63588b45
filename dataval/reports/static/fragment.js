// The address's fragment holds filter and selection, so that a view can be sent on.
const Fragment = (() => {
  const read = () => {
    const changes = { ...INITIAL };
    for (const [key, text] of new URLSearchParams(location.hash.slice(1))) {
      if (!(key in INITIAL)) continue;
      const isNumber = typeof INITIAL[key] === "number" || ["low", "high", "selected"].includes(key);
      if (!isNumber) changes[key] = key === "differs" ? text === "true" : text;
      else if (text !== "" && Number.isFinite(Number(text))) changes[key] = Number(text);
    }
    return checked(changes);
  };

  const isIndex = (number, n) => Number.isInteger(number) && number >= 0 && number < n;

  const checked = (changes) => {
    const limits = { method: Data.methods.length, other: Data.methods.length, selected: Data.n };
    for (const [key, n] of Object.entries(limits)) if (!isIndex(changes[key], n)) changes[key] = INITIAL[key];
    for (const key of ["given", "suggested"]) {
      const isThere = key === "given" ? Data.given : Data.proposed;
      if (changes[key] !== "" && !(isThere && isIndex(Number(changes[key]), Data.classes.length))) changes[key] = "";
    }
    if (!isIndex(changes.query, RAW.explained ? RAW.explained.indices.length : 0)) changes.query = 0;
    if (!Data.noisy) changes.noise = "";
    if (!Data.proposed) changes.differs = false;
    if (!["lowest", "highest", "disagree", "random"].includes(changes.order)) changes.order = INITIAL.order;
    if (!Tabs.names().includes(changes.tab)) changes.tab = INITIAL.tab;
    return changes;
  };

  const write = () => {
    const state = Store.get();
    const params = new URLSearchParams();
    for (const key of Object.keys(INITIAL)) if (state[key] !== INITIAL[key]) params.set(key, state[key]);
    const text = params.toString();
    if (location.hash.slice(1) === text) return;
    try {
      history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    } catch {
      // a frame of a notebook has no address of its own
    }
  };

  return { read, write };
})();
