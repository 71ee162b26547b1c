// The picture in three dimensions. Tiers: A has shadows and the full material, B contact shadows only, C plain materials,
// H is C with half the pixels each way.

import * as THREE from "three";
import { RoomEnvironment } from "three/addons/environments/RoomEnvironment.js";
import type { Topology, TopologyBody } from "../wire/frames";
import { Bodies } from "./bodies";
import type { Tier } from "./bodies";
import { Camera } from "./camera";
import { Mat } from "./mat";
import { arenaOf, insideBy, middleOf } from "./outline";
import type { Point } from "./outline";
import { INK, SIGNAL, WORLD } from "./palette";
import type { AimPicture, CameraView, Gizmo, House, Poses, ScreenPoint, View } from "./view";

const RATIO: Record<Tier | "H", number> = { A: 2, B: 1.5, C: 1, H: 0.5 };

export class View3D implements View {
  readonly element: HTMLCanvasElement;
  private readonly renderer: THREE.WebGLRenderer;
  private readonly scene = new THREE.Scene();
  private readonly camera: Camera;
  private readonly hemisphere = new THREE.HemisphereLight();
  private readonly key = new THREE.DirectionalLight("#FFF6E6", 2.3);
  private readonly rim = new THREE.DirectionalLight("#BFE6FF", 0.7);
  private readonly blobs: Blobs;
  private readonly aim = new AimRuler();
  private readonly ring: THREE.Mesh;
  private bodies: Bodies | null = null;
  private mat: Mat | null = null;
  private topology: Topology | null = null;
  private arena: TopologyBody | null = null;
  private chosen: readonly number[] = [];
  private theme: "dark" | "light" = "dark";
  private tier: Tier;
  private half: boolean;
  private size = { width: 1, height: 1 };
  private colours: readonly (string | null)[] = [];
  private damage: readonly number[] = [];
  private cracked: readonly (readonly Point[])[] = [];
  private wireframe = false;
  private house: House | null = null;
  private readonly probe = new THREE.Vector3();
  private readonly ray = new THREE.Raycaster();
  private readonly disposables: { dispose(): void }[] = [];

  /** Throws where there is no WebGL 2. */
  constructor(wanted: Tier | "H", still = false) {
    const tier = wanted === "H" ? "C" : wanted;
    this.half = wanted === "H";
    this.tier = tier;
    this.camera = new Camera(still);
    this.element = document.createElement("canvas");
    this.renderer = new THREE.WebGLRenderer({ canvas: this.element, antialias: tier !== "C", alpha: true, powerPreference: "high-performance" });
    this.renderer.toneMapping = THREE.NeutralToneMapping;
    this.renderer.toneMappingExposure = 1.02;
    this.renderer.setClearAlpha(0);
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.renderer.shadowMap.enabled = tier === "A";

    this.key.position.set(-3.2, 6.2, 2.4);
    this.key.castShadow = true;
    this.key.shadow.mapSize.set(2048, 2048);
    this.key.shadow.radius = 5;
    this.key.shadow.bias = -0.0004;
    this.key.shadow.normalBias = 0.012;
    this.rim.position.set(4, 2.6, -5);
    this.blobs = new Blobs();
    const ring = new THREE.RingGeometry(0.955, 1, 64).rotateX(-Math.PI / 2);
    const ringMaterial = new THREE.MeshBasicMaterial({ color: SIGNAL, transparent: true, depthWrite: false, toneMapped: false });
    this.ring = new THREE.Mesh(ring, ringMaterial);
    this.ring.visible = false;
    this.ring.renderOrder = 2;
    this.scene.add(this.hemisphere, this.key, this.key.target, this.rim, this.aim.group, this.ring);
    this.disposables.push(ring, ringMaterial);
    if (tier !== "C") {
      const generator = new THREE.PMREMGenerator(this.renderer);
      const room = new RoomEnvironment();
      const made = generator.fromScene(room, 0.04);
      this.scene.environment = made.texture;
      generator.dispose();
      this.disposables.push(made);
    }
  }

  corners(): readonly Point[] {
    return this.mat?.corners ?? [];
  }

  setTopology(topology: Topology): void {
    const fresh = this.topology === null;
    const framed = this.mat !== null;
    this.topology = topology;
    this.bodies?.dispose();
    if (this.bodies) this.scene.remove(this.bodies.group);
    const before = this.arena;
    this.arena = arenaOf(topology.bodies);
    this.bodies = new Bodies(topology, this.tier, this.arena);
    this.bodies.setWireframe(this.wireframe);
    this.bodies.setChosen(this.chosen);
    this.scene.add(this.bodies.group);
    this.blobs.resize(this.bodies.shadows);
    this.scene.add(this.blobs.mesh);
    if (fresh || before !== this.arena) this.makeMat();
    if (!framed && this.mat) this.camera.setCorners(this.mat.corners);
    this.setColours(this.colours);
    this.bodies.setDamage(this.damage);
  }

  private makeMat(): void {
    if (this.mat) {
      this.scene.remove(this.mat.group);
      this.mat.dispose();
      this.mat = null;
    }
    if (!this.arena) return;
    this.mat = new Mat(this.arena, WORLD[this.theme], this.renderer.capabilities.getMaxAnisotropy(), this.house);
    this.mat.setCracked(this.cracked);
    this.scene.add(this.mat.group);
    const { x: cx, z: cz } = middleOf(this.mat.corners);
    let reach = 1;
    for (const [x, z] of this.mat.corners) reach = Math.max(reach, Math.hypot(x - cx, z - cz));
    this.key.target.position.set(cx, 0, cz);
    this.key.position.set(cx - 3.2, 6.2, cz + 2.4);
    const box = this.key.shadow.camera;
    Object.assign(box, { left: -reach * 1.25, right: reach * 1.25, top: reach * 1.2, bottom: -reach * 1.2, near: 1, far: 16 });
    box.updateProjectionMatrix();
  }

  setColours(colours: readonly (string | null)[]): void {
    this.colours = colours;
    this.bodies?.setColours(colours);
  }

  setDamage(damage: readonly number[]): void {
    this.damage = damage;
    this.bodies?.setDamage(damage);
  }

  setCracked(parts: readonly (readonly Point[])[]): void {
    this.cracked = parts;
    this.mat?.setCracked(parts);
  }

  setTheme(theme: "dark" | "light"): void {
    const other = theme !== this.theme;
    this.theme = theme;
    const world = WORLD[theme];
    this.hemisphere.color.set(world.sky);
    this.hemisphere.groundColor.set(world.floor);
    this.hemisphere.intensity = world.fill * (this.tier === "C" ? 2.2 : 1);
    this.key.intensity = world.key;
    this.scene.environmentIntensity = world.environment;
    if (this.mat && other) this.makeMat();
  }

  setWireframe(shown: boolean): void {
    this.wireframe = shown;
    this.bodies?.setWireframe(shown);
  }

  setChosen(bodies: readonly number[]): void {
    this.chosen = bodies;
    this.bodies?.setChosen(bodies);
  }

  setHouse(house: House | null): void {
    this.house = house;
    if (this.mat) this.makeMat();
  }

  elastic(a: Float32Array, b: Float32Array, t: number, active: readonly boolean[]): void {
    this.bodies?.poseElastic(a, b, t, active);
  }

  update(poses: Poses, aim: AimPicture | null, ring: number | null): void {
    const bodies = this.bodies;
    if (!bodies) return;
    const top = this.mat?.top ?? 0;
    const corners = this.mat?.corners ?? [];
    for (let body = 0; body < bodies.radii.length && 12 * body < poses.rows.length; body++) {
      const shown = poses.active[body] ?? false;
      bodies.pose(body, poses.rows, 12 * body, shown);
      const [x, y, z] = [poses.rows[12 * body]!, poses.rows[12 * body + 1]!, poses.rows[12 * body + 2]!];
      this.blobs.place(body, x, y - top, z, top, shown ? insideBy(corners, x, z) : -1);
    }
    this.blobs.changed();
    this.ring.visible = ring !== null && (poses.active[ring] ?? false);
    if (ring !== null && this.ring.visible) {
      const radius = Math.max(0.2, bodies.radii[ring]! * 0.92);
      this.ring.position.set(poses.rows[12 * ring]!, top + 0.006, poses.rows[12 * ring + 2]!);
      this.ring.scale.set(radius, 1, radius);
    }
    this.aim.show(aim, top);
  }

  render(seconds: number): boolean {
    const moving = this.camera.step(seconds);
    this.renderer.render(this.scene, this.camera.camera);
    return moving;
  }

  resize(width: number, height: number): void {
    this.size = { width, height };
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, RATIO[this.half ? "H" : this.tier]));
    this.renderer.setSize(width, height, false);
    this.camera.setAspect(width / Math.max(1, height));
  }

  screen(x: number, y: number, z: number): ScreenPoint {
    const p = this.probe.set(x, y, z).project(this.camera.camera);
    return { x: ((p.x + 1) / 2) * this.size.width, y: ((1 - p.y) / 2) * this.size.height, visible: p.z < 1 && Math.abs(p.x) < 1.2 && Math.abs(p.y) < 1.2, depth: p.z };
  }

  ground(px: number, py: number, y: number): readonly [number, number] | null {
    this.ray.setFromCamera(new THREE.Vector2((px / this.size.width) * 2 - 1, 1 - (py / this.size.height) * 2), this.camera.camera);
    const { origin, direction } = this.ray.ray;
    if (direction.y > -1e-3) return null;
    const t = (y - origin.y) / direction.y;
    return t > 0 ? [origin.x + direction.x * t, origin.z + direction.z * t] : null;
  }

  beside(px: number, py: number, at: readonly [number, number, number]): readonly [number, number, number] {
    const p = this.probe.set(...at).project(this.camera.camera);
    p.set((px / this.size.width) * 2 - 1, 1 - (py / this.size.height) * 2, p.z).unproject(this.camera.camera);
    return [p.x, p.y, p.z];
  }

  bodyAt(px: number, py: number): number | null {
    this.ray.setFromCamera(new THREE.Vector2((px / this.size.width) * 2 - 1, 1 - (py / this.size.height) * 2), this.camera.camera);
    return this.bodies?.hit(this.ray) ?? null;
  }

  async gizmo(): Promise<Gizmo> {
    const { Handles } = await import("./gizmo");
    return new Handles(this.camera.camera, this.scene, () => this.size);
  }

  orbit(dx: number, dy: number): void {
    this.camera.orbit(dx, dy);
  }

  pan(dx: number, dy: number): void {
    this.camera.pan(dx, dy, this.size.height);
  }

  zoom(factor: number): void {
    this.camera.zoom(factor);
  }

  home(glide: boolean): void {
    this.camera.home(glide);
  }

  follow(x: number, y: number, z: number, seconds: number, fresh: boolean): boolean {
    return this.camera.follow(x, y, z, seconds, fresh);
  }

  glimpse(x: number, y: number, z: number, seconds: number): void {
    this.camera.glimpse(x, y, z, seconds);
  }

  cameraView(): CameraView {
    return this.camera.view;
  }

  setCamera(view: CameraView, glide: boolean): void {
    this.camera.setView(view, glide);
  }

  plainer(): string | null {
    if (this.half) return null;
    if (this.tier === "C") {
      this.half = true;
      this.resize(this.size.width, this.size.height);
      return "H";
    }
    this.tier = this.tier === "A" ? "B" : "C";
    this.renderer.shadowMap.enabled = false;
    this.key.castShadow = false;
    this.bodies?.setTier(this.tier);
    this.setTheme(this.theme);
    if (this.tier === "C") this.scene.environment = null;
    this.resize(this.size.width, this.size.height);
    return this.tier;
  }

  dispose(): void {
    this.bodies?.dispose();
    this.mat?.dispose();
    this.blobs.dispose();
    this.aim.dispose();
    for (const one of this.disposables) one.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.element.remove();
  }
}

/** One soft contact shadow per body: darker and smaller the nearer the body is to the mat. */
class Blobs {
  mesh: THREE.InstancedMesh;
  private radii: readonly number[] = [];
  private readonly geometry = new THREE.PlaneGeometry(1, 1).rotateX(-Math.PI / 2);
  private readonly material: THREE.MeshBasicMaterial;
  private readonly texture: THREE.CanvasTexture;

  constructor() {
    const canvas = Object.assign(document.createElement("canvas"), { width: 128, height: 128 });
    const g = canvas.getContext("2d")!;
    const fade = g.createRadialGradient(64, 64, 4, 64, 64, 64);
    fade.addColorStop(0, "rgba(0,0,0,.8)");
    fade.addColorStop(0.5, "rgba(0,0,0,.4)");
    fade.addColorStop(1, "rgba(0,0,0,0)");
    g.fillStyle = fade;
    g.fillRect(0, 0, 128, 128);
    this.texture = new THREE.CanvasTexture(canvas);
    this.material = new THREE.MeshBasicMaterial({ map: this.texture, transparent: true, depthWrite: false, toneMapped: false });
    this.material.onBeforeCompile = (shader) => {
      shader.fragmentShader = shader.fragmentShader.replace("#include <color_fragment>", "diffuseColor = vec4(vec3(0.0), diffuseColor.a * vColor.r);");
    };
    this.mesh = new THREE.InstancedMesh(this.geometry, this.material, 0);
  }

  resize(radii: readonly number[]): void {
    this.radii = radii;
    this.mesh.removeFromParent();
    this.mesh.dispose();
    this.mesh = new THREE.InstancedMesh(this.geometry, this.material, radii.length);
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = 1;
    this.mesh.visible = radii.length > 0; // without a body its colours do not exist
    const white = new THREE.Color(0, 0, 0);
    radii.forEach((_, i) => this.mesh.setColorAt(i, white));
  }

  /** inside: how far the centre is from the rim [m]; at the rim the shadow fades out, as there is no mat below. */
  place(body: number, x: number, height: number, z: number, top: number, inside: number): void {
    const radius = this.radii[body]!;
    const lift = Math.max(0, height - radius * 0.5);
    const size = radius * (2.15 + 1.8 * Math.min(1, lift / 0.8));
    const m = this.mesh.instanceMatrix.array as Float32Array;
    const o = 16 * body;
    m.fill(0, o, o + 16);
    m[o] = m[o + 5] = m[o + 10] = size;
    m[o + 12] = x + 0.02 + 0.3 * lift;
    m[o + 13] = top + 0.003;
    m[o + 14] = z - 0.2 * lift;
    m[o + 15] = 1;
    const dark = 0.62 * Math.max(0, Math.min(1, (inside + 0.05) / 0.15)) * Math.exp(-lift / 0.45);
    this.mesh.instanceColor?.setXYZ(body, dark, dark, dark);
  }

  changed(): void {
    this.mesh.instanceMatrix.needsUpdate = true;
    if (this.mesh.instanceColor) this.mesh.instanceColor.needsUpdate = true;
  }

  dispose(): void {
    this.mesh.dispose();
    this.geometry.dispose();
    this.material.dispose();
    this.texture.dispose();
  }
}

const TICKS = 24;
const HALF_WIDTH = 0.032;

/** The aim as a rule laid on the mat: a shaft with a tick per 0.4 m/s, a head, and the pull behind the body. */
class AimRuler {
  readonly group = new THREE.Group();
  private readonly shaft: THREE.Mesh;
  private readonly pull: THREE.Mesh;
  private readonly head: THREE.Mesh;
  private readonly ticks: THREE.InstancedMesh;
  private readonly rise: THREE.Line;
  private readonly parts: { dispose(): void }[] = [];

  constructor() {
    const flat = (colour: string, opacity: number) => {
      const material = new THREE.MeshBasicMaterial({ color: colour, transparent: true, opacity, depthWrite: false, toneMapped: false });
      this.parts.push(material);
      return material;
    };
    const plane = new THREE.PlaneGeometry(1, 1).rotateX(-Math.PI / 2).translate(0.5, 0, 0);
    const tip = new THREE.ShapeGeometry(new THREE.Shape([new THREE.Vector2(0, -0.1), new THREE.Vector2(0.17, 0), new THREE.Vector2(0, 0.1)])).rotateX(-Math.PI / 2);
    const line = new THREE.BufferGeometry().setFromPoints([new THREE.Vector3(), new THREE.Vector3(1, 0, 0)]);
    const lineMaterial = new THREE.LineBasicMaterial({ color: SIGNAL, transparent: true, opacity: 0.85, toneMapped: false });
    this.shaft = new THREE.Mesh(plane, flat(SIGNAL, 1));
    this.pull = new THREE.Mesh(plane, flat(SIGNAL, 0.45));
    this.head = new THREE.Mesh(tip, flat(SIGNAL, 1));
    this.ticks = new THREE.InstancedMesh(plane, flat(INK, 0.9), TICKS);
    this.ticks.frustumCulled = false;
    this.rise = new THREE.Line(line, lineMaterial);
    this.rise.frustumCulled = false;
    this.shaft.renderOrder = this.pull.renderOrder = this.head.renderOrder = 2;
    this.ticks.renderOrder = 3;
    this.group.add(this.pull, this.shaft, this.head, this.ticks, this.rise);
    this.parts.push(plane, tip, line, lineMaterial);
    this.group.visible = false;
  }

  show(aim: AimPicture | null, top: number): void {
    this.group.visible = aim !== null;
    if (!aim) return;
    this.group.position.set(aim.x, top + 0.008, aim.z);
    this.group.rotation.y = -aim.azimuth;
    const length = Math.max(0.05, aim.length);
    this.shaft.scale.set(length, 1, 2 * HALF_WIDTH);
    this.head.position.set(length, 0, 0);
    this.pull.visible = aim.pulling;
    this.pull.scale.set(length, 1, HALF_WIDTH);
    this.pull.rotation.y = Math.PI;
    this.pull.position.y = aim.y - top - 0.008;
    const m = this.ticks.instanceMatrix.array as Float32Array;
    let count = 0;
    for (let i = 1; i <= TICKS && i * aim.step < length - 0.02; i++, count++) {
      const o = 16 * count;
      const long = i % 5 === 0;
      const depth = long ? 2 * HALF_WIDTH : 1.2 * HALF_WIDTH;
      m.fill(0, o, o + 16);
      m[o] = 0.01;
      m[o + 5] = 1;
      m[o + 10] = depth;
      m[o + 12] = i * aim.step;
      m[o + 13] = 0.002;
      m[o + 14] = -HALF_WIDTH + depth / 2;
      m[o + 15] = 1;
    }
    this.ticks.count = count;
    this.ticks.instanceMatrix.needsUpdate = true;
    this.rise.visible = aim.elevation > 0.01;
    this.rise.position.y = aim.y - top - 0.008;
    this.rise.rotation.z = aim.elevation;
    this.rise.scale.setScalar(length + 0.15);
  }

  dispose(): void {
    this.ticks.dispose();
    for (const part of this.parts) part.dispose();
  }
}
