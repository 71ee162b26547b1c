// The camera: a 28 degree lens that frames the mat with 4 % air; orbit, pan and zoom kept above the ground.

import * as THREE from "three";
import { middleOf } from "./outline";
import type { Point } from "./outline";
import type { CameraView } from "./view";

const LENS = 28;
const PITCH = (44 * Math.PI) / 180;
const FLAT_PITCH = 0.55;
const AIR = 1.04;
/** Half of the most that the home view shows [m]. */
const FRAMED = 2.3;

/** The camera turns to look along a mat, or across it, when that brings it nearer by this factor: a banner that makes the
 * picture a little less high does not turn the mat. */
const NEARER = 0.9;

interface Pose {
  yaw: number;
  pitch: number;
  distance: number;
  target: THREE.Vector3;
}

/** How much nearer the camera is while it follows a body, and the rate at which it follows [1/s]. */
const NEAR = 0.55;
const CHASE = 7;
/** How much nearer the camera comes for a glimpse. */
const GLIMPSED = 0.95;

export class Camera {
  readonly camera = new THREE.PerspectiveCamera(LENS, 1, 0.1, 100);
  private readonly target = new THREE.Vector3();
  private yaw = 0;
  private pitch = PITCH;
  private distance = 8;
  private corners: readonly Point[] = [];
  /** The pose that the camera glides to. */
  private destination: Pose | null = null;
  private moved = false;
  /** The pose before a glimpse, and what is left of it [s]. */
  private back: { readonly pose: Pose; readonly moved: boolean; left: number } | null = null;
  private readonly flat: boolean;
  /** Whether the home view looks along the length of the mat. */
  private along = false;

  /** flat: from a lower place, for a picture that is wide and not high. The whole mat is in view either way. */
  constructor(flat = false) {
    this.flat = flat;
  }

  setAspect(aspect: number): void {
    this.camera.aspect = aspect;
    this.camera.updateProjectionMatrix();
    if (!this.moved) this.home(false);
    else this.place();
  }

  setCorners(corners: readonly Point[]): void {
    // Of a mat much larger than its bodies only the middle is framed.
    const middle = middleOf(corners);
    const reach = (axis: 0 | 1, from: number) => Math.max(0.5, ...corners.map((corner) => Math.abs(corner[axis] - from)));
    const share = Math.min(1, FRAMED / Math.min(reach(0, middle.x), reach(1, middle.z)));
    this.corners = corners.map(([x, z]) => [middle.x + (x - middle.x) * share, middle.z + (z - middle.z) * share] as const);
    this.home(false);
  }

  /** Back to where the whole mat is in view. */
  home(glide: boolean): void {
    this.moved = false;
    const framed = this.framed();
    if (glide) this.destination = framed;
    else {
      Object.assign(this, { yaw: framed.yaw, pitch: framed.pitch, distance: framed.distance });
      this.target.copy(framed.target);
      this.place();
    }
  }

  /** Turn a little towards a point for some seconds, then back. A person who moves the camera keeps it. */
  glimpse(x: number, y: number, z: number, seconds: number): void {
    if (this.back) return;
    const { yaw, pitch, distance } = this;
    this.back = { pose: { yaw, pitch, distance, target: this.target.clone() }, moved: this.moved, left: seconds };
    this.destination = { yaw, pitch, distance: distance * GLIMPSED, target: this.target.clone().lerp(new THREE.Vector3(x, Math.max(y, -0.4), z), 0.5) };
  }

  orbit(dx: number, dy: number): void {
    this.back = null;
    this.moved = true;
    this.destination = null;
    this.yaw -= dx * 0.006;
    this.pitch = Math.max(0.12, Math.min(1.5, this.pitch + dy * 0.005));
    this.place();
  }

  zoom(factor: number): void {
    this.back = null;
    this.moved = true;
    this.destination = null;
    this.distance = Math.max(1.2, Math.min(30, this.distance * factor));
    this.place();
  }

  pan(dx: number, dy: number, height: number): void {
    this.back = null;
    this.moved = true;
    this.destination = null;
    const scale = (2 * this.distance * Math.tan((LENS * Math.PI) / 360)) / height;
    const right = new THREE.Vector3(Math.cos(this.yaw), 0, -Math.sin(this.yaw));
    const away = new THREE.Vector3(-Math.sin(this.yaw), 0, -Math.cos(this.yaw));
    this.target.addScaledVector(right, -dx * scale).addScaledVector(away, (dy * scale) / Math.sin(this.pitch));
    this.target.clampLength(0, 9);
    this.place();
  }

  get view(): CameraView {
    const { x, y, z } = this.camera.position;
    return { position: [x, y, z], target: [this.target.x, this.target.y, this.target.z] };
  }

  /** Go to a view that was read before, within the bounds of this camera. */
  setView(view: CameraView, glide: boolean): void {
    const target = new THREE.Vector3(...view.target).clampLength(0, 9);
    const from = new THREE.Vector3(...view.position).sub(target);
    const distance = from.length();
    if (!(distance > 1e-6) || !Number.isFinite(distance)) return;
    this.moved = true;
    const yaw = Math.atan2(from.x, from.z);
    // The nearer way around.
    const turns = Math.round((this.yaw - yaw) / (2 * Math.PI));
    this.destination = { yaw: yaw + 2 * Math.PI * turns, pitch: Math.max(0.12, Math.min(1.5, Math.asin(from.y / distance))), distance: Math.max(1.2, Math.min(30, distance)), target };
    if (glide) return;
    Object.assign(this, { yaw: this.destination.yaw, pitch: this.destination.pitch, distance: this.destination.distance });
    this.target.copy(this.destination.target);
    this.destination = null;
    this.place();
  }

  /** Keep a point in the middle. `fresh`: it is a new point, so come nearer. Returns whether the camera still moves. */
  follow(x: number, y: number, z: number, seconds: number, fresh: boolean): boolean {
    this.moved = true;
    if (fresh) this.destination = { yaw: this.yaw, pitch: Math.min(this.pitch, 0.62), distance: this.framed().distance * NEAR, target: new THREE.Vector3(x, y, z) };
    if (this.destination) {
      this.destination.target.set(x, y, z);
      return true;
    }
    const goal = new THREE.Vector3(x, y, z);
    const far = this.target.distanceTo(goal) > 2e-3;
    this.target.lerp(goal, far ? 1 - Math.exp(-CHASE * seconds) : 1);
    this.place();
    return far;
  }

  /** Glide towards the target pose. Returns whether the picture changed. */
  step(seconds: number): boolean {
    if (this.back && (this.back.left -= seconds) <= 0) {
      this.destination = this.back.pose;
      this.moved = this.back.moved;
      this.back = null;
    }
    if (!this.destination) return this.back !== null;
    const k = 1 - Math.exp(-9 * seconds);
    this.yaw += (this.destination.yaw - this.yaw) * k;
    this.pitch += (this.destination.pitch - this.pitch) * k;
    this.distance += (this.destination.distance - this.distance) * k;
    this.target.lerp(this.destination.target, k);
    if (Math.abs(this.destination.distance - this.distance) < 1e-3 && Math.abs(this.destination.yaw - this.yaw) < 1e-3) this.destination = null;
    this.place();
    return true;
  }

  /** The pose that has all corners in view; a long mat lies across, or along where that shows it much larger. */
  private framed(): Pose {
    const across = this.fit(0);
    if (this.flat) return across;
    const along = this.fit(-Math.PI / 2);
    const [now, other] = this.along ? [along, across] : [across, along];
    if (other.distance < NEARER * now.distance) this.along = !this.along;
    return this.along ? along : across;
  }

  private fit(yaw: number): Pose {
    const pitch = this.flat ? FLAT_PITCH : PITCH;
    const points = this.corners.length ? this.corners : ([[-1, -1], [1, 1], [-1, 1], [1, -1]] as Point[]);
    const middle = middleOf(points);
    const target = new THREE.Vector3(middle.x, 0, middle.z);
    let distance = 6;
    const probe = new THREE.PerspectiveCamera(LENS, this.camera.aspect, 0.1, 100);
    const p = new THREE.Vector3();
    const tan = Math.tan((LENS * Math.PI) / 360);
    for (let i = 0; i < 12; i++) {
      pose(probe, target, yaw, pitch, distance);
      let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
      for (const [x, z] of points) {
        for (const y of [-0.25, 0.3]) {
          p.set(x, y, z).project(probe);
          x0 = Math.min(x0, p.x);
          x1 = Math.max(x1, p.x);
          y0 = Math.min(y0, p.y);
          y1 = Math.max(y1, p.y);
        }
      }
      const [right, up] = [((x0 + x1) / 2) * distance * tan * this.camera.aspect, (((y0 + y1) / 2) * distance * tan) / Math.sin(pitch)];
      target.x += right * Math.cos(yaw) - up * Math.sin(yaw);
      target.z += -right * Math.sin(yaw) - up * Math.cos(yaw);
      distance *= Math.max((x1 - x0) / 2, (y1 - y0) / 2) * AIR;
    }
    return { yaw, pitch, distance, target };
  }

  private place(): void {
    pose(this.camera, this.target, this.yaw, this.pitch, this.distance);
  }
}

function pose(camera: THREE.PerspectiveCamera, target: THREE.Vector3, yaw: number, pitch: number, distance: number): void {
  camera.position.set(
    target.x + distance * Math.cos(pitch) * Math.sin(yaw),
    target.y + distance * Math.sin(pitch),
    target.z + distance * Math.cos(pitch) * Math.cos(yaw),
  );
  camera.lookAt(target);
  camera.updateMatrixWorld();
}
