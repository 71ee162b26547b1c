// A client of Node's built-in modules, written from docs/protocol.md, docs/events.md, docs/scenes.md, docs/reference and the
// server's openapi.json and asyncapi.json, by somebody who had not read the source. It plays a duel against a bot and
// drags an elastic body in a sandbox, each beside an observer that offers no codec, and compares what both decode.
// tests/server/gateway/test_documents_client.py runs it with the address of a server. It must not import Tussle.

const base = process.argv[2];

async function call(method, path, token, body) {
  const headers = { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? { "content-type": "application/json" } : {}) };
  const answer = await fetch(base + path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  const document = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${document.code}`), { code: document.code });
  return document;
}

// Section 5: whole frames and the topology.
const ceil4 = (n) => (n + 3) & ~3;
function topology(buffer) {
  const v = new DataView(buffer);
  const h = v.getUint32(4, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, h)));
  let at = 8 + ceil4(h);
  const bodies = head.bodies.map((b) => {
    const rest = [];
    for (let i = 0; i < b.vertices; i++) rest.push([0, 1, 2].map((k) => v.getFloat32(at + 12 * i + 4 * k, true)));
    at += 12 * b.vertices + ceil4(3 * b.faces * (b.wide ? 4 : 2));
    return { ...b, rest };
  });
  return { version: v.getUint16(2, true), schema: head.schema, bodies, moving: bodies.filter((b) => b.kind !== "static") };
}
function half(h) {
  const s = h & 0x8000 ? -1 : 1, e = (h >> 10) & 31, f = h & 1023;
  return e === 0 ? s * f * 2 ** -24 : e === 31 ? (f ? NaN : s * Infinity) : s * (1 + f / 1024) * 2 ** (e - 15);
}
function whole(buffer) {
  const v = new DataView(buffer), flags = v.getUint8(1), n = v.getUint16(2, true), s = v.getUint8(18);
  let at = 24 + 4 * s;
  const ids = [];
  for (let i = 0; i < s; i++) ids.push(v.getUint32(24 + 4 * i, true));
  const present = [];
  for (let b = 0; b < n; b++) present.push((v.getUint32(at + 4 * (b >> 5), true) >>> (b & 31)) & 1);
  at += 4 * Math.ceil(n / 32);
  const counts = [];
  for (let b = 0; b < n; b++) counts.push(flags & 4 ? v.getUint16(at + 2 * b, true) : 4);
  if (flags & 4) at += ceil4(2 * n);
  const rows = [];
  for (let b = 0; b < n; b++) {
    if (!present[b]) { rows.push(null); continue; }
    const mine = [];
    for (let r = 0; r < counts[b]; r++) mine.push([0, 1, 2].map(() => { const x = flags & 1 ? half(v.getUint16(at, true)) : v.getFloat32(at, true); at += flags & 1 ? 2 : 4; return x; }));
    rows.push(mine);
  }
  return { epoch: v.getUint32(4, true), tick: v.getUint32(8, true), gap: v.getFloat32(12, true), contacts: v.getUint16(16, true), version: v.getUint16(20, true), ids, rows };
}

// Section 5: delta frames.
class Refused extends Error {}
const fresh = () => ({ p: 32768, n: 0 });
const bits = (x, m) => { let l = 0; while (x > 0 && l < m) { x = Math.floor(x / 2); l++; } return Math.min(m, l); };
const shift = (x, n) => Math.floor(x / 2 ** n);
class Range {
  constructor(bytes) { this.bytes = bytes; this.at = 0; this.range = 0xffffffff; this.code = 0; for (let i = 0; i < 4; i++) this.code = this.code * 256 + this.next(); if (this.code === 0xffffffff) throw new Refused("code"); }
  next() { return this.at < this.bytes.length ? this.bytes[this.at++] : (this.at++, 0); }
  split(bound) {
    let bit = 0;
    if (this.code < bound) this.range = bound; else { bit = 1; this.code -= bound; this.range -= bound; }
    while (this.range < 2 ** 24) { this.code = 256 * this.code + this.next(); this.range *= 256; }
    return bit;
  }
  even() { return this.split(Math.floor(this.range / 2)); }
  one(c) { const bit = this.split(Math.floor(this.range / 65536) * c.p); learn(c, bit); return bit; }
  four(all, first) {
    const sum = all.reduce((s, c) => s + (c.n === 0 ? first : c.p), 0);
    const bit = this.split(Math.floor(this.range / 65536) * (sum >> 2));
    for (const c of all) { if (c.n === 0) { c.p = first; c.n = 1; } learn(c, bit); }
    return bit;
  }
  three(a, b, c) { const bit = this.split(Math.floor(this.range / 65536) * ((2 * a.p + b.p + c.p) >> 2)); learn(a, bit); learn(b, bit); learn(c, bit); return bit; }
}
function learn(c, bit) {
  const r = Math.floor(327680 / (5 * c.n + 8));
  if (bit === 0) c.p = Math.min(65488, c.p + shift((65536 - c.p) * r, 16)); else c.p = Math.max(48, c.p - shift(c.p * r, 16));
  c.n = Math.min(60, c.n + 1);
}
const TABLE = `184 136 90 80 75 85 90 110 150 170
176 186 120 70 75 85 110 130 150 170
150 182 130 90 75 90 110 130 150 170
129 182 170 85 80 95 110 130 150 170
93 161 166 109 105 125 130 140 150 170
67 118 171 147 120 120 140 150 150 170
49 83 134 150 135 150 160 150 150 170
37 56 86 134 155 155 163 165 160 170
21 34 60 92 146 165 165 180 180 180
15 24 41 69 99 139 175 189 190 190
14 25 29 40 65 109 160 175 200 190
12 17 18 41 45 77 102 166 210 192
40 7 12 12 14 26 38 46 62 64`.split("\n").map((row) => row.split(" ").map((x) => Number(x) * 256));
const norm1 = (v) => Math.abs(v[0]) + Math.abs(v[1]) + Math.abs(v[2]);
function penalty(e) { e += 1; let n = 0; while (e >= 2 && n < 24) { e *= 0.5; n++; } return n + e; }
function distance(x, z) {
  const [most, least] = [Math.max(Math.abs(x), Math.abs(z)), Math.min(Math.abs(x), Math.abs(z))];
  if (most === 0) return 0;
  const square = x * x + z * z;
  let d = most + 0.4 * least;
  for (let i = 0; i < 2; i++) d = (d + square / d) * 0.5;
  return d;
}
function best2(rows, k) {
  const scores = k === 1 ? rows[1] : rows[0].map((x, j) => x + rows[2][j]);
  let best = 0;
  scores.forEach((x, i) => { if (x < scores[best]) best = i; });
  let second = best === 0 ? 1 : 0;
  scores.forEach((x, i) => { if (i !== best && x < scores[second]) second = i; });
  return [best, second];
}
const zeros = () => [0, 1, 2].map(() => [0, 0, 0, 0]);
class Delta {
  constructor() { this.topo = null; this.live = false; }
  contexts() {
    const single = Array.from({ length: 64 }, fresh), sets = new Map();
    return { bit: (k) => single[k], set: (...key) => { const name = key.join(); if (!sets.has(name)) sets.set(name, Array.from({ length: 66 }, fresh)); return sets.get(name); } };
  }
  decode(buffer) {
    const v = new DataView(buffer), key = v.getUint8(0) === 4, chain = v.getUint8(1) >> 5, number = v.getUint8(1) & 31;
    let at = 2;
    if (key) {
      at = 24;
      if (!this.topo || v.getUint16(2, true) !== this.topo.version) { this.live = false; return null; }
      this.chain = chain; this.number = 0; this.live = true; this.c = this.contexts();
      this.epoch = v.getUint32(4, true); this.tick = v.getUint32(8, true) - 1; this.seats = v.getUint8(14);
      this.step = v.getFloat32(16, true); this.turn = v.getFloat32(20, true);
      this.gap = 1; this.level = 0; this.contacts = 0; this.still = 0; this.ids = Array(this.seats).fill(0);
      this.bodies = this.topo.moving.map((b) => ({
        elastic: b.kind === "elastic", rest: b.rest, P: [0, 0, 0], V: [0, 0, 0], A: [0, 0, 0], Q: [1, 0, 0, 0], S: [0, 0, 0], D: [0, 0, 0], since: 1,
        E: zeros(), R: zeros(), slower: 0, present: 0, moving: 0, shaped: 0, m: Array(6).fill(0), sign: Array(6).fill(0), H0: 0, H1: 0,
        u: Array(3 * b.rest.length).fill(0), d: Array(3 * b.rest.length).fill(0), w: Array(3 * b.rest.length).fill(256),
      }));
    } else {
      if (!this.live || chain !== this.chain || number !== ((this.number + 1) & 31)) { this.live = false; return null; }
      this.number = number;
    }
    this.r = new Range(new Uint8Array(buffer, at));
    try { return this.frame(); } catch (e) { this.live = false; throw e; }
  }
  bit(k) { return this.r.one(this.c.bit(k)); }
  num(a, b, c, d, row) {
    const one = (i, first = 32768) => (d ? this.r.four([a[i], b[i], c[i], d[i]], first) : b ? this.r.three(a[i], b[i], c[i]) : this.r.one(a[i]));
    if (one(0, d && TABLE[row][0]) === 0) return 0;
    const negative = one(1);
    let l = 0;
    while (one(2 + Math.min(l, 15), d && TABLE[row][1 + Math.min(l, 8)]) === 1) if (++l > 30) throw new Refused("length");
    const top = Math.min(l, 15);
    let found = 1;
    for (let i = 0; i < l; i++) {
      const b2 = i === 0 ? one(18 + top) : i === 1 ? one(34 + 2 * top + (found & 1)) : this.r.even();
      found = 2 * found + b2;
    }
    return negative ? -found : found;
  }
  frame() {
    const N = (k) => this.c.set("N", k);
    this.gap += this.num(N(0));
    if (this.gap < 1 || this.gap > 2 ** 24) throw new Refused("gap");
    this.tick += this.gap;
    if (this.bit(0)) for (let i = 0; i < this.seats; i++) this.ids[i] += this.num(N(1));
    if (this.bit(1)) { this.level += this.num(N(2)); this.contacts += this.num(N(3)); }
    this.still = this.bit(2 + this.still);
    let busy = 0;
    for (const b of this.bodies) {
      const came = this.still ? 0 : this.bit(4 + b.present);
      if (came) { b.present = 1 - b.present; this.forget(b, 65520); }
      const moves = !this.still && b.present && (came || this.bit(8 + 3 * this.pace(b) + Math.min(busy, 2)));
      if (!moves) { this.rest(b); if (b.elastic) this.hold(b); continue; }
      busy += this.pose(b);
      if (came) this.forget(b, 64);
      b.moving = 1;
      if (b.elastic) { b.shaped = this.bit(20 + b.shaped); if (b.shaped) this.vertices(b); else this.hold(b); }
    }
    return { epoch: this.epoch, tick: this.tick, ids: [...this.ids], gap: this.level ? 1e-7 * 2 ** ((this.level - 1) / 8) : Infinity, contacts: this.contacts, still: this.still, rows: this.bodies.map((b) => this.rows(b)) };
  }
  pace(b) {
    if (!b.moving) return 0;
    const speed = (norm1(b.V) * this.gap) / this.step + (norm1(b.S) * this.gap) / this.turn;
    return speed < 2 ? 1 : speed < 6 ? 2 : 3;
  }
  rest(b) { b.V = [0, 0, 0]; b.A = [0, 0, 0]; b.S = [0, 0, 0]; b.D = [0, 0, 0]; for (const rows of [b.E, b.R]) for (const row of rows) row.forEach((x, j) => { row[j] = x * 0.5; }); b.m = b.m.map((x) => x >> 1); b.moving = 0; }
  forget(b, size) { this.rest(b); b.since = 1; b.E = zeros(); b.R = zeros(); b.m.fill(size); b.sign.fill(0); }
  hold(b) { b.d.fill(0); b.w = b.w.map((x) => x >> 1); }
  pose(b) {
    const gap = this.gap, { step, turn } = this, st = { size: 0, total: 0 };
    const mean = (b.since + gap) * 0.5;
    let now = 0, before = 0;
    for (let k = 0; k < 3; k++) { const last = b.S[k] - b.D[k]; now += b.S[k] * last; before += last * last; }
    const fade = now >= before ? 1 : now <= 0 ? 0 : now / before;
    const G = [0, 1, 2].map((k) => [b.S[k] * gap, (b.S[k] + b.D[k]) * gap, b.S[k] * fade * gap, 0]);
    const chosen = G.map((row, k) => { const [best, second] = best2(b.R, k); return [row[best], row[second] - row[best]]; });
    const r = [];
    for (let k = 0; k < 3; k++) r.push(this.residual(b, 3 + k, (b.S[k] * gap) / turn, chosen[k][1] / turn, st) * turn);
    const T = turned(turned(b.Q, ...chosen.map((one) => one[0])), ...r);
    const q = between(b.Q, T);
    for (let k = 0; k < 3; k++) for (let j = 0; j < 4; j++) b.R[k][j] = b.R[k][j] * 0.8 + penalty(Math.abs(q[k] - G[k][j]) / turn);
    const way = distance(b.V[0], b.V[2]) * gap, slow = b.slower * gap * mean;
    const left = way > slow ? 1 - slow / way : 0;
    const C = [0, 1, 2].map((k) => { const on = b.P[k] + b.V[k] * gap; return [on, b.P[k] + (b.V[k] + b.A[k] * mean) * gap, k === 1 ? b.P[1] : b.P[k] + b.V[k] * gap * left, on]; });
    C[0][3] = C[0][0] - 4 * (q[2] - b.S[2] * gap) * b.P[1];
    C[2][3] = C[2][0] + 4 * (q[0] - b.S[0] * gap) * b.P[1];
    const first = Math.abs(b.V[2]) > Math.abs(b.V[0]) ? 2 : 0, N = [0, 0, 0];
    let jump = 0;
    for (const k of [first, 2 - first, 1]) {
      const [best, second] = best2(b.E, k);
      let predicted = C[k][best];
      if (k === 2 - first && Math.abs(b.V[first]) * gap > 3 * step && Math.abs(jump) > 1.5 * step) predicted = predicted + (jump * b.V[k]) / b.V[first];
      const value = this.residual(b, k, (b.V[k] * gap) / step, (C[k][second] - predicted) / step, st);
      N[k] = predicted + value * step;
      if (!(Math.abs(N[k]) <= 1e6)) throw new Refused("place");
      jump = N[k] - predicted;
    }
    const x = (N[0] - b.P[0]) / gap, z = (N[2] - b.P[2]) / gap;
    const fast = distance(b.V[0], b.V[2]), after = distance(x, z);
    if (fast * gap > 10 * step && after * gap > 3 * step) {
      const lost = (fast - after) / mean;
      if (Math.abs(b.V[0] * z - b.V[2] * x) < 0.1 * (fast * after) && 3 * step < lost * gap * gap && lost * gap * gap < 60 * step) b.slower = b.slower === 0 ? lost : b.slower * 0.7 + lost * 0.3;
    }
    for (let k = 0; k < 3; k++) {
      for (let j = 0; j < 4; j++) b.E[k][j] = b.E[k][j] * 0.8 + penalty(Math.abs(N[k] - C[k][j]) / step);
      const velocity = (N[k] - b.P[k]) / gap;
      b.A[k] = (velocity - b.V[k]) / mean; b.V[k] = velocity; b.P[k] = N[k];
      const spin = q[k] / gap; b.D[k] = spin - b.S[k]; b.S[k] = spin;
    }
    b.Q = T; b.since = gap;
    return st.size === 2 ? 1 : 0;
  }
  residual(b, k, speed, apart, st) {
    const f = k > 2 ? 2 : k === 1 ? 1 : 0, l = bits(b.m[k], 12);
    let fast = 0, s = Math.abs(speed);
    while (s >= 1 && fast < 7) { s /= 2; fast++; }
    const off = Math.abs(apart);
    let n = off < 0.25 ? 0 : off < 0.75 ? 1 : off < 1.5 ? 2 : off < 4 ? 3 : 4;
    n = apart < 0 ? 4 - n : 4 + n;
    const rough = l < 4 ? 0 : l < 6 ? 1 : l < 8 ? 2 : 3;
    let w = bits(k > 2 ? b.m[3] + b.m[4] + b.m[5] : b.m[0] + b.m[1] + b.m[2], 11);
    w = w < 4 ? 0 : w < 6 ? 1 : w - 4;
    const c = this.c;
    const value = this.num(c.set("SIZE", f, l, st.size), c.set("SPEED", k, b.sign[k], fast), c.set("GAP", f, n, rough), c.set("SUM", f, w, bits(st.total, 7)), l);
    const found = Math.min(Math.abs(value), 4095);
    b.m[k] = (b.m[k] + 16 * found) >> 1; b.sign[k] = value === 0 ? 0 : value > 0 ? 1 : 2;
    if (found > 0 && st.size === 0) st.size = 1;
    if (found >= 4) st.size = 2;
    st.total += found;
    return value;
  }
  vertices(b) {
    const second = b.H1 < b.H0 ? 1 : 0, near = [0, 0, 0];
    let lately = 32, held = 0, carried = 0;
    for (let i = 0; i < b.u.length; i++) {
      const k = i % 3, predicted = second ? b.u[i] + b.d[i] : b.u[i];
      const shape = this.c.set("SHAPE", bits(b.w[i], 7), bits(lately, 7));
      const value = this.num(shape, this.c.set("NEAR", k, near[k], second), shape);
      const found = Math.min(Math.abs(value), 4095);
      near[k] = Math.min(found, 3); lately = (3 * lately + 16 * found) >> 2; b.w[i] = (b.w[i] + 16 * found) >> 1;
      const reached = predicted + value;
      if (Math.abs(reached) > 1e9) throw new Refused("shape");
      held += Math.min(4095, Math.abs(reached - b.u[i])); carried += Math.min(4095, Math.abs(reached - b.u[i] - b.d[i]));
      b.d[i] = reached - b.u[i]; b.u[i] = reached;
    }
    b.H0 = shift(b.H0, 1) + held; b.H1 = shift(b.H1, 1) + carried;
  }
  rows(b) {
    if (!b.present) return null;
    const [w, x, y, z] = b.Q;
    const M = [
      [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
      [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
      [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ];
    if (!b.elastic) return [[...b.P], ...[0, 1, 2].map((c) => M.map((row) => row[c]))];
    return b.rest.map((X, i) => { const Y = [0, 1, 2].map((k) => X[k] + this.step * b.u[3 * i + k]); return M.map((row, k) => b.P[k] + row[0] * Y[0] + row[1] * Y[1] + row[2] * Y[2]); });
  }
}
function turned([a, b, c, d], x, y, z) {
  const s = x * x + y * y + z * z, k = 1 / (1 + s), w = (1 - s) * k;
  x = 2 * x * k; y = 2 * y * k; z = 2 * z * k;
  return [w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b, w * d + x * c - y * b + z * a];
}
function between([a, b, c, d], [e, f, g, h]) {
  let w = e * a + f * b + g * c + h * d, x = f * a - e * b - g * d + h * c, y = g * a - e * c - h * b + f * d, z = h * a - e * d - f * c + g * b;
  if (w < 0) [w, x, y, z] = [-w, -x, -y, -z];
  const k = 1 / (1 + w);
  return [x * k, y * k, z * k];
}

// Sections 2 to 4: a session.
class Seat {
  constructor(place, codecs) {
    Object.assign(this, { v: 0, last: 0, events: [], deltas: new Map(), wholes: new Map(), delta: new Delta(), acks: new Map(), waits: [] });
    this.socket = new WebSocket(place.here ? `${base.replace("http", "ws")}/ws` : new URL(place.ws_url, base).href);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send("hello", { protocol: 1, ticket: place.ticket, last_v: null, ...(codecs ? { codecs } : {}) });
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.text(JSON.parse(data)) : this.binary(data));
    this.closed = new Promise((resolve) => (this.socket.onclose = ({ code }) => resolve(code)));
  }

  send(t, d, id) {
    this.socket.send(JSON.stringify({ t, ...(id ? { id } : {}), ...(d ? { d } : {}) }));
  }

  command(t, d) {
    const id = ++this.last;
    this.send(t, d, id);
    return new Promise((resolve) => this.acks.set(id, resolve));
  }

  /** The next message or frame for which `is` holds. */
  until(is) {
    return new Promise((resolve) => this.waits.push([is, resolve]));
  }

  heard(what) {
    this.waits = this.waits.filter(([is, resolve]) => !(is(what) && (resolve(what), true)));
  }

  text(message) {
    const { t, d, id, v } = message;
    if (t === "welcome") [this.welcome, this.last] = [d, d.last_id];
    else if (t === "session") this.v = v;
    else if (t === "ack" || t === "error") this.acks.get(id)?.(message);
    else if (v !== undefined) {
      if (v !== this.v + 1) throw new Error(`event ${v} after ${this.v}`);
      this.v = v;
      this.events.push(message);
    }
    this.heard(message);
  }

  binary(data) {
    const kind = new DataView(data).getUint8(0);
    if (kind === 2) this.topo = this.delta.topo = topology(data);
    const frame = kind === 1 ? whole(data) : kind === 3 || kind === 4 ? this.delta.decode(data) : null;
    if (!frame) return;
    (kind === 1 ? this.wholes : this.deltas).set(frame.tick, frame);
    this.heard({ t: "a frame", frame });
  }
}

/** How far the rows of frames of the same tick differ at most: of places [m], axes [1] and vertices of elastic bodies [m]. */
function compare(deltas, wholes) {
  const found = { ticks: 0, place: 0, axis: 0, vertex: 0 };
  for (const [tick, frame] of deltas) {
    const other = wholes.get(tick);
    if (!other) continue;
    found.ticks++;
    frame.rows.forEach((rows, body) => {
      if (!rows !== !other.rows[body]) throw new Error(`body ${body} is in one frame of tick ${tick}`);
      rows?.forEach((row, i) => {
        const what = rows.length > 4 ? "vertex" : i ? "axis" : "place";
        row.forEach((x, k) => (found[what] = Math.max(found[what], Math.abs(x - other.rows[body][i][k]))));
      });
    });
  }
  return found;
}

const codecs = (await call("GET", "/asyncapi.json")).info["x-codecs"];
const me = await call("POST", "/api/login", null, { name: "stranger" });
const other = await call("POST", "/api/login", null, {});
const watch = async (session) => new Seat(await call("POST", "/api/observe", other.token, { session }), null);
const is = (type) => ({ t }) => t === type;

async function duel() {
  const place = await call("POST", "/api/open", me.token, { mode: "duel", size: 2, ready: true, private: true, params: { rounds: 3 } });
  const mine = new Seat(place, codecs);
  const look = await watch(place.session);
  const over = mine.until(is("ended"));
  for (let asked = false; !asked; ) {
    asked = await call("POST", `/api/sessions/${place.session}/bots`, me.token, { count: 1, skill: "novice" }).catch((error) => {
      if (error.code !== "no_bots") throw error; // no bot process is running yet
    });
  }
  const act = async ({ d }) => {
    mine.until(is("turn_started")).then(act);
    if (d.seat !== mine.welcome.seat) return;
    const { fields } = d.actions.kinds.find(({ kind }) => kind === "launch");
    const gentle = Object.fromEntries(Object.entries(fields).map(([name, { low, high }]) => [name, name === "azimuth" ? 20 : low + 0.3 * (high - low)]));
    const answer = await mine.command("act", { kind: "launch", d: gentle });
    if (answer.t !== "ack") throw new Error(JSON.stringify(answer));
  };
  mine.until(is("turn_started")).then(act);
  await over;
  mine.socket.close(1000);
  look.socket.close(1000);
  return { codec: mine.welcome.codec, events: mine.events.map(({ t }) => t), result: mine.events.find(is("result")).d, ...compare(mine.deltas, look.wholes), closed: await mine.closed };
}

async function sandbox() {
  const scene = {
    schema: "tussle-scene/1",
    bodies: [
      { id: "ground", kind: "static", shape: { kind: "slab", params: { size: [4, 0.5, 4] } }, material: { density: 1000, friction: 0.6 } },
      { id: "stone", shape: { kind: "box", params: { size: [0.3, 0.3, 0.3] } }, material: { density: 2500, stiffness: 5e7 }, position: [0, 0.2, 0] },
      { id: "jelly", kind: "elastic", shape: { kind: "ball", params: { radius: 0.2, cells: 4 } }, material: { density: 1000, stiffness: 2e4, poisson: 0.45, damping: 0.5 }, position: [0, 0.7, 0], velocity: [0, -1, 0], handles: [{ id: "top", vertices: [62] }] },
    ],
  };
  const place = await call("POST", "/api/open", me.token, { mode: "sandbox", size: 1, ready: true, private: true, scene: JSON.stringify(scene) });
  const look = await watch(place.session);
  const mine = new Seat(place, codecs);
  await mine.until(is("brief"));
  const grabbed = await mine.command("act", { kind: "grab", d: { body: "jelly", handle: "top" } });
  for (let i = 0; i < 40; i++) {
    const next = mine.until(({ frame }) => frame);
    mine.send("act", { kind: "move", d: { target: [0.3 * Math.sin(i / 6), 0.6, 0.3 * Math.cos(i / 6)] } }, ++mine.last);
    await next;
  }
  const left = await mine.command("leave");
  const bodies = Object.fromEntries(mine.topo.bodies.map(({ id, kind }) => [id, kind]));
  const found = { bodies, grabbed: grabbed.t, left: left.d, ...compare(mine.deltas, look.wholes), closed: await mine.closed };
  look.socket.close(1000);
  return found;
}

console.log(JSON.stringify({ duel: await duel(), sandbox: await sandbox() }));
process.exit(0);
