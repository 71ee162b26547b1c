// Reads arrays of NumPy: one array (npy), or several in a zip file without compression (npz). Nothing is copied where
// the bytes are aligned. Pure; throws BadArray for bytes that are neither.

export type Numbers = Float32Array | Float64Array | Uint32Array | Int32Array | Uint8Array | Int8Array | Uint16Array | Int16Array;

export interface NdArray {
  readonly shape: readonly number[];
  /** In C order; booleans as 0 and 1. */
  readonly data: Numbers;
}

export class BadArray extends Error {}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

const TYPES: Readonly<Record<string, { readonly bytes: number; readonly make: (buffer: ArrayBuffer, at: number, count: number) => Numbers }>> = {
  "<f4": { bytes: 4, make: (buffer, at, count) => new Float32Array(buffer, at, count) },
  "<f8": { bytes: 8, make: (buffer, at, count) => new Float64Array(buffer, at, count) },
  "<u4": { bytes: 4, make: (buffer, at, count) => new Uint32Array(buffer, at, count) },
  "<i4": { bytes: 4, make: (buffer, at, count) => new Int32Array(buffer, at, count) },
  "<u2": { bytes: 2, make: (buffer, at, count) => new Uint16Array(buffer, at, count) },
  "<i2": { bytes: 2, make: (buffer, at, count) => new Int16Array(buffer, at, count) },
  "|u1": { bytes: 1, make: (buffer, at, count) => new Uint8Array(buffer, at, count) },
  "|i1": { bytes: 1, make: (buffer, at, count) => new Int8Array(buffer, at, count) },
  "|b1": { bytes: 1, make: (buffer, at, count) => new Uint8Array(buffer, at, count) },
};

/** The array in an npy file that fills the bytes from `from` to `to`. */
export function readNpy(buffer: ArrayBuffer, from = 0, to = buffer.byteLength): NdArray {
  const bytes = new Uint8Array(buffer, from, to - from);
  if (bytes.length < 10 || MAGIC.some((byte, i) => bytes[i] !== byte)) throw new BadArray("not an npy file");
  const view = new DataView(buffer, from, to - from);
  const wide = bytes[6]! >= 2;
  if (wide && bytes.length < 12) throw new BadArray("an npy file ends within its head");
  const start = wide ? 12 : 10;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  if (start + length > bytes.length) throw new BadArray("an npy file ends within its head");
  const head = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const descr = /'descr':\s*'([^']+)'/.exec(head)?.[1] ?? "";
  const shape = /'shape':\s*\(([^)]*)\)/.exec(head)?.[1];
  const type = TYPES[descr];
  if (!type || shape === undefined || !/'fortran_order':\s*False/.test(head)) throw new BadArray(`an npy file of an unknown kind: ${head.trim().slice(0, 100)}`);
  const sizes = shape.split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  if (sizes.some((size) => !Number.isSafeInteger(size) || size < 0)) throw new BadArray("an npy file without a shape");
  const count = sizes.reduce((all, size) => all * size, 1);
  const at = from + start + length;
  if (at + count * type.bytes !== to) throw new BadArray("the length of an npy file does not fit its shape");
  if (at % type.bytes === 0) return { shape: sizes, data: type.make(buffer, at, count) };
  return { shape: sizes, data: type.make(buffer.slice(at, to), 0, count) };
}

const END = 0x06054b50;
const END_BYTES = 22;
const ENTRY = 0x02014b50;
const LOCAL = 0x04034b50;
const WIDE = 0xffffffff;

/** The arrays of an npz file by name, without ".npy". */
export function readNpz(buffer: ArrayBuffer): Map<string, NdArray> {
  const view = new DataView(buffer);
  let end = buffer.byteLength - END_BYTES;
  while (end >= 0 && view.getUint32(end, true) !== END) end--;
  if (end < 0) throw new BadArray("not an npz file");
  const found = new Map<string, NdArray>();
  try {
    // With more than 2 GiB the numbers are in another place; no window of frames is that large.
    let at = view.getUint32(end + 16, true);
    for (let left = view.getUint16(end + 10, true); left > 0; left--) {
      if (view.getUint32(at, true) !== ENTRY) throw new BadArray("an npz file without its table");
      const method = view.getUint16(at + 10, true);
      const nameLength = view.getUint16(at + 28, true);
      const extraLength = view.getUint16(at + 30, true);
      const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameLength));
      if (method !== 0) throw new BadArray(`${name} is compressed`);
      let size = view.getUint32(at + 24, true);
      let local = view.getUint32(at + 42, true);
      let packed = view.getUint32(at + 20, true);
      for (let extra = at + 46 + nameLength, stop = extra + extraLength; extra + 4 <= stop; extra += 4 + view.getUint16(extra + 2, true)) {
        if (view.getUint16(extra, true) !== 1) continue;
        let next = extra + 4;
        const wide = (): number => Number(view.getBigUint64((next += 8) - 8, true));
        if (size === WIDE) size = wide();
        if (packed === WIDE) packed = wide();
        if (local === WIDE) local = wide();
      }
      if (view.getUint32(local, true) !== LOCAL) throw new BadArray(`${name} is not where the table says`);
      const from = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
      if (from + size > buffer.byteLength) throw new BadArray(`${name} is cut`);
      found.set(name.replace(/\.npy$/, ""), readNpy(buffer, from, from + size));
      at += 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    }
  } catch (error) {
    if (error instanceof RangeError) throw new BadArray("an npz file is cut");
    throw error;
  }
  return found;
}
