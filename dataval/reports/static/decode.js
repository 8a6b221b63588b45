// Base64 as typed arrays: what dataval/reports/encoding.py writes.
const bytesOf = (base64) => {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
};

const halfNumber = (bits) => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
};

const READERS = {
  f4: Float32Array,
  f8: Float64Array,
  i4: Int32Array,
  u2: Uint16Array,
  u1: Uint8Array,
};

const decoded = (encoded) => {
  if (!encoded) return null;
  const { buffer } = bytesOf(encoded.base64);
  if (encoded.kind === "f2") return Float32Array.from(new Uint16Array(buffer), halfNumber);
  const array = new READERS[encoded.kind](buffer);
  return encoded.scale ? Float64Array.from(array, (value) => value * encoded.scale) : array;
};
