// The curves under the timeline: energy, contacts, smallest gap, health, all over the same time as the timeline.

import { computed } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import { ENERGIES } from "../replay/recording";
import type { Curves } from "../replay/recording";
import type { Replay } from "../replay/replay";
import { markOfSeat } from "../stage/palette";
import { fixed, gap, group, shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "./marks";

const WIDTH = 1000;
const HEIGHT = 46;
/** Most points of a line: each is the extreme value of its part of the time. */
const POINTS = 500;
/** The range of gaps on the logarithmic axis [m]. */
const FLOOR = 1e-7;
const NEAR = 1e-2;

type Extreme = "most" | "least";

/** The line through the extremes of equal shares of the time, as an SVG path. height: value -> 0 (bottom) to 1. */
export function linePath(times: Float64Array, value: (index: number) => number, height: (value: number) => number, extreme: Extreme): string {
  const count = times.length;
  if (!count) return "";
  const [start, end] = [times[0]!, times[count - 1]!];
  const span = end - start || 1;
  const points: string[] = [];
  const add = (time: number, found: number): void => {
    points.push(`${((WIDTH * (time - start)) / span).toFixed(1)} ${(HEIGHT - 3 - (HEIGHT - 6) * Math.max(0, Math.min(1, height(found)))).toFixed(1)}`);
  };
  let share = -1;
  let best = NaN;
  let at = start;
  for (let i = 0; i < count; i++) {
    const mine = Math.min(POINTS - 1, Math.floor((POINTS * (times[i]! - start)) / span));
    if (mine !== share) {
      if (share >= 0) add(at, best);
      share = mine;
      best = value(i);
      at = times[i]!;
    } else if (extreme === "most" ? value(i) > best : value(i) < best) {
      best = value(i);
      at = times[i]!;
    }
  }
  add(at, best);
  if (at < end) add(end, value(count - 1));
  return `M${points.join("L")}`;
}

function range(values: Float64Array): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return high >= low ? [low, high] : [0, 1];
}

function Plot({ line, colour, filled }: { line: string; colour: string; filled: boolean }) {
  return (
    <svg class="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      {filled && line && <path class="area" d={`${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z`} style={{ fill: colour }} />}
      <path d={line} style={{ stroke: colour }} />
    </svg>
  );
}

export function CurveRows({ replay }: { replay: Replay }) {
  const version = replay.curves.value;
  const curves = replay.recording?.curves;
  if (!version || !curves) return null;
  return (
    <>
      <Energy replay={replay} curves={curves} />
      <Contacts replay={replay} curves={curves} />
      <Gap replay={replay} curves={curves} />
      <PerSeat replay={replay} curves={curves} />
    </>
  );
}

interface RowProps {
  replay: Replay;
  curves: Curves;
}

/** Where the numbers of the present frame are. Draws a row again when more numbers arrive: the same object gets them. */
function useIndex({ replay, curves }: RowProps): number {
  return replay.curves.value ? curves.index(replay.place.value.frame) : 0;
}

function Energy({ replay, curves }: RowProps) {
  const values = curves.single.get("energy");
  const at = useIndex({ replay, curves });
  const line = useMemo(() => {
    if (!values) return "";
    const [low, high] = range(values);
    return linePath(curves.time, (i) => values[i]!, (value) => (value - low) / (high - low || 1), "most");
  }, [values]);
  const [open, setOpen] = useState(false);
  if (!values) return null;
  const toggle = (): void => {
    setOpen(!open);
    if (!open) void replay.readKinds();
  };
  return (
    <>
      <div class="pr">
        <div class="pn">
          {replay.recording?.hasKinds ? (
            <button class="energies small soft" aria-expanded={open} onPointerDown={(event) => event.stopPropagation()} onClick={toggle} title={t("curves.kinetic-gravity-and-elastic-energy")} data-test="kinds">
              {t("curves.energy")}
            </button>
          ) : (
            <span class="small soft">{t("curves.energy")}</span>
          )}
          <span>
            <b class="data value">{energy(values[at] ?? 0)}</b>
          </span>
        </div>
        <Plot line={line} colour="var(--cool)" filled />
      </div>
      {open && ENERGIES.map((kind) => <EnergyKind key={kind} kind={kind} replay={replay} curves={curves} />)}
    </>
  );
}

const KIND_TITLES = computed((): Readonly<Record<(typeof ENERGIES)[number], string>> => ({
  kinetic: t("curves.energy-of-motion"),
  gravity: t("curves.potential-energy-of-gravity-zero"),
  elastic: t("curves.energy-of-deformation"),
  springs: t("curves.energy-of-the-springs-that"),
  barrier: t("curves.energy-of-the-contact-barriers"),
  friction: t("curves.work-of-friction-in-the"),
}));

/** One kind of energy. Nothing if it never changes. */
function EnergyKind({ kind, replay, curves }: RowProps & { kind: (typeof ENERGIES)[number] }) {
  const values = curves.single.get(`energy_${kind}`);
  const at = useIndex({ replay, curves });
  const [line, moves] = useMemo(() => {
    if (!values) return ["", false];
    const [low, high] = range(values);
    return [linePath(curves.time, (i) => values[i]!, (value) => (value - low) / (high - low || 1), "most"), high > low];
  }, [values]);
  if (!values || !moves) return null;
  return (
    <div class="pr kind" title={KIND_TITLES.value[kind]} data-test={`energy-${kind}`}>
      <div class="pn">
        <span class="small soft">{kind}</span>
        <span>
          <b class="data">{energy(values[at] ?? 0)}</b>
        </span>
      </div>
      <Plot line={line} colour="var(--cool)" filled={false} />
    </div>
  );
}

/** An energy with a fitting unit: kJ, J or mJ. */
function energy(joule: number): string {
  const size = Math.abs(joule);
  if (size >= 1000) return `${fixed(joule / 1000, 2)} kJ`;
  if (size >= 0.1 || size === 0) return `${fixed(joule, 2)} J`;
  return `${fixed(joule * 1000, 2)} mJ`;
}

function Contacts({ replay, curves }: RowProps) {
  const values = curves.single.get("contacts");
  const at = useIndex({ replay, curves });
  const line = useMemo(() => {
    if (!values) return "";
    const most = Math.max(1, range(values)[1]);
    return linePath(curves.time, (i) => values[i]!, (value) => value / most, "most");
  }, [values]);
  if (!values) return null;
  return (
    <div class="pr">
      <div class="pn">
        <span class="small soft">{t("curves.contacts")}</span>
        <span>
          <b class="data value">{group(values[at] ?? 0)}</b>
        </span>
      </div>
      <Plot line={line} colour="var(--signal-ink)" filled />
    </div>
  );
}

function Gap({ replay, curves }: RowProps) {
  const values = curves.single.get("min_distance");
  const at = useIndex({ replay, curves });
  const [line, smallest] = useMemo(() => {
    if (!values) return ["", 0];
    const height = (value: number) => (Math.log10(Math.max(FLOOR, Math.min(NEAR, value))) - Math.log10(FLOOR)) / (Math.log10(NEAR) - Math.log10(FLOOR));
    return [linePath(curves.time, (i) => values[i]!, height, "least"), range(values)[0]];
  }, [values]);
  if (!values) return null;
  return (
    <div class="pr" title={t("curves.logarithmic-the-smallest-gap-of", { smallest: gap(smallest) })}>
      <div class="pn">
        <span class="small soft">{t("curves.smallest-gap")}</span>
        <span>
          <b class="data value">{gap(values[at] ?? Infinity)}</b>
        </span>
      </div>
      <Plot line={line} colour="var(--ok)" filled={false} />
    </div>
  );
}

/** Health, or the score in a mode without health. Nothing if no value of any seat changes. */
function PerSeat({ replay, curves }: RowProps) {
  const at = useIndex({ replay, curves });
  const seats = replay.about.value?.seats ?? [];
  const name = ["health", "score"].find((field) => {
    const found = curves.perSeat.get(field);
    if (!found) return false;
    const [low, high] = range(found.data);
    return high > low;
  });
  const found = name ? curves.perSeat.get(name) : undefined;
  const lines = useMemo(() => {
    if (!found) return [];
    const most = Math.max(1, range(found.data)[1]);
    return Array.from({ length: found.seats }, (_, seat) => linePath(curves.time, (i) => found.data[i * found.seats + seat]!, (value) => value / most, "least"));
  }, [found]);
  if (!name || !found) return null;
  return (
    <div class="pr">
      <div class="pn">
        <span class="small soft">{name === "health" ? t("curves.health") : t("curves.points")}</span>
        <span class="perseat">
          {seats.map((seat, i) => (
            <span class="row" key={seat.seat} title={shortName(seat.name)}>
              <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={15} />
              <b class="data">{group(Math.ceil(found.data[at * found.seats + i] ?? 0))}</b>
            </span>
          ))}
        </span>
      </div>
      <svg class="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {lines.map((line) => (
          <path key={`${line}o`} d={line} style={{ stroke: "var(--mark-line)", strokeWidth: 4.5 }} />
        ))}
        {lines.map((line, i) => (
          <path key={line} d={line} style={{ stroke: `var(--p${markOfSeat(seats[i]?.seat ?? i) + 1})`, strokeWidth: 2.5 }} />
        ))}
      </svg>
    </div>
  );
}
