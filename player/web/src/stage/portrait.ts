// Draws pictures of bodies on a transparent ground, one after another, with the material and light of the stage.

import * as THREE from "three";
import { RoomEnvironment } from "three/addons/environments/RoomEnvironment.js";
import meshes from "../generated/bodies.json";
import { Bodies } from "./bodies";
import { drawsInSoftware } from "./browser";
import { PROP, WORLD, propColour } from "./palette";

/** The mesh of a body; null if there is none. */
export type MeshSource = (id: string) => Promise<{ readonly vertices: ArrayLike<number>; readonly faces: ArrayLike<number> } | null>;

const WIDTH = 392;
const HEIGHT = 236;

const known = meshes as unknown as Record<string, [number[], number[]]>;
const ofCatalogue: MeshSource = (id) => {
  const mesh = known[id];
  return Promise.resolve(mesh ? { vertices: mesh[0], faces: mesh[1] } : null);
};

export async function draw(ids: readonly string[], colour: string, theme: "dark" | "light", each: (id: string, address: string) => void, source: MeshSource = ofCatalogue): Promise<void> {
  const world = WORLD[theme];
  const canvas = document.createElement("canvas");
  const renderer = new THREE.WebGLRenderer({ canvas, alpha: true, antialias: true, preserveDrawingBuffer: true });
  // Without a graphics card a picture with all effects takes a second, so it is drawn plainer and smaller.
  const plain = drawsInSoftware();
  renderer.setSize(plain ? WIDTH / 2 : WIDTH, plain ? HEIGHT / 2 : HEIGHT, false);
  renderer.toneMapping = THREE.NeutralToneMapping;
  renderer.setClearAlpha(0);
  const generator = new THREE.PMREMGenerator(renderer);
  const environment = plain ? null : generator.fromScene(new RoomEnvironment(), 0.04);
  const made: Bodies[] = [];
  const camera = new THREE.PerspectiveCamera(20, WIDTH / HEIGHT, 0.1, 10);
  camera.position.set(0.62, 0.64, 1.34);
  camera.lookAt(0, 0, 0);
  for (const id of ids) {
    const mesh = await source(id);
    if (!mesh) continue;
    const scene = new THREE.Scene();
    scene.environment = environment?.texture ?? null;
    scene.environmentIntensity = world.environment;
    const key = new THREE.DirectionalLight("#FFF6E6", world.key);
    key.position.set(-2, 3.4, 2.2);
    const rim = new THREE.DirectionalLight("#BFE6FF", 0.7);
    rim.position.set(4, 2.6, -5);
    scene.add(new THREE.HemisphereLight(world.sky, world.floor, world.fill * (plain ? 2.2 : 1)), key, rim);
    const bodies = new Bodies({ version: 0, bodies: [{ id, kind: "affine", seat: colour === PROP ? null : 0, body: id, vertices: Float32Array.from(mesh.vertices), faces: Uint32Array.from(mesh.faces) }] }, plain ? "C" : "A");
    bodies.setColours([colour === PROP ? propColour(id) : colour]);
    const turn = 0.62; // the soft face, local +x, looks out of the picture
    const [c, s] = [Math.cos(turn), Math.sin(turn)];
    const scale = 0.25 / Math.max(0.2, Math.min(0.33, bodies.radii[0]!));
    bodies.pose(0, new Float32Array([0, 0, 0, c * scale, 0, s * scale, 0, scale, 0, -s * scale, 0, c * scale]), 0, true);
    scene.add(bodies.group);
    renderer.render(scene, camera);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/webp", 0.9));
    if (blob) each(id, URL.createObjectURL(blob));
    made.push(bodies);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  for (const bodies of made) bodies.dispose();
  environment?.dispose();
  generator.dispose();
  renderer.dispose();
  renderer.forceContextLoss();
}
