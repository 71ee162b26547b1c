// Handles of a chosen body in three dimensions: arrows to move it, rings to turn it, cubes to scale it.

import * as THREE from "three";
import { TransformControls } from "three/addons/controls/TransformControls.js";
import type { Gizmo, GizmoMode, Pose } from "./view";

const MODES = { move: "translate", turn: "rotate", scale: "scale" } as const;

export class Handles implements Gizmo {
  private readonly controls: TransformControls;
  private readonly helper: THREE.Object3D;
  private readonly target = new THREE.Object3D();
  private readonly size: () => { readonly width: number; readonly height: number };
  private shown = false;

  constructor(camera: THREE.Camera, scene: THREE.Scene, size: () => { readonly width: number; readonly height: number }) {
    this.size = size;
    // Without an element it listens to no pointer itself: the stage's pointers lead it.
    this.controls = new TransformControls(camera, null);
    this.controls.setSize(0.85);
    this.helper = this.controls.getHelper();
    this.helper.visible = false;
    scene.add(this.target, this.helper);
  }

  place(pose: Pose | null, mode: GizmoMode, step: number | null): void {
    this.shown = pose !== null;
    this.helper.visible = this.shown;
    if (!pose) {
      this.controls.detach();
      return;
    }
    if (this.controls.dragging) return;
    const [w, x, y, z] = pose.rotation;
    this.target.position.set(...pose.position);
    this.target.quaternion.set(x, y, z, w);
    this.target.scale.set(...pose.scale);
    this.target.updateMatrixWorld();
    this.controls.setMode(MODES[mode]);
    this.controls.setSpace(mode === "move" ? "world" : "local");
    this.controls.setTranslationSnap(mode === "move" ? step : null);
    this.controls.setRotationSnap(mode === "turn" && step !== null ? Math.PI / 12 : null);
    if (this.controls.object !== this.target) this.controls.attach(this.target);
  }

  private pointer(px: number, py: number, button: number): PointerEvent {
    const { width, height } = this.size();
    // The controls read these three fields of a pointer.
    return { x: (px / width) * 2 - 1, y: 1 - (py / height) * 2, button } as PointerEvent;
  }

  hover(px: number, py: number): boolean {
    if (!this.shown) return false;
    this.controls.pointerHover(this.pointer(px, py, -1));
    return this.controls.axis !== null;
  }

  down(px: number, py: number): boolean {
    if (!this.hover(px, py)) return false;
    this.controls.pointerDown(this.pointer(px, py, 0));
    return this.controls.dragging;
  }

  move(px: number, py: number): Pose {
    this.controls.pointerMove(this.pointer(px, py, -1));
    const { position, quaternion, scale } = this.target;
    return { position: [position.x, position.y, position.z], rotation: [quaternion.w, quaternion.x, quaternion.y, quaternion.z], scale: [Math.abs(scale.x), Math.abs(scale.y), Math.abs(scale.z)] };
  }

  up(): void {
    this.controls.pointerUp(this.pointer(0, 0, 0));
    this.controls.axis = null;
  }

  dispose(): void {
    this.controls.detach();
    this.helper.removeFromParent();
    this.target.removeFromParent();
    // The controls' own dispose needs the element that they do not have.
    this.helper.traverse((part) => {
      if (!(part instanceof THREE.Mesh || part instanceof THREE.Line)) return;
      part.geometry.dispose();
      for (const material of [part.material].flat()) material.dispose();
    });
  }
}
