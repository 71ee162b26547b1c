// The end of a match, above the stage: who won, what each number means, and what can be done next.

import { useEffect, useState } from "preact/hooks";
import { api, busy, leave, nextOpponent, now, rematch, watchAgain } from "../app/store";
import { boutScore, damageByPair, ratingChange } from "../session/afterwards";
import type { SessionClient } from "../session/client";
import { bestEnd } from "../session/curling";
import type { Seat, SessionState } from "../session/state";
import { touched } from "../session/wording";
import { FALL_S } from "../stage/falls";
import { markOfSeat } from "../stage/palette";
import { fixed, group, shortName } from "../text/format";
import { measured } from "../text/units";
import { t } from "../text/words";
import type { SessionView } from "../wire/messages";
import { at } from "../wire/place";
import { CopyLink } from "./copylink";
import { Mark } from "./marks";
import { Icon } from "./parts";
import { PlayerName } from "./playername";
import { SeriesScore } from "./series";

/** How often, and for how long, the page looks whether somebody asked for a rematch and what the ratings are now. */
const LOOK_MS = 2000;
const LOOKS = 90;

/** For so long the end of a match is seen before its result is shown, which takes a part of the stage [ms]. */
const SEEN_MS = 1000 * FALL_S + 300;

/** Whether to show the result: at once where the match was over before, and else after the last blow was shown again or a
 * person pressed something. */
export function useResultDue(client: SessionClient, state: SessionState): boolean {
  const over = state.phase === "over";
  const shows = client.showsLastBlow.value;
  const [seen, setSeen] = useState(over);
  useEffect(() => {
    if (!over) setSeen(false);
    if (!over || seen) return undefined;
    const timer = setTimeout(() => setSeen(true), SEEN_MS);
    return () => clearTimeout(timer);
  }, [over]);
  useEffect(() => {
    if (!over || !seen || !shows) return undefined;
    const stops = new AbortController();
    const skip = (): void => void (client.showsLastBlow.value = false);
    for (const press of ["pointerdown", "keydown"]) window.addEventListener(press, skip, { signal: stops.signal });
    return () => stops.abort();
  }, [over, seen, shows]);
  return over && seen && !shows;
}

/** The link to the recording of a session, which shows its picture where it is posted. */
export const linkToRecording = (token: string): string => `${location.origin}${at(`/r/${token}`)}`;

/** The session as the store has it after its end; null before the first look. */
function useAfterwards(token: string, over: boolean): SessionView | null {
  const [view, setView] = useState<SessionView | null>(null);
  useEffect(() => {
    if (!over) return undefined;
    let looks = 0;
    let stopped = false;
    const look = async () => {
      if (document.hidden) return;
      looks += 1;
      try {
        const found = await api.session(token);
        if (!stopped) setView(found);
      } catch {
        // its keys have expired, or the line is down: what is shown stays
      }
      if (looks >= LOOKS) clearInterval(timer);
    };
    const timer = setInterval(() => void look(), LOOK_MS);
    void look();
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [token, over]);
  return view;
}

/** `won`: what is said of the winner. */
export function Result({ client, state, won }: { client: SessionClient; state: SessionState; won: (name: string | null, cause: string) => string }) {
  void now.value;
  const after = useAfterwards(client.token, state.result !== null);
  const mine = state.seats.find((seat) => seat.seat === client.mySeat);
  const winner = state.seats.find((seat) => seat.seat === state.result?.winner);
  const cause = state.result?.cause ?? "";
  const heading =
    state.status === "failed"
      ? t("result.the-solver-stopped-at-tick", { tick: group(state.tick) })
      : winner
        ? winner === mine
          ? won(null, cause)
          : won(shortName(winner.name), cause)
        : state.status === "timed_out"
          ? t("result.the-lobby-closed")
          : t("result.a-draw");
  const bouts = cause === "bouts" ? boutScore(state.bouts, state.result?.winner ?? null) : "";
  const asked = after?.rematch ?? null;
  const player = client.role === "player";
  return (
    <section class="tile over cl" aria-label={t("result.result")} data-test="over">
      <div class="row title">
        <h1>{bouts ? `${heading}, ${bouts}` : heading}</h1>
        <SeriesScore state={state} again={asked !== null} />
      </div>
      <Numbers state={state} view={after} mine={mine ?? null} />
      {state.mode === "curling" ? <Stones state={state} /> : <Hits state={state} />}
      <div class="row ways">
        {player ? (
          <button class="btn now" onClick={() => void rematch(client.token, mine?.body ?? null)} aria-busy={busy.value === "rematch"} data-test="rematch">
            {asked ? t("result.join-the-rematch") : t("result.rematch")}
          </button>
        ) : (
          <button class="btn main" onClick={() => void nextOpponent(state.mode, state.size, null)} aria-busy={busy.value === "find"} data-test="again">
            {t("result.find-me-a-seat")}
          </button>
        )}
        {state.startedAt > 0 && (
          <button class="btn" onClick={() => watchAgain(client.token)} data-test="watch-again">
            <Icon name="rewind" />
            {t("result.watch-again")}
          </button>
        )}
        {player && (
          <button class="btn" onClick={() => void nextOpponent(state.mode, state.size, mine?.body ?? null)} aria-busy={busy.value === "find"} data-test="again">
            {t("result.next-opponent")}
          </button>
        )}
        {state.startedAt > 0 && <CopyLink link={() => linkToRecording(client.token)} onFail={(link) => void prompt(t("result.the-link-to-this-match"), link)} class="btn" what="link" title={t("result.the-link-to-the-recording")} />}
        <button class="btn ghost" onClick={leave}>
          {t("result.back-to-lobbies")}
        </button>
      </div>
    </section>
  );
}

function Numbers({ state, view, mine }: { state: SessionState; view: SessionView | null; mine: Seat | null }) {
  const stones = state.mode === "curling";
  const result = state.result;
  const scored = stones || state.seats.some((seat) => seat.full); // a mode of one's own may count neither
  const gained = (result?.xp.length ?? 0) > 0;
  const places = [...state.seats].sort((a, b) => (a.place ?? 9) - (b.place ?? 9));
  const ratings = view?.ratings ?? [];
  return (
    <div class="numbers">
      <table class="places" data-test="places">
        <thead>
          <tr>
            <th scope="col">
              <span class="vh">{t("result.place-and-player")}</span>
            </th>
            {scored && <th scope="col">{stones ? t("result.points") : t("result.damage-dealt")}</th>}
            {gained && <th scope="col">{t("result.experience")}</th>}
            <th scope="col">{t("result.rating")}</th>
          </tr>
        </thead>
        <tbody>
          {places.map((seat) => (
            <tr key={seat.seat} class={seat === mine ? "me" : ""}>
              <th scope="row">
                <span class="row">
                  <span class="data mute">{seat.place ?? "–"}</span>
                  <Mark mark={markOfSeat(seat.seat)} name={seat.name} size={22} />
                  <span class="clip">
                    <PlayerName who={seat} after={seat === mine ? t("result.you") : ""} />
                  </span>
                </span>
              </th>
              {scored && <td class="data">{fixed(seat.score, 0)}</td>}
              {gained && <td class="data">{`+${result?.xp[seat.seat] ?? 0}`}</td>}
              <td class="data">{ratingChange(ratings, seat.player) || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {scored && gained && <details class="small soft">
        <summary>{t("result.what-the-numbers-mean")}</summary>
        <p>
          {t("result.experience-10-for-staying-to", { what: stones
            ? t("result.points-stones-nearer-to-the")
            : t("result.damage-dealt-the-health-that"), what2: stones ? "" : t("result.1-for-each-20-of") })}
        </p>
      </details>}
    </div>
  );
}

/** The name of a seat. */
const nameIn = (state: SessionState) => (seat: number) => shortName(state.seats.find((one) => one.seat === seat)?.name ?? t("result.seat", { seat: seat + 1 }));

/** Of a match with stones: the end with the most points, and the hardest touch. */
function Stones({ state }: { state: SessionState }) {
  const name = nameIn(state);
  const { hardest } = state.curling;
  const best = bestEnd(state.curling);
  if (!best && !hardest) return null;
  return (
    <dl class="hits" data-test="hits">
      {best && (
        <div>
          <dt>{t("result.best-end")}</dt>
          <dd class="row">
            <Mark mark={markOfSeat(best.seat)} name={name(best.seat)} size={18} />
            <span>{t("wording.end-for", { end: best.end, points: best.points, seat: name(best.seat) })}</span>
          </dd>
        </div>
      )}
      {hardest && (
        <div>
          <dt>{t("result.hardest-touch")}</dt>
          <dd>
            {touched(hardest, name)}
            <span class="data">{measured("impulse", hardest.impulse)}</span>
          </dd>
        </div>
      )}
    </dl>
  );
}

/** The hardest hit, and who hurt whom. */
function Hits({ state }: { state: SessionState }) {
  const name = nameIn(state);
  const pairs = damageByPair(state.result?.damage ?? []);
  const best = state.best;
  if (!best && !pairs.length) return null;
  return (
    <dl class="hits" data-test="hits">
      {best && (
        <div>
          <dt>{t("result.best-hit")}</dt>
          <dd>
            {t("result.on-2", { by: name(best.by), to: name(best.to) })}
            <b class="data">{`−${Math.round(best.damage)}`}</b>
            {", "}
            <span class="data">{measured("impulse", best.impulse)}</span>
          </dd>
        </div>
      )}
      {pairs.length > 0 && (
        <div>
          <dt>{t("result.damage-by-pair")}</dt>
          <dd class="row pairs">
            {pairs.map((pair) => (
              <span class="row" key={`${pair.by} ${pair.to}`}>
                <Mark mark={markOfSeat(pair.by)} name={name(pair.by)} size={18} />
                <span class="vh">{t("result.on", { by: name(pair.by), to: name(pair.to) })}</span>
                <span class="mute" aria-hidden="true">
                  ›
                </span>
                <Mark mark={markOfSeat(pair.to)} name={name(pair.to)} size={18} />
                <b class="data">{Math.round(pair.damage)}</b>
              </span>
            ))}
          </dd>
        </div>
      )}
    </dl>
  );
}
