// The number of a blow: it flies from the place of the blow to the bar of the seat that lost it. After the end of the match
// the result lies in between, so there it rises where the blow was.

const FLIGHT_MS = 650;
const RISE_MS = 1100;
/** How far the numbers of a blow rise, and the height and width of one [px]. */
export const RISE_PX = 46;
export const ROW_PX = 24;
export const NUMBER_PX = 48;

/** A number that is in the air, until its animation ends. */
function number(lost: number, keyframes: Keyframe[], options: KeyframeAnimationOptions): void {
  const made = document.createElement("span");
  made.className = "flying";
  made.setAttribute("aria-hidden", "true");
  made.textContent = `−${Math.round(lost)}`;
  document.body.append(made);
  const gone = (): void => made.remove();
  made.animate(keyframes, options).finished.then(gone, gone);
}

const at = (x: number, y: number, size: number): string => `translate(${x.toFixed(0)}px, ${y.toFixed(0)}px) translate(-50%, -50%) scale(${size})`;

/** from: pixels of the stage. Nothing flies to a seat that has no bar on this screen. */
export function flyToBar(stage: HTMLElement, from: { x: number; y: number }, seat: number, lost: number): void {
  const bar = document.querySelector(`[data-seat="${seat}"] .hp`);
  if (!bar || Math.round(lost) < 1) return;
  const [a, b] = [stage.getBoundingClientRect(), bar.getBoundingClientRect()];
  const [x0, y0] = [a.left + from.x, a.top + from.y];
  const [x1, y1] = [b.left + b.width / 2, b.top + b.height / 2];
  const middle = at((x0 + x1) / 2, Math.min(y0, y1) - 30, 1.15);
  number(lost, [{ transform: at(x0, y0, 0.7), opacity: 0 }, { transform: middle, opacity: 1, offset: 0.45 }, { transform: at(x1, y1, 0.8), opacity: 0.9 }], { duration: FLIGHT_MS, easing: "ease-in-out" });
}

/** to: where the numbers of a blow stay, in pixels of the stage. `row`: which of them. */
export function riseTo(stage: HTMLElement, to: { x: number; y: number }, row: number, lost: number): void {
  if (Math.round(lost) < 1) return;
  const box = stage.getBoundingClientRect();
  const [x, y] = [box.left + to.x, box.top + to.y + ROW_PX * row];
  number(lost, [{ transform: at(x, y + RISE_PX / 2, 0.7), opacity: 0 }, { transform: at(x, y, 1.15), opacity: 1, offset: 0.4 }, { transform: at(x, y, 1), opacity: 1, offset: 0.8 }, { transform: at(x, y, 1), opacity: 0 }], { duration: RISE_MS, easing: "ease-out" });
}

/** Remove the numbers that are in the air. */
export function landAll(): void {
  for (const one of document.querySelectorAll(".flying")) one.remove();
}
