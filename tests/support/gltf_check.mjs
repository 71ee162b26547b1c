// Reads a GLB file with three.js' own loader and plays its animation. Arguments: node_modules, the file, times [s] as
// JSON. Prints, for each time, of each mesh that has a size the world positions of its vertices.
// tests/server/recordings/export/test_exporting.py runs it.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [modules, file, times] = process.argv.slice(2);
globalThis.self = globalThis; // the loader asks for it; there are no textures that would need more of a browser
const from = (path) => import(pathToFileURL(`${modules}/three/${path}`).href);
const THREE = await from("build/three.module.js");
const { GLTFLoader } = await from("examples/jsm/loaders/GLTFLoader.js");

const data = readFileSync(file);
const gltf = await new GLTFLoader().parseAsync(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength), "");
const mixer = new THREE.AnimationMixer(gltf.scene);
for (const clip of gltf.animations) {
  const action = mixer.clipAction(clip);
  action.loop = THREE.LoopOnce; // a clip that repeats shows its first frame again at its end
  action.clampWhenFinished = true;
  action.play();
}
const shown = JSON.parse(times).map((time) => {
  mixer.setTime(time);
  gltf.scene.updateMatrixWorld(true);
  const meshes = {};
  gltf.scene.traverse((mesh) => {
    if (!mesh.isMesh || mesh.matrixWorld.determinant() === 0) return;
    const point = new THREE.Vector3();
    meshes[mesh.name] = Array.from({ length: mesh.geometry.attributes.position.count }, (_, i) => mesh.localToWorld(mesh.getVertexPosition(i, point)).toArray());
  });
  return meshes;
});
process.stdout.write(JSON.stringify(shown));
