// A number that flies from the place of a blow to the bar of the seat that lost it.

const FLIGHT_MS = 650;

/** from: pixels of the stage. Nothing flies to a seat that has no bar on this screen. */
export function flyToBar(stage: HTMLElement, from: { x: number; y: number }, seat: number, lost: number): void {
  const bar = document.querySelector(`[data-seat="${seat}"] .hp`);
  const text = Math.round(lost);
  if (!bar || text < 1) return;
  const [a, b] = [stage.getBoundingClientRect(), bar.getBoundingClientRect()];
  const [x0, y0] = [a.left + from.x, a.top + from.y];
  const [x1, y1] = [b.left + b.width / 2, b.top + b.height / 2];
  const number = document.createElement("span");
  number.className = "flying";
  number.setAttribute("aria-hidden", "true");
  number.textContent = `−${text}`;
  document.body.append(number);
  const at = (x: number, y: number, size: number): string => `translate(${x.toFixed(0)}px, ${y.toFixed(0)}px) translate(-50%, -50%) scale(${size})`;
  const middle = at((x0 + x1) / 2, Math.min(y0, y1) - 30, 1.15);
  const flight = number.animate([{ transform: at(x0, y0, 0.7), opacity: 0 }, { transform: middle, opacity: 1, offset: 0.45 }, { transform: at(x1, y1, 0.8), opacity: 0.9 }], { duration: FLIGHT_MS, easing: "ease-in-out" });
  const gone = (): void => number.remove();
  flight.finished.then(gone, gone);
}
