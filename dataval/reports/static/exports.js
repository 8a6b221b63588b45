// Decisions as files, which dataval.apply_review reads.
const Exports = (() => {
  const COLUMNS = ["index", "id", "decision", "new_label", "given_label"];
  // What a spreadsheet would take for a formula, with apostrophes before it: as in dataval/reports/decisions.py.
  const FORMULA = /^'*(?:[\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/;
  const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;

  const rows = () => Decisions.entries().map(([index, { decision, label }]) => ({
    index,
    id: Data.idOf(index),
    decision,
    new_label: label,
    ...(Data.hasLabels ? { given_label: Data.givenText(index) } : {}),
  }));

  const cell = (value) => {
    const text = String(value);
    const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
    return /[",;\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };

  const csv = () => {
    const names = COLUMNS.slice(0, Data.hasLabels ? 5 : 4);
    const lines = [names, ...rows().map((row) => names.map((name) => row[name]))];
    return `${lines.map((line) => line.map(cell).join(",")).join("\r\n")}\r\n`;
  };

  const json = () => `${JSON.stringify({
    format: "dataval review 1",
    n_samples: Data.n,
    labels: RAW.labels ? RAW.labels.digest : null,
    decisions: rows(),
  }, null, 1)}\n`;

  const save = (name, type, text) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = h("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  return {
    csv,
    json,
    saveCsv: () => save("review.csv", "text/csv", `\ufeff${csv()}`),
    saveJson: () => save("review.json", "application/json", json()),
  };
})();
