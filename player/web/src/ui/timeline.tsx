// The timeline of a replay: turns, a ruler in seconds with the blows and other events as marks, flags of the bookmarks,
// and the playhead over all of it and the curves below. A drag anywhere on it moves the moment.

import type { ComponentChildren } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { Replay } from "../replay/replay";
import { SPEEDS } from "../replay/player";
import { labelStep, labelTimes } from "../replay/ruler";
import { markOfSeat } from "../stage/palette";
import { initial } from "../stage/marks";
import { clockTime, fixed, group, shortName } from "../text/format";
import { t } from "../text/words";
import { withKey } from "./keyboard";
import { Icon, Segmented } from "./parts";

export const SPEED_NAMES: Readonly<Record<number, string>> = { 0.1: "0.1", 0.25: "¼", 0.5: "½", 1: "1×", 2: "2", 4: "4", 8: "8" };

/** The buttons that move the clock. */
export function Transport({ replay, children }: { replay: Replay; children?: ComponentChildren }) {
  const playing = replay.playing.value;
  const ready = replay.curves.value > 0;
  return (
    <div class="ctl">
      <div class="row move">
        <button class="btn ghost s sq" aria-label={t("timeline.one-frame-back")} title={withKey(t("timeline.one-frame-back"), "back")} disabled={!ready} onClick={() => replay.step(-1)}>
          <Icon name="back" />
        </button>
        <button class="btn s sq play" aria-label={playing ? t("timeline.pause") : t("timeline.play")} title={withKey(playing ? t("timeline.pause") : t("timeline.play"), "play")} disabled={!ready} onClick={() => replay.toggle()} data-test="play">
          <Icon name={playing ? "pause" : "play"} />
        </button>
        <button class="btn ghost s sq" aria-label={t("timeline.one-frame-on")} title={withKey(t("timeline.one-frame-on"), "on")} disabled={!ready} onClick={() => replay.step(1)}>
          <Icon name="on" />
        </button>
      </div>
      <Segmented label={t("timeline.speed")} tight value={nearest(replay.speed.value)} onChoose={(speed) => replay.setSpeed(speed)} options={SPEEDS.map((speed) => ({ value: speed, text: SPEED_NAMES[speed] ?? String(speed), title: t("timeline.times", { speed }) }))} />
      <Reading replay={replay} />
      <span class="sp" />
      {children}
    </div>
  );
}

function nearest(speed: number): (typeof SPEEDS)[number] {
  return SPEEDS.reduce((best, one) => (Math.abs(Math.log(one / speed)) < Math.abs(Math.log(best / speed)) ? one : best), SPEEDS[0]);
}

function Reading({ replay }: { replay: Replay }) {
  const { time, tick } = replay.place.value;
  return (
    <span class="reading" data-test="reading">
      <b class="data at" data-test="time">
        {clockTime(time)}
      </b>
      <span class="data mute">
        {t("timeline.of")}{" "}{clockTime(replay.curves.value ? replay.end : 0)}{" "}{t("timeline.tick")}{" "}<span data-test="tick">{group(tick)}</span>
      </span>
      {replay.waiting.value && replay.curves.value > 0 && <span class="data mute">{t("timeline.loading")}</span>}
    </span>
  );
}

export function Timeline({ replay, flags, children }: { replay: Replay; flags: readonly { readonly id: string; readonly frame: number; readonly name: string }[]; children: ComponentChildren }) {
  const lane = useRef<HTMLDivElement>(null);
  const dragging = useRef(false);
  const to = (event: PointerEvent): void => {
    const box = lane.current!.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - box.left) / Math.max(1, box.width)));
    replay.seek(replay.start + share * (replay.end - replay.start));
  };
  const version = replay.curves.value;
  const span = version ? replay.end - replay.start || 1 : 1;
  const percent = (time: number): string => `${(100 * Math.max(0, Math.min(1, (time - replay.start) / span))).toFixed(3)}%`;
  return (
    <div
      class="tracks"
      data-test="tracks"
      onPointerDown={(event) => {
        if (event.button || !version) return;
        dragging.current = true;
        event.currentTarget.setPointerCapture(event.pointerId);
        to(event);
      }}
      onPointerMove={(event) => {
        if (dragging.current) to(event);
      }}
      onPointerUp={() => (dragging.current = false)}
      onPointerCancel={() => (dragging.current = false)}
    >
      <div class="lane" ref={lane}>
        <Lanes replay={replay} version={version} percent={percent} />
        <div class="flags" aria-hidden="true">
          {flags.map((flag) => (
            <span key={flag.id} style={{ left: percent(replay.recording?.curves.at(flag.frame) ?? 0) }} title={flag.name}>
              <Icon name="flag" />
            </span>
          ))}
        </div>
        <Playhead replay={replay} percent={percent} />
      </div>
      {children}
    </div>
  );
}

function Playhead({ replay, percent }: { replay: Replay; percent: (time: number) => string }) {
  const { time, tick } = replay.place.value;
  return (
    <div
      class="head"
      style={{ left: percent(time) }}
      role="slider"
      tabIndex={0}
      aria-label={t("timeline.moment")}
      aria-orientation="horizontal"
      aria-valuemin={0}
      aria-valuemax={Number(fixed(replay.curves.value ? replay.end : 0, 2))}
      aria-valuenow={Number(time.toFixed(2))}
      aria-valuetext={t("timeline.seconds-tick", { time: time.toFixed(2), tick })}
      data-test="head"
    />
  );
}

/** The fixed parts of the timeline: turns, ruler, marks. */
function Lanes({ replay, version, percent }: { replay: Replay; version: number; percent: (time: number) => string }) {
  const story = replay.story.value;
  const about = replay.about.value;
  const drawn = useMemo(() => {
    if (!version || !about) return null;
    const { dt } = about;
    const [start, end] = [replay.start, replay.end];
    const step = labelStep(end - start);
    const labels = labelTimes(start, end);
    const fine = step / 10;
    let ticks = "";
    // Counted from zero, so that each tenth tick has the place of its label.
    for (let i = Math.ceil(start / fine - 1e-9), t = i * fine; t <= end + 1e-9; i++, t = i * fine) {
      ticks += `M${((1000 * (t - start)) / (end - start || 1)).toFixed(2)} 20v-${i % 10 === 0 ? 20 : i % 5 === 0 ? 12 : 7}`;
    }
    return { dt, labels, ticks, unit: step < 60 ? "s" : "" };
  }, [version, about]);
  if (!drawn || !about) return <div class="ruler" aria-hidden="true" />;
  const name = (seat: number) => shortName(about.seats.find((one) => one.seat === seat)?.name ?? "");
  return (
    <>
      {story && story.turns.length > 0 && (
        <div class="turns" aria-hidden="true">
          {story.turns.map((turn) => (
            <i key={turn.from} title={t("timeline.s-turn", { seat: name(turn.seat) })} style={{ left: percent(turn.from * drawn.dt), right: `calc(100% - ${percent(turn.to * drawn.dt)})`, background: `var(--p${markOfSeat(turn.seat) + 1})`, color: [2, 6].includes(markOfSeat(turn.seat)) ? "#fff" : "#12211D" }}>
              <b>{initial(name(turn.seat))}</b>
            </i>
          ))}
        </div>
      )}
      <div class="ruler" aria-hidden="true">
        <svg viewBox="0 0 1000 20" preserveAspectRatio="none">
          <path d={drawn.ticks} />
        </svg>
      </div>
      <div class="nums" aria-hidden="true">
        {drawn.labels.map((t) => (
          <span key={t} style={{ left: percent(t) }}>
            {drawn.unit ? `${group(Number(t.toFixed(1)))} s` : clockTime(t, 0)}
          </span>
        ))}
      </div>
      <div class="happened" aria-hidden="true">
        {(story?.marks ?? []).map((mark, i) => (
          <i key={i} class={mark.kind} title={mark.text} style={{ left: percent(mark.tick * drawn.dt), height: `${Math.round(5 + 11 * mark.weight)}px` }} />
        ))}
      </div>
    </>
  );
}
