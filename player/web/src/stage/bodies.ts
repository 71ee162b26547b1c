// The meshes of the bodies. Affine bodies: one instanced mesh per shape, the 12 numbers of a body are its instance
// matrix; normals by the inverse transpose, as bodies shear. Elastic bodies: one mesh each, vertices set every frame.

import * as THREE from "three";
import type { Topology, TopologyBody } from "../wire/frames";
import { DARKEST } from "./cracks";
import { INK, PROP, SIGNAL } from "./palette";
import { normalsOf, soften } from "./soften";

export type Tier = "A" | "B" | "C";

/** The colour of walls and ramps. */
const FIXED = "#6E807A";

/** Where the eyes of a shape are: on its soft face, local +x. */
interface Eyes {
  readonly at: THREE.Vector4;
  readonly from: number;
}

const NORMAL = /* glsl */ `
vec3 transformedNormal = objectNormal;
#ifdef USE_INSTANCING
  mat3 im = mat3(instanceMatrix);
  transformedNormal = mat3(cross(im[1], im[2]), cross(im[2], im[0]), cross(im[0], im[1])) * transformedNormal;
#endif
transformedNormal = normalMatrix * transformedNormal;
`;

function patch(material: THREE.Material, eyes: Eyes | null, rim: boolean): void {
  material.onBeforeCompile = (shader) => {
    shader.uniforms["eyes"] = { value: eyes?.at ?? new THREE.Vector4() };
    shader.uniforms["eyesFrom"] = { value: eyes?.from ?? 1e9 };
    shader.vertexShader = shader.vertexShader
      .replace("#include <common>", "#include <common>\nvarying vec3 vRest;\nvarying float vFacing;\nvarying float vDamage;\n#ifdef USE_INSTANCING\nattribute float damage;\n#endif")
      .replace("#include <defaultnormal_vertex>", NORMAL)
      .replace("#include <begin_vertex>", "#include <begin_vertex>\nvRest = position;\nvFacing = normal.x;\n#ifdef USE_INSTANCING\nvDamage = damage;\n#else\nvDamage = 0.0;\n#endif");
    shader.fragmentShader = shader.fragmentShader
      .replace("#include <common>", "#include <common>\nvarying vec3 vRest;\nvarying float vFacing;\nvarying float vDamage;\nuniform vec4 eyes;\nuniform float eyesFrom;")
      .replace(
        "#include <color_fragment>",
        /* glsl */ `#include <color_fragment>
  if (vDamage > 0.0) {
    // Dark, and cracked along the zeros of a wavy function: more of them, and wider, the more is lost.
    vec3 c = vRest * 11.0;
    float f = sin(c.x + 1.6 * sin(1.3 * c.y + 0.7 * c.z)) + sin(1.1 * c.z + 1.8 * sin(0.9 * c.y - 1.2 * c.x));
    float hurt = sqrt(vDamage);
    float shown = smoothstep(-0.15, 0.15, hurt - 0.5 - 0.5 * sin(0.5 * c.x - 0.7 * c.y + 0.6 * c.z + 2.0));
    float crack = step(0.08, vDamage) * (1.0 - smoothstep(0.6, 1.0, abs(f) / (shown * (0.06 + 0.2 * vDamage) + 1e-4)));
    diffuseColor.rgb *= 1.0 - ${DARKEST} * vDamage;
    diffuseColor.rgb = mix(diffuseColor.rgb, vec3(0.008, 0.015, 0.013), 0.9 * crack);
  }
  if (vRest.x > eyesFrom && vFacing > 0.12) {
    vec2 q = vec2(abs(vRest.z - eyes.x) - eyes.z, (vRest.y - eyes.y) * 0.78) / eyes.w;
    float d = length(q);
    float aa = fwidth(d);
    diffuseColor.rgb = mix(diffuseColor.rgb, vec3(0.008, 0.015, 0.013), 1.0 - smoothstep(1.0 - aa, 1.0 + aa, d));
    vec2 g = vec2((vRest.z - eyes.x) - sign(vRest.z - eyes.x) * eyes.z, vRest.y - eyes.y) / eyes.w - vec2(-0.3, 0.42);
    diffuseColor.rgb = mix(diffuseColor.rgb, vec3(0.95), 1.0 - smoothstep(0.26, 0.26 + 2.0 * aa, length(g)));
  }`,
      )
      .replace(
        "#include <emissivemap_fragment>",
        rim
          ? /* glsl */ `#include <emissivemap_fragment>
  float rim = pow(1.0 - saturate(dot(normalize(vViewPosition), normal)), 2.6);
  totalEmissiveRadiance += diffuseColor.rgb * (0.05 + 0.34 * rim);`
          : "#include <emissivemap_fragment>",
      );
  };
}

function silicone(tier: Tier, eyes: Eyes | null): THREE.Material {
  const material =
    tier === "C"
      ? new THREE.MeshLambertMaterial({ color: "#ffffff" })
      : new THREE.MeshPhysicalMaterial({
          color: "#ffffff",
          roughness: 0.46,
          clearcoat: 0.22,
          clearcoatRoughness: 0.5,
          sheen: tier === "A" ? 0.35 : 0,
          sheenColor: new THREE.Color("#ffffff"),
          sheenRoughness: 0.6,
        });
  material.polygonOffset = true;
  material.polygonOffsetFactor = 1;
  material.polygonOffsetUnits = 1;
  patch(material, eyes, tier !== "C");
  return material;
}

/** Bodies of one shape. */
interface Shape {
  readonly mesh: THREE.InstancedMesh;
  readonly wires: THREE.LineSegments[];
  readonly members: number[];
  readonly eyes: Eyes | null;
}

interface Elastic {
  readonly mesh: THREE.Mesh<THREE.BufferGeometry, THREE.Material>;
  readonly body: number;
  readonly row: number;
}

export class Bodies {
  readonly group = new THREE.Group();
  /** Half of the largest extent of each moving body [m]. */
  readonly radii: number[] = [];
  /** The same for contact shadows; 0 for what has none. */
  readonly shadows: number[] = [];
  private readonly shapes: Shape[] = [];
  private readonly elastic: Elastic[] = [];
  private readonly slots: { shape: Shape; index: number }[] = [];
  private readonly wireMaterial = new THREE.LineBasicMaterial({ color: INK, transparent: true, opacity: 0.55 });
  private readonly chosenMaterial = new THREE.LineBasicMaterial({ color: SIGNAL, toneMapped: false });
  private readonly fixed: { mesh: THREE.Mesh<THREE.BufferGeometry, THREE.MeshStandardMaterial>; wire: THREE.LineSegments }[] = [];
  private wireframe = false;
  private chosen: ReadonlySet<number> = new Set();
  private tier: Tier;

  /** arena: the static body that is drawn as the mat, and not here. */
  constructor(topology: Topology, tier: Tier, arena: TopologyBody | null = null) {
    this.tier = tier;
    const byKey = new Map<string, number[]>();
    const moving = topology.bodies.filter((body) => body.kind !== "static");
    let row = 0;
    moving.forEach((body, index) => {
      this.radii.push(radiusOf(body));
      this.shadows.push(body.kind === "rail" ? 0 : this.radii[index]!);
      if (body.kind === "elastic") {
        this.elastic.push(this.makeElastic(body, index, row));
        row += body.vertices.length / 3;
        return;
      }
      row += 4;
      const id = `${body.body}|${body.vertices.length}|${body.faces.length}|${body.vertices.slice(0, 24).join()}|${body.seat === null}|${body.kind}`;
      byKey.set(id, [...(byKey.get(id) ?? []), index]);
    });
    for (const body of topology.bodies) if (body.kind === "static" && body !== arena) this.makeFixed(body);
    for (const members of byKey.values()) this.makeShape(moving[members[0]!]!, members);
    for (const shape of this.shapes) shape.members.forEach((body, index) => (this.slots[body] = { shape, index }));
  }

  private makeShape(body: TopologyBody, members: number[]): void {
    // Bodies look soft; walls, what moves on rails and thin props such as cards have flat faces.
    const rounded = body.kind === "rail" || (body.seat === null && isThin(body)) ? faceted(body) : soften({ positions: body.vertices, indices: body.faces });
    const normals = normalsOf(rounded);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(rounded.positions, 3));
    geometry.setAttribute("normal", new THREE.BufferAttribute(normals, 3));
    geometry.setIndex(new THREE.BufferAttribute(rounded.indices, 1));
    const eyes = body.seat === null ? null : eyesOf(rounded.positions, normals);
    const mesh = new THREE.InstancedMesh(geometry, silicone(this.tier, eyes), members.length);
    mesh.frustumCulled = false;
    mesh.castShadow = mesh.receiveShadow = true;
    mesh.instanceMatrix.setUsage(THREE.DynamicDrawUsage);
    members.forEach((_, i) => mesh.setColorAt(i, new THREE.Color(PROP)));
    geometry.setAttribute("damage", new THREE.InstancedBufferAttribute(new Float32Array(members.length), 1));
    const wire = new THREE.BufferGeometry();
    wire.setAttribute("position", new THREE.BufferAttribute(body.vertices.slice(), 3));
    wire.setIndex(new THREE.BufferAttribute(body.faces.slice(), 1));
    const lines = new THREE.EdgesGeometry(wire, 1);
    const wires = members.map(() => {
      const line = new THREE.LineSegments(lines, this.wireMaterial);
      line.matrixAutoUpdate = false;
      line.frustumCulled = false;
      line.visible = false;
      this.group.add(line);
      return line;
    });
    wire.dispose();
    this.shapes.push({ mesh, members, eyes, wires });
    this.group.add(mesh);
  }

  private makeElastic(body: TopologyBody, index: number, row: number): Elastic {
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(body.vertices.slice(), 3).setUsage(THREE.DynamicDrawUsage));
    geometry.setAttribute("normal", new THREE.BufferAttribute(normalsOf({ positions: body.vertices, indices: body.faces }), 3).setUsage(THREE.DynamicDrawUsage));
    geometry.setIndex(new THREE.BufferAttribute(body.faces.slice(), 1));
    const mesh = new THREE.Mesh(geometry, silicone(this.tier, null));
    mesh.frustumCulled = false;
    mesh.castShadow = mesh.receiveShadow = true;
    this.group.add(mesh);
    return { mesh, body: index, row };
  }

  /** Walls and ramps: flat faces, at rest. */
  private makeFixed(body: TopologyBody): void {
    const indexed = new THREE.BufferGeometry();
    indexed.setAttribute("position", new THREE.BufferAttribute(body.vertices.slice(), 3));
    indexed.setIndex(new THREE.BufferAttribute(body.faces.slice(), 1));
    const geometry = indexed.toNonIndexed();
    geometry.computeVertexNormals();
    const mesh = new THREE.Mesh(geometry, new THREE.MeshStandardMaterial({ color: FIXED, roughness: 0.9 }));
    mesh.castShadow = mesh.receiveShadow = true;
    const wire = new THREE.LineSegments(new THREE.EdgesGeometry(indexed, 1), this.wireMaterial);
    wire.visible = false;
    indexed.dispose();
    this.group.add(mesh, wire);
    this.fixed.push({ mesh, wire });
  }

  /** The body whose mesh a ray meets first, or null. */
  hit(ray: THREE.Raycaster): number | null {
    let best: number | null = null;
    let near = Infinity;
    const meet = (mesh: THREE.Object3D, index: (instance: number) => number | null) => {
      const found = ray.intersectObject(mesh, false)[0];
      if (found && found.distance < near) [best, near] = [index(found.instanceId ?? 0), found.distance];
    };
    for (const shape of this.shapes) {
      // Instances move: the sphere around them is out of date.
      shape.mesh.boundingSphere = null;
      meet(shape.mesh, (instance) => shape.members[instance] ?? null);
    }
    for (const one of this.elastic) meet(one.mesh, () => one.body);
    for (const one of this.fixed) meet(one.mesh, () => null);
    return best;
  }

  setTier(tier: Tier): void {
    if (tier === this.tier) return;
    this.tier = tier;
    for (const shape of this.shapes) {
      (shape.mesh.material as THREE.Material).dispose();
      shape.mesh.material = silicone(tier, shape.eyes);
    }
    for (const one of this.elastic) {
      const colour = (one.mesh.material as THREE.MeshLambertMaterial).color.clone();
      one.mesh.material.dispose();
      one.mesh.material = silicone(tier, null);
      (one.mesh.material as THREE.MeshLambertMaterial).color.copy(colour);
    }
  }

  setColours(colours: readonly (string | null)[]): void {
    const colour = new THREE.Color();
    for (const shape of this.shapes) {
      shape.members.forEach((body, i) => shape.mesh.setColorAt(i, colour.set(colours[body] ?? PROP)));
      if (shape.mesh.instanceColor) shape.mesh.instanceColor.needsUpdate = true;
    }
    for (const one of this.elastic) (one.mesh.material as THREE.MeshLambertMaterial).color.set(colours[one.body] ?? PROP);
  }

  /** The share of its health that each moving body has lost. */
  setDamage(damage: readonly number[]): void {
    for (const shape of this.shapes) {
      const lost = shape.mesh.geometry.attributes["damage"]!;
      shape.members.forEach((body, i) => lost.setX(i, damage[body] ?? 0));
      lost.needsUpdate = true;
    }
  }

  setWireframe(shown: boolean): void {
    this.wireframe = shown;
    this.showWires();
  }

  /** Bodies whose edges are drawn in the colour of the person at the page. */
  setChosen(chosen: readonly number[]): void {
    this.chosen = new Set(chosen);
    this.showWires();
  }

  private showWires(): void {
    for (const shape of this.shapes) {
      shape.wires.forEach((wire, i) => {
        const chosen = this.chosen.has(shape.members[i]!);
        wire.visible = this.wireframe || chosen;
        wire.material = chosen ? this.chosenMaterial : this.wireMaterial;
        if (!wire.visible) return;
        wire.matrix.fromArray(shape.mesh.instanceMatrix.array, 16 * i);
        wire.matrixWorldNeedsUpdate = true;
      });
    }
    for (const { wire } of this.fixed) wire.visible = this.wireframe;
  }

  /** The pose of an affine body: 12 numbers at `at`; hidden bodies shrink to nothing. */
  pose(body: number, rows: Float32Array, at: number, shown: boolean): void {
    const slot = this.slots[body];
    if (!slot) return;
    const m = slot.shape.mesh.instanceMatrix.array as Float32Array;
    const o = 16 * slot.index;
    if (!shown) {
      m.fill(0, o, o + 16);
      m[o + 13] = -100;
      m[o + 15] = 1;
    } else {
      m[o] = rows[at + 3]!;
      m[o + 1] = rows[at + 4]!;
      m[o + 2] = rows[at + 5]!;
      m[o + 4] = rows[at + 6]!;
      m[o + 5] = rows[at + 7]!;
      m[o + 6] = rows[at + 8]!;
      m[o + 8] = rows[at + 9]!;
      m[o + 9] = rows[at + 10]!;
      m[o + 10] = rows[at + 11]!;
      m[o + 12] = rows[at]!;
      m[o + 13] = rows[at + 1]!;
      m[o + 14] = rows[at + 2]!;
      m[o + 15] = 1;
    }
    slot.shape.mesh.instanceMatrix.needsUpdate = true;
    const wire = slot.shape.wires[slot.index];
    if (wire?.visible) {
      wire.matrix.fromArray(m, o);
      wire.matrixWorldNeedsUpdate = true;
    }
  }

  /** Vertices of the elastic bodies, blended between two frames' rows. */
  poseElastic(a: Float32Array, b: Float32Array, t: number, active: readonly boolean[]): void {
    for (const one of this.elastic) {
      one.mesh.visible = active[one.body] ?? false;
      if (!one.mesh.visible) continue;
      const position = one.mesh.geometry.attributes["position"]!;
      const array = position.array as Float32Array;
      const from = 3 * one.row;
      for (let i = 0; i < array.length; i++) array[i] = a[from + i]! + (b[from + i]! - a[from + i]!) * t;
      position.needsUpdate = true;
      const normal = one.mesh.geometry.attributes["normal"]!;
      (normal.array as Float32Array).set(normalsOf({ positions: array, indices: one.mesh.geometry.index!.array as Uint32Array }));
      normal.needsUpdate = true;
    }
  }

  dispose(): void {
    for (const shape of this.shapes) {
      shape.mesh.geometry.dispose();
      (shape.mesh.material as THREE.Material).dispose();
      shape.mesh.dispose();
      shape.wires[0]?.geometry.dispose();
    }
    for (const one of this.elastic) {
      one.mesh.geometry.dispose();
      one.mesh.material.dispose();
    }
    for (const { mesh, wire } of this.fixed) {
      mesh.geometry.dispose();
      mesh.material.dispose();
      wire.geometry.dispose();
    }
    this.wireMaterial.dispose();
    this.chosenMaterial.dispose();
  }
}

/** Bodies this thin are drawn with flat faces: rounded edges would change the look of a card. */
const THIN = 0.2;

function isThin(body: TopologyBody): boolean {
  const size = [0, 1, 2].map((axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (let i = axis; i < body.vertices.length; i += 3) [low, high] = [Math.min(low, body.vertices[i]!), Math.max(high, body.vertices[i]!)];
    return high - low;
  });
  return Math.min(...size) < THIN * Math.max(...size);
}

/** The faces of a body with vertices of their own. */
function faceted(body: TopologyBody): { positions: Float32Array; indices: Uint32Array } {
  const positions = new Float32Array(3 * body.faces.length);
  body.faces.forEach((vertex, i) => positions.set(body.vertices.subarray(3 * vertex, 3 * vertex + 3), 3 * i));
  return { positions, indices: Uint32Array.from({ length: body.faces.length }, (_, i) => i) };
}

function radiusOf(body: TopologyBody): number {
  let most = 0;
  for (let i = 0; i < body.vertices.length; i += 3) most = Math.max(most, Math.hypot(body.vertices[i]!, body.vertices[i + 1]!, body.vertices[i + 2]!));
  return most;
}

/** Two eyes on what faces +x: on its middle, or on the place nearest to it where there is a surface. */
function eyesOf(positions: Float32Array, normals: Float32Array): Eyes {
  let far = -Infinity;
  let near = Infinity;
  for (let i = 0; i < positions.length; i += 3) {
    far = Math.max(far, positions[i]!);
    near = Math.min(near, positions[i]!);
  }
  const front: number[] = [];
  const from = far - 0.22 * (far - near);
  for (let i = 0; i < positions.length; i += 3) if (positions[i]! >= from && normals[i]! > 0.3) front.push(i);
  const box = (list: number[], axis: number): [number, number] => [Math.min(...list.map((i) => positions[i + axis]!)), Math.max(...list.map((i) => positions[i + axis]!))];
  const middle = ([low, high]: [number, number]) => (low + high) / 2;
  let [y, z] = [middle(box(front, 1)), middle(box(front, 2))];
  // Above the middle if need be: a face looks out of the upper part.
  const off = (i: number) => Math.hypot(positions[i + 1]! - y, positions[i + 2]! - z) - (positions[i + 1]! > y ? 0.02 : 0);
  const nearest = front.reduce((best, i) => (off(i) < off(best) ? i : best), front[0] ?? 0);
  if (off(nearest) > 0.035) {
    const at = nearest;
    const lobe = front.filter((i) => Math.hypot(positions[i + 1]! - positions[at + 1]!, positions[i + 2]! - positions[at + 2]!) < 0.17);
    [y, z] = [middle(box(lobe, 1)), middle(box(lobe, 2))];
  }
  const around = front.filter((i) => Math.abs(positions[i + 1]! - y) < 0.12 && Math.abs(positions[i + 2]! - z) < 0.2);
  const [y0, y1] = box(around.length ? around : front, 1);
  const [z0, z1] = box(around.length ? around : front, 2);
  const [height, width] = [Math.max(0.05, y1 - y0), Math.max(0.05, z1 - z0)];
  return {
    at: new THREE.Vector4(z, y + 0.06 * height, Math.min(0.07, 0.24 * width), Math.max(0.017, Math.min(0.034, 0.2 * height, 0.16 * width))),
    from: far - 0.45 * (far - near),
  };
}
