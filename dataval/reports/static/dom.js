// Elements. Text goes in as text alone: nothing here reads HTML.
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);

const fill = (node, props, children) => {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else if (name === "style") Object.assign(node.style, value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
};

const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

const replace = (node, ...children) => fill(node, null, (node.replaceChildren(), children));

const option = (value, text, chosen) => h("option", { value, selected: chosen }, text);

const shortNumber = (value) => {
  if (value === null || Number.isNaN(value)) return "no value";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(3))) : value.toExponential(2);
  return text.replace("-", "\u2212");
};

const cellNumber = (value) => {
  if (Number.isNaN(value)) return "missing";
  if (Number.isSafeInteger(value)) return String(value).replace("-", "\u2212");
  const size = Math.abs(value);
  const text = size >= 1e-4 && size < 1e7 ? String(Number(value.toPrecision(5))) : value.toExponential(3);
  return text.replace("-", "\u2212");
};

const count = (n) => n.toLocaleString("en");

const many = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;
