// The interface of a picture, in three dimensions or flat. Positions in metres, pixels of the stage.

import type { Topology } from "../wire/frames";
import type { Point } from "./outline";

/** What is drawn now. rows: 12 numbers per moving affine body. */
export interface Poses {
  readonly rows: Float32Array;
  readonly active: readonly boolean[];
}

/** The aim of the seat to move: a ruler on the mat, from its body. elevation and azimuth in radians. */
export interface AimPicture {
  readonly x: number;
  readonly y: number;
  readonly z: number;
  readonly azimuth: number;
  readonly elevation: number;
  readonly length: number;
  /** Length of the ruler at one tick, 0.4 m/s [m]. */
  readonly step: number;
  readonly pulling: boolean;
}

export interface ScreenPoint {
  readonly x: number;
  readonly y: number;
  readonly visible: boolean;
  /** Farther is larger. */
  readonly depth: number;
}

/** A target on the mat: its centre lies at (x, 0); radii from the inside out [m]. */
export interface House {
  readonly x: number;
  readonly rings: readonly number[];
}

/** Where a camera is, and what it looks at [m]. */
export interface CameraView {
  readonly position: readonly [number, number, number];
  readonly target: readonly [number, number, number];
}

/** How a gizmo acts on a body. */
export type GizmoMode = "move" | "turn" | "scale";

/** A pose that a gizmo changes: position [m], rotation (w, x, y, z), and how many times as large. */
export interface Pose {
  readonly position: readonly [number, number, number];
  readonly rotation: readonly [number, number, number, number];
  readonly scale: readonly [number, number, number];
}

/** Handles at a body, to move, turn and scale it. Pixels of the stage. */
export interface Gizmo {
  /** Show it at a pose; null hides it. */
  place(pose: Pose | null, mode: GizmoMode, step: number | null): void;
  /** Whether a handle is under the pixel. */
  hover(px: number, py: number): boolean;
  /** Take the handle under the pixel, if there is one. */
  down(px: number, py: number): boolean;
  /** The pose while the handle is dragged. */
  move(px: number, py: number): Pose;
  up(): void;
  dispose(): void;
}

export interface View {
  readonly element: HTMLElement | SVGElement;
  /** Corners of the mat over ground. */
  corners(): readonly Point[];
  setTopology(topology: Topology): void;
  setColours(colours: readonly (string | null)[]): void;
  /** The share of its health that each moving body has lost, 0 to 1: it darkens and cracks. */
  setDamage(damage: readonly number[]): void;
  /** Parts of the mat that fall soon: their corners over ground. */
  setCracked(parts: readonly (readonly Point[])[]): void;
  setTheme(theme: "dark" | "light"): void;
  setWireframe(shown: boolean): void;
  /** Bodies that are chosen: their edges are drawn. */
  setChosen(bodies: readonly number[]): void;
  /** Rings around a place of the mat, printed on it. */
  setHouse(house: House | null): void;
  /** Elastic bodies' vertices between two frames. */
  elastic(a: Float32Array, b: Float32Array, t: number, active: readonly boolean[]): void;
  update(poses: Poses, aim: AimPicture | null, ring: number | null): void;
  /** Draw. Returns whether the camera is still gliding. */
  render(seconds: number): boolean;
  resize(width: number, height: number): void;
  screen(x: number, y: number, z: number): ScreenPoint;
  /** The point under a pixel at the depth of another point. */
  beside(px: number, py: number, at: readonly [number, number, number]): readonly [number, number, number] | null;
  /** The point on the plane at height y under a pixel. */
  ground(px: number, py: number, y: number): readonly [number, number] | null;
  /** The foremost moving body under a pixel, or null. */
  bodyAt(px: number, py: number): number | null;
  /** Handles to move bodies with, or null where the view has none. */
  gizmo(): Promise<Gizmo | null>;
  orbit(dx: number, dy: number): void;
  pan(dx: number, dy: number): void;
  zoom(factor: number): void;
  home(glide: boolean): void;
  /** Keep a point [m] in the middle. fresh: it is a new point. Returns whether the camera still moves. */
  follow(x: number, y: number, z: number, seconds: number, fresh: boolean): boolean;
  /** Turn a little towards a point [m] for some seconds, then back. */
  glimpse(x: number, y: number, z: number, seconds: number): void;
  /** The present camera, for setCamera; null if the view has none. */
  cameraView(): CameraView | null;
  setCamera(view: CameraView, glide: boolean): void;
  /** Switch to the next plainer tier. Returns its name, or null when there is none. */
  plainer(): string | null;
  dispose(): void;
}
