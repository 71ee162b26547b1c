// Twelve numbers a body: centre and the images of the local axes. Blending two of them, by polar decomposition
// when they turned far. Plain arrays, no allocation per frame.

/** Blend two affine maps (12 numbers at `at` of a and b) into `out` at 0. Above 1 the motion from a to b goes on. */
export function blendAffine(out: Float32Array, a: Float32Array, b: Float32Array, at: number, t: number): void {
  if (t <= 0 || t === 1 || !turnedFar(a, b, at)) {
    for (let i = 0; i < 12; i++) out[i] = a[at + i]! + (b[at + i]! - a[at + i]!) * t;
    return;
  }
  for (let i = 0; i < 3; i++) out[i] = a[at + i]! + (b[at + i]! - a[at + i]!) * t;
  polar(a, at + 3, quaternionA, stretchA);
  polar(b, at + 3, quaternionB, stretchB);
  let dot = 0;
  for (let i = 0; i < 4; i++) dot += quaternionA[i]! * quaternionB[i]!;
  const sign = dot < 0 ? -1 : 1;
  const angle = Math.acos(Math.min(1, dot * sign));
  const scale = Math.sin(angle);
  const wa = scale < 1e-4 ? 1 - t : Math.sin((1 - t) * angle) / scale;
  const wb = (scale < 1e-4 ? t : Math.sin(t * angle) / scale) * sign;
  for (let i = 0; i < 4; i++) quaternion[i] = wa * quaternionA[i]! + wb * quaternionB[i]!;
  for (let i = 0; i < 9; i++) stretch[i] = stretchA[i]! + (stretchB[i]! - stretchA[i]!) * t;
  toMatrix(quaternion, rotation);
  // rows r_i are images of axes: row matrix M = S · Q (row vectors), M_ij = sum_k S_ik Q_kj
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      let sum = 0;
      for (let k = 0; k < 3; k++) sum += stretch[3 * i + k]! * rotation[3 * k + j]!;
      out[3 + 3 * i + j] = sum;
    }
  }
}

/** Blend the frames a and b with elastic bodies into 12 numbers for each body: of an elastic one only its centre. counts:
 * rows of each body, 4 of an affine one, which is left as it is where it is not drawn. */
export function blendMixed(out: Float32Array, a: Float32Array, b: Float32Array, t: number, counts: readonly number[], drawn: readonly boolean[]): void {
  let at = 0;
  counts.forEach((count, body) => {
    const one = out.subarray(12 * body, 12 * body + 12);
    if (count === 4) {
      if (drawn[body]) blendAffine(one, a.subarray(3 * at, 3 * at + 12), b.subarray(3 * at, 3 * at + 12), 0, t);
    } else {
      one.fill(0);
      for (let i = 3 * at; i < 3 * (at + count); i++) one[i % 3] = one[i % 3]! + (a[i]! + (b[i]! - a[i]!) * t) / count;
    }
    at += count;
  });
}

const quaternionA = new Float64Array(4);
const quaternionB = new Float64Array(4);
const quaternion = new Float64Array(4);
const stretchA = new Float64Array(9);
const stretchB = new Float64Array(9);
const stretch = new Float64Array(9);
const rotation = new Float64Array(9);
const work = new Float64Array(9);

/** Whether an axis turned by more than about 11 degrees. */
function turnedFar(a: Float32Array, b: Float32Array, at: number): boolean {
  for (let i = 0; i < 3; i++) {
    const o = at + 3 + 3 * i;
    const dot = a[o]! * b[o]! + a[o + 1]! * b[o + 1]! + a[o + 2]! * b[o + 2]!;
    const la = a[o]! ** 2 + a[o + 1]! ** 2 + a[o + 2]! ** 2;
    const lb = b[o]! ** 2 + b[o + 1]! ** 2 + b[o + 2]! ** 2;
    if (dot < 0.98 * Math.sqrt(la * lb)) return true;
  }
  return false;
}

/** M (row major 3 x 3 at `at`) = S · Q with Q a rotation: Higham's iteration, Q <- (Q + Q^-T) / 2. */
function polar(m: Float32Array, at: number, q: Float64Array, s: Float64Array): void {
  for (let i = 0; i < 9; i++) work[i] = m[at + i]!;
  for (let step = 0; step < 8; step++) {
    const [a, b, c, d, e, f, g, h, k] = work as unknown as [number, number, number, number, number, number, number, number, number];
    const ca = e * k - f * h;
    const cb = f * g - d * k;
    const cc = d * h - e * g;
    const det = a * ca + b * cb + c * cc;
    if (Math.abs(det) < 1e-12) break;
    const inverse = 0.5 / det;
    const co = [ca, cb, cc, c * h - b * k, a * k - c * g, b * g - a * h, b * f - c * e, c * d - a * f, a * e - b * d];
    let moved = 0;
    for (let i = 0; i < 9; i++) {
      const value = 0.5 * work[i]! + inverse * co[i]!;
      moved = Math.max(moved, Math.abs(value - work[i]!));
      work[i] = value;
    }
    if (moved < 1e-9) break;
  }
  // S = M Q^T
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      let sum = 0;
      for (let n = 0; n < 3; n++) sum += m[at + 3 * i + n]! * work[3 * j + n]!;
      s[3 * i + j] = sum;
    }
  }
  toQuaternion(work, q);
}

/** w x y z of a rotation (row major). */
function toQuaternion(m: Float64Array, q: Float64Array): void {
  const trace = m[0]! + m[4]! + m[8]!;
  if (trace > 0) {
    const s = 2 * Math.sqrt(1 + trace);
    q.set([s / 4, (m[5]! - m[7]!) / s, (m[6]! - m[2]!) / s, (m[1]! - m[3]!) / s]);
  } else if (m[0]! > m[4]! && m[0]! > m[8]!) {
    const s = 2 * Math.sqrt(1 + m[0]! - m[4]! - m[8]!);
    q.set([(m[5]! - m[7]!) / s, s / 4, (m[1]! + m[3]!) / s, (m[6]! + m[2]!) / s]);
  } else if (m[4]! > m[8]!) {
    const s = 2 * Math.sqrt(1 + m[4]! - m[0]! - m[8]!);
    q.set([(m[6]! - m[2]!) / s, (m[1]! + m[3]!) / s, s / 4, (m[5]! + m[7]!) / s]);
  } else {
    const s = 2 * Math.sqrt(1 + m[8]! - m[0]! - m[4]!);
    q.set([(m[1]! - m[3]!) / s, (m[6]! + m[2]!) / s, (m[5]! + m[7]!) / s, s / 4]);
  }
}

function toMatrix(q: Float64Array, m: Float64Array): void {
  const length = Math.hypot(q[0]!, q[1]!, q[2]!, q[3]!) || 1;
  const w = q[0]! / length;
  const x = q[1]! / length;
  const y = q[2]! / length;
  const z = q[3]! / length;
  m.set([
    1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y),
    2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x),
    2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y),
  ]);
}

/** The normal n of a surface under the map: det · inverse transpose, from cross products of the rows. */
export function mapNormal(rows: Float32Array, at: number, n: readonly [number, number, number]): [number, number, number] {
  const r = (i: number, j: number) => rows[at + 3 * i + j]!;
  const cross = (i: number, j: number): [number, number, number] => [
    r(i, 1) * r(j, 2) - r(i, 2) * r(j, 1),
    r(i, 2) * r(j, 0) - r(i, 0) * r(j, 2),
    r(i, 0) * r(j, 1) - r(i, 1) * r(j, 0),
  ];
  const [a, b, c] = [cross(1, 2), cross(2, 0), cross(0, 1)];
  return [0, 1, 2].map((k) => n[0] * a[k]! + n[1] * b[k]! + n[2] * c[k]!) as [number, number, number];
}
