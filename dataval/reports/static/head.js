// The top of the page: how far the values can be trusted, what they are of, and how far the review is.
const Head = (() => {
  const { head } = RAW;
  const SIGNS = { good: "\u2713", unknown: "?", bad: "\u26a0" };

  const build = () => {
    $("title").textContent = head.title;
    document.title = head.title;
    const facts = [["Data", head.data], ["Samples", `${count(Data.n)}${Data.classes.length ? ` in ${Data.classes.length} classes` : ""}`], ["Model", head.model],
      ["Training", head.Training], ["Run", head.Run], ["Trained with", head["Trained with"]], ["Made", `${head.made}, ${head.version}`],
      ["Left out", head.left_out.join("; ")]];
    replace($("facts"), facts.filter(([, text]) => text).map(([name, text]) => h("div", { class: name === "Left out" ? "left-out" : null }, h("dt", null, name), h("dd", null, text))));
    $("about").open = window.innerWidth > 900;
    $("filterbox").open = window.innerWidth > 900;
    $("undo").addEventListener("click", () => Keys.undo());
    $("csv").addEventListener("click", Exports.saveCsv);
    $("json").addEventListener("click", Exports.saveJson);
    $("help").addEventListener("click", () => Keys.show());
  };

  const trust = () => {
    const method = Data.methods[Store.get().method];
    const several = Data.methods.length > 1;
    const lines = [[method.trust.level, `${several ? `${method.name}. ` : ""}${method.trust.text}`], ...head.warnings.map((text) => ["bad", text])];
    replace($("trust"), lines.map(([level, text]) => h("p", { class: level }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[level]), h("span", null, text))));
  };

  const progress = () => {
    const counts = Decisions.counts();
    const named = Object.entries(counts).filter(([, n]) => n).map(([kind, n]) => `${kind} ${count(n)}`);
    replace($("counts"), h("strong", null, `${count(Decisions.size())} of ${count(Data.n)} decided`), named.length ? h("span", { class: "quiet" }, ` ${named.join(", ")}`) : null,
      Decisions.isKept() ? null : h("span", { class: "warn" }, " \u26a0 kept only while this page is open: export before you close it"));
    $("bar").max = Data.n;
    $("bar").value = Decisions.size();
    $("undo").disabled = !Decisions.canUndo();
    for (const id of ["csv", "json"]) $(id).disabled = !Decisions.size();
  };

  return { build, trust, progress };
})();
