// The arena as a cutting mat printed to scale: a 0.5 m grid, a tick every 10 cm along every edge, numbers in metres
// where the grid's lines meet the rim. The edge of the slab shows where bodies fall off.

import * as THREE from "three";
import type { TopologyBody } from "../wire/frames";
import { CRACK, jagged } from "./cracks";
import { outlineOf } from "./outline";
import type { Point } from "./outline";
import { INK } from "./palette";
import type { WorldTheme } from "./palette";
import type { House } from "./view";

const SCALE = 320; // texels per metre

export class Mat {
  readonly group = new THREE.Group();
  private readonly cracks = new THREE.Group();
  readonly corners: readonly Point[];
  readonly top: number;
  private readonly texture: THREE.CanvasTexture;
  private readonly disposables: { dispose(): void }[] = [];

  constructor(body: TopologyBody, theme: WorldTheme, anisotropy: number, house: House | null) {
    const { corners, top, bottom } = outlineOf(body);
    this.corners = corners;
    this.top = top;
    const xs = corners.map((corner) => corner[0]);
    const zs = corners.map((corner) => corner[1]);
    const box = { x0: Math.min(...xs), x1: Math.max(...xs), z0: Math.min(...zs), z1: Math.max(...zs) };
    this.texture = new THREE.CanvasTexture(print(corners, box, theme, house));
    this.texture.colorSpace = THREE.SRGBColorSpace;
    this.texture.anisotropy = anisotropy;

    const shape = new THREE.Shape(corners.map(([x, z]) => new THREE.Vector2(x, -z)));
    const face = new THREE.ShapeGeometry(shape);
    const uv = face.attributes["uv"]!;
    const position = face.attributes["position"]!;
    for (let i = 0; i < uv.count; i++) {
      uv.setXY(i, (position.getX(i) - box.x0) / (box.x1 - box.x0), 1 - (-position.getY(i) - box.z0) / (box.z1 - box.z0));
    }
    const printed = new THREE.MeshStandardMaterial({ map: this.texture, roughness: 0.82 });
    const surface = new THREE.Mesh(face, printed);
    surface.rotation.x = -Math.PI / 2;
    surface.position.y = top + 0.0005;
    surface.receiveShadow = true;

    // The mesh of the slab itself, so that the visible edge is the edge that bodies fall off.
    const slab = new THREE.BufferGeometry();
    slab.setAttribute("position", new THREE.BufferAttribute(body.vertices.slice(), 3));
    slab.setIndex(new THREE.BufferAttribute(body.faces.slice(), 1));
    const flat = slab.toNonIndexed();
    flat.computeVertexNormals();
    const sides = new THREE.MeshStandardMaterial({ color: theme.edge, roughness: 0.9 });
    const rim = new THREE.Mesh(flat, sides);
    rim.castShadow = rim.receiveShadow = true;
    rim.position.y = -0.002;

    const line = new THREE.BufferGeometry().setFromPoints([...corners, corners[0]!].map(([x, z]) => new THREE.Vector3(x, top + 0.001, z)));
    const edge = new THREE.Line(line, new THREE.LineBasicMaterial({ color: theme.rule, transparent: true, opacity: 0.35 }));

    const floor = new THREE.Mesh(new THREE.PlaneGeometry(60, 60), new THREE.ShadowMaterial({ opacity: theme.drop }));
    floor.rotation.x = -Math.PI / 2;
    floor.position.y = bottom - 0.45;
    floor.receiveShadow = true;
    this.group.add(surface, rim, edge, floor, this.cracks);
    slab.dispose();
    this.disposables.push(face, printed, flat, sides, line, edge.material, floor.geometry, floor.material as THREE.Material, this.texture);
  }

  /** Parts that fall soon are dark, with a line along which they break off. */
  setCracked(parts: readonly (readonly Point[])[]): void {
    this.dropCracks();
    for (const part of parts) {
      const shape = new THREE.ShapeGeometry(new THREE.Shape(part.map(([x, z]) => new THREE.Vector2(x, -z)))).rotateX(-Math.PI / 2);
      const dark = new THREE.Mesh(shape, new THREE.MeshBasicMaterial({ color: INK, transparent: true, opacity: 0.4, depthWrite: false, toneMapped: false }));
      dark.position.y = this.top + 0.002;
      const line = new THREE.Mesh(ribbon(jagged(part[0]!, part[1]!), 0.014), new THREE.MeshBasicMaterial({ color: CRACK, side: THREE.DoubleSide, toneMapped: false }));
      line.position.y = this.top + 0.003;
      this.cracks.add(dark, line);
    }
  }

  private dropCracks(): void {
    for (const one of [...this.cracks.children] as THREE.Mesh<THREE.BufferGeometry, THREE.Material>[]) {
      one.geometry.dispose();
      one.material.dispose();
      this.cracks.remove(one);
    }
  }

  dispose(): void {
    this.dropCracks();
    for (const one of this.disposables) one.dispose();
  }
}

function print(corners: readonly Point[], box: { x0: number; x1: number; z0: number; z1: number }, theme: WorldTheme, house: House | null): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = Math.min(4096, Math.ceil((box.x1 - box.x0) * SCALE));
  canvas.height = Math.min(4096, Math.ceil((box.z1 - box.z0) * SCALE));
  const g = canvas.getContext("2d")!;
  g.fillStyle = theme.mat;
  g.fillRect(0, 0, canvas.width, canvas.height);
  g.scale(canvas.width / (box.x1 - box.x0), canvas.height / (box.z1 - box.z0));
  g.translate(-box.x0, -box.z0);
  g.strokeStyle = g.fillStyle = theme.rule;
  const stroke = (x0: number, z0: number, x1: number, z1: number, alpha: number, width: number) => {
    g.globalAlpha = alpha;
    g.lineWidth = width;
    g.beginPath();
    g.moveTo(x0, z0);
    g.lineTo(x1, z1);
    g.stroke();
  };
  const inset = 0.2;
  const inner = corners.map((_, i) => insetCorner(corners, i, inset));
  g.save();
  g.beginPath();
  inner.forEach(([x, z], i) => (i ? g.lineTo(x, z) : g.moveTo(x, z)));
  g.closePath();
  g.clip();
  for (let x = Math.ceil(box.x0 * 2) / 2; x <= box.x1; x += 0.5) stroke(x, box.z0, x, box.z1, x % 1 ? 0.12 : 0.28, 0.006);
  for (let z = Math.ceil(box.z0 * 2) / 2; z <= box.z1; z += 0.5) stroke(box.x0, z, box.x1, z, z % 1 ? 0.12 : 0.28, 0.006);
  g.restore();
  g.globalAlpha = 0.3;
  g.lineWidth = 0.01;
  g.beginPath();
  inner.forEach(([x, z], i) => (i ? g.lineTo(x, z) : g.moveTo(x, z)));
  g.closePath();
  g.stroke();
  if (house) printHouse(g, house, box, theme);
  else {
    g.beginPath();
    g.arc(0, 0, 0.5, 0, 7);
    g.stroke();
  }

  g.font = `600 0.085px "Martian Mono Variable", monospace`;
  g.textAlign = "center";
  g.textBaseline = "middle";
  for (let i = 0; i < corners.length; i++) {
    const [ax, az] = corners[i]!;
    const [bx, bz] = corners[(i + 1) % corners.length]!;
    const length = Math.hypot(bx - ax, bz - az);
    const [ux, uz] = [(bx - ax) / length, (bz - az) / length];
    const [nx, nz] = [-uz, ux]; // inwards: the corners run with the inside on their left over (x, z)
    const [mx, mz] = [(ax + bx) / 2, (az + bz) / 2];
    // One rule per edge, a metre (or half of one) long, in the middle of it.
    const metres = Math.max(0.5, Math.floor((length - 0.3) * 2) / 2);
    for (let k = 0; k <= Math.round(metres * 20); k++) {
      const s = k / 20 - metres / 2;
      const size = k % 10 === 0 ? 0.1 : k % 2 === 0 ? 0.065 : 0.035;
      const [px, pz] = [mx + ux * s + nx * 0.02, mz + uz * s + nz * 0.02];
      stroke(px, pz, px + nx * size, pz + nz * size, 0.7, k % 2 === 0 ? 0.009 : 0.006);
      if (k % 10 === 0) {
        g.save();
        g.globalAlpha = 0.85;
        g.translate(px + nx * 0.155, pz + nz * 0.155);
        g.rotate(Math.atan2(nz, nx) + Math.PI / 2 + (nz > 0.3 ? Math.PI : 0));
        drawText(g, String(nz > 0.3 ? k / 20 : metres - k / 20));
        g.restore();
      }
    }
  }
  return canvas;
}

/** Rings from the outside in, light and dark in turn, a line through their middle and one to throw from. */
function printHouse(g: CanvasRenderingContext2D, house: House, box: { x0: number; x1: number; z0: number; z1: number }, theme: WorldTheme): void {
  const { x, rings } = house;
  [...rings].reverse().forEach((radius, i) => {
    g.beginPath();
    g.arc(x, 0, radius, 0, 7);
    g.globalAlpha = 1;
    g.fillStyle = theme.mat;
    g.fill();
    g.globalAlpha = i === rings.length - 1 ? 0.85 : i % 2 ? 0.1 : 0.34;
    g.fillStyle = theme.rule;
    g.fill();
    g.globalAlpha = 0.75;
    g.lineWidth = 0.012;
    g.stroke();
  });
  g.globalAlpha = 0.5;
  g.lineWidth = 0.014;
  for (const [x0, z0, x1, z1] of [[0, box.z0 + 0.2, 0, box.z1 - 0.2], [x, box.z0 + 0.2, x, box.z1 - 0.2], [0, 0, x, 0]] as const) {
    g.beginPath();
    g.moveTo(x0, z0);
    g.lineTo(x1, z1);
    g.stroke();
  }
}

/** Text smaller than a pixel's unit: draw it large and scale down, since fonts round their size. */
function drawText(g: CanvasRenderingContext2D, text: string): void {
  g.font = `600 40px "Martian Mono Variable", monospace`;
  g.scale(0.085 / 40, 0.085 / 40);
  g.fillText(text, 0, 0);
}

function insetCorner(corners: readonly Point[], i: number, by: number): Point {
  const n = corners.length;
  const [px, pz] = corners[(i + n - 1) % n]!;
  const [x, z] = corners[i]!;
  const [qx, qz] = corners[(i + 1) % n]!;
  const unit = (dx: number, dz: number): Point => {
    const length = Math.hypot(dx, dz) || 1;
    return [dx / length, dz / length];
  };
  const [ax, az] = unit(px - x, pz - z);
  const [bx, bz] = unit(qx - x, qz - z);
  const [mx, mz] = unit(ax + bx, az + bz);
  const sine = Math.abs(ax * mz - az * mx) || 1;
  return [x + (mx * by) / sine, z + (mz * by) / sine];
}

/** A flat band along points over ground [m]. */
function ribbon(points: readonly Point[], half: number): THREE.BufferGeometry {
  const vertices: number[] = [];
  points.forEach(([x, z], i) => {
    const [ax, az] = points[Math.max(0, i - 1)]!;
    const [bx, bz] = points[Math.min(points.length - 1, i + 1)]!;
    const length = Math.hypot(bx - ax, bz - az) || 1;
    const [nx, nz] = [(half * (az - bz)) / length, (half * (bx - ax)) / length];
    vertices.push(x + nx, 0, z + nz, x - nx, 0, z - nz);
  });
  const made = new THREE.BufferGeometry();
  made.setAttribute("position", new THREE.Float32BufferAttribute(vertices, 3));
  made.setIndex(points.slice(1).flatMap((_, i) => [2 * i, 2 * i + 1, 2 * i + 2, 2 * i + 1, 2 * i + 3, 2 * i + 2]));
  return made;
}
