// Turns an event into one line of the log, or none. Pure.

import { t } from "../text/words";
import type { Event } from "../wire/messages";
import { fixed, group, ordinal, shortName } from "../text/format";
import { measured } from "../text/units";
import { num, readBlow, readResult, str } from "./events";
import { ownerOf, touchOf } from "./curling";
import type { Touch } from "./curling";
import type { LogRow, SessionState } from "./state";

/** A blow with a smaller impulse gets no line [N s]. */
const QUIET = 1;

/** What the winner does, by the cause of the end; in any other case the winner "wins". */
const WON = new Map<string, "wording.wins-the-match" | "wording.wins-on-health" | "wording.is-the-last-one-standing">([
  ["bouts", "wording.wins-the-match"],
  ["rounds", "wording.wins-on-health"],
  ["last_standing", "wording.is-the-last-one-standing"],
]);

export function describe(state: SessionState, event: Event): LogRow | null {
  const d = event.d;
  const name = (seat: number): string => shortName(state.seats.find((one) => one.seat === seat)?.name ?? t("wording.seat", { seat: seat + 1 }));
  const body = (seat: number): string => title(state.seats.find((one) => one.seat === seat)?.body ?? "");
  const row = (text: string, turn = false, seat: number | null = null): LogRow => ({
    v: event.v,
    tick: event.tick,
    turn,
    seat,
    parts: [{ text, strong: false }],
  });
  const seat = num(d, "seat", -1);
  switch (event.t) {
    case "seat_taken":
      return row(t("wording.took-seat", { name: shortName(str(d, "name")), seat: seat + 1 }));
    case "seat_left":
      if (str(d, "reason") === "gave_way") return row(t("wording.a-bot-gave-its-seat"));
      return row(str(d, "reason") === "left" || !str(d, "reason") ? t("wording.left", { seat: name(seat) }) : t("wording.lost-the-seat", { seat: name(seat) }));
    case "bots_asked":
      return num(d, "count") ? row(num(d, "count") === 1 ? t("wording.a-bot-is-coming") : t("wording.bots-are-coming", { count: num(d, "count") })) : null;
    case "seats_released":
      return row(t("wording.the-free-seats-are-for"));
    case "seat_disconnected":
      return row(t("wording.lost-the-connection", { seat: name(seat) }));
    case "running":
      return row(state.mode === "duel" ? t("wording.the-bodies-settle-on-the") : state.mode === "curling" ? t("wording.the-sheet-is-laid-out") : t("wording.the-session-begins"));
    case "stone_lost":
      return row(str(d, "cause") === "short" ? t("wording.s-stone-came-to-rest", { curling: name(ownerOf(state.curling, num(d, "stone"))) }) : t("wording.s-stone-is-off-the", { curling: name(ownerOf(state.curling, num(d, "stone"))) }));
    case "bout_ended": {
      const winner = num(d, "winner", -1);
      return row(winner < 0 ? t("wording.bout-nobody-wins", { bout: num(d, "bout") }) : t("wording.wins-bout", { winner: name(winner), bout: num(d, "bout") }), true, winner < 0 ? null : winner);
    }
    case "bout_started":
      return row(t("wording.bout-every-body-is-whole", { bout: num(d, "bout") }));
    case "rim_cracked":
      return row(t("wording.the-rim-cracks-on-two", { falls: num(d, "falls") }), true);
    case "rim_fell":
      return row(t("wording.two-sides-of-the-mat"), true);
    case "end_scored":
      return row(num(d, "seat", -1) < 0 ? t("wording.end-no-stone-counts", { end: num(d, "end") }) : t("wording.end-for", { end: num(d, "end"), points: num(d, "points"), seat: name(seat) }), true, seat);
    case "turn_started":
      return row(t("wording.s-turn", { seat: name(seat) }), true, seat);
    case "action":
      if (state.mode === "curling") return row(str(d, "kind") === "skip" ? t("wording.skipped-a-stone", { seat: name(seat) }) : t("wording.slid-a-stone", { seat: name(seat), measured: measured("speed", num(d, "power") * num(state.brief?.rules ?? {}, "speed")) }));
      return row(action(str(d, "kind"), name(seat), body(seat), num(d, "impulse_Ns"), speed(state, seat, num(d, "impulse_Ns"))));
    case "blow": {
      const blow = readBlow(d, event.tick);
      if (blow.impulse < QUIET) return null;
      if (state.mode === "curling") {
        return { v: event.v, tick: blow.tick, turn: false, seat: null, parts: [{ text: touched(touchOf(state.curling, blow), name), strong: false }, { text: measured("impulse", blow.impulse), strong: true }] };
      }
      const [first, second] = state.turnSeat === blow.b ? [blow.b, blow.a] : [blow.a, blow.b];
      const damage = (who: number) => (who === blow.a ? blow.damageA : blow.damageB);
      const losses = [second, first].filter((who) => Math.round(damage(who)) > 0).map((who) => `${name(who)} −${Math.round(damage(who))}`);
      return {
        v: event.v,
        tick: blow.tick,
        turn: false,
        seat: null,
        parts: [
          { text: t("wording.touched", { first: name(first), second: name(second) }), strong: false },
          { text: measured("impulse", blow.impulse), strong: true },
          { text: losses.length ? `. ${losses.join(", ")}` : "", strong: false },
        ],
      };
    }
    case "out": {
      const where = t("wording.in-place", { place: ordinal(num(d, "place")) });
      const cause = str(d, "cause");
      if (cause === "fallen") return row(t("wording.is-off-the-mat", { seat: name(seat), where }));
      if (cause === "broken") return row(t("wording.s-body-is-broken", { seat: name(seat), where }));
      return row(t("wording.gave-up-the-seat", { seat: name(seat), where }));
    }
    case "turn_ended":
      if (d["undone"] === true) return row(t("wording.the-guard-rule-the-stones"));
      if (state.mode === "curling") return row(t("wording.all-stones-are-at-rest"));
      return row(str(d, "end") === "limit" ? t("wording.the-turn-reached-its-limit") : t("wording.all-bodies-are-at-rest"));
    case "result": {
      const result = readResult(d);
      const winner = name(result.winner ?? -1);
      const how = WON.get(result.cause);
      const points = state.mode === "curling" && result.cause === "points";
      const won = points ? t("wording.wins", { name: winner, sort: [...result.points].sort((a, b) => b - a).join(" to ") }) : how ? `${winner} ${t(how)}` : t("result.wins", { name: winner });
      return row(result.winner === null ? t("wording.nobody-is-ahead-a-draw") : won, true, result.winner);
    }
    case "slot_granted":
      return row(t("wording.holds", { seat: name(seat), body: title(str(d, "body")) }));
    case "slot_freed":
      return str(d, "cause") === "expired" ? row(t("wording.s-hold-on-ran-out", { seat: name(seat), body: title(str(d, "body")) })) : null;
    case "spawned":
      return row(t("wording.put-on-the-mat", { seat: name(seat), id: title(str(d, "id")) }));
    case "removed":
      return row(t("wording.took-away", { seat: name(seat), id: title(str(d, "id")) }));
    case "returned":
      return row(t("wording.was-off-the-mat-and", { id: title(str(d, "id")) }));
    case "joint_broken":
      return row(str(d, "b") ? t("wording.the-joint-of-and-broke", { a: title(str(d, "a")), b: title(str(d, "b")) }) : t("wording.the-joint-of-broke", { a: title(str(d, "a")) }));
    case "freeze":
      return row(d["frozen"] === true ? t("wording.the-world-is-paused") : t("wording.the-world-runs-again"));
    case "gravity":
      return row(t("wording.gravity-is-m-s", { strength: fixed(num(d, "strength"), 1) }));
    case "mark":
      return row(t("wording.the-state-is-remembered"));
    case "undo":
      return row(t("wording.back-to-the-remembered-state"));
    case "reset":
      return row(t("wording.everything-is-back-at-the"));
    case "session_paused":
      return row(str(d, "reason") === "unattended" ? t("wording.paused-nobody-was-here") : t("wording.paused-by-an-operator"));
    case "session_resumed":
      return row(t("wording.the-session-continues"));
    case "recovered":
      return row(d["exact"] === false ? t("wording.restored-from-tick-by-another", { tick: group(num(d, "tick")) }) : t("wording.restored-nothing-was-lost"));
    case "joined":
      return row(t("wording.joined", { seat: name(seat) }));
    case "left":
      return row(t("wording.left", { seat: name(seat) }));
    case "failed":
      return row(t("wording.the-session-stopped", { reason: str(d, "reason") || t("wording.an-error-on-the-servers") }));
    default:
      return null;
  }
}

/** Whose stones touched; the impulse follows. */
export function touched({ by, to }: Touch, name: (seat: number) => string): string {
  return by === to ? t("wording.two-stones-of-touched", { a: name(by) }) : t("wording.a-stone-of-touched-one", { a: name(by), b: name(to) });
}

function action(kind: string, name: string, body: string, impulse: number, speed: number | null): string {
  const pace = speed === null ? measured("impulse", impulse) : measured("speed", speed);
  switch (kind) {
    case "launch":
      if (impulse === 0) return t("wording.stayed-where-is", { name, body });
      return t("wording.launched", { name, body, pace });
    case "spin":
      return t("wording.spun", { name, body, pace });
    case "hop":
      return t("wording.hopped-with", { name, body, pace });
    case "brace":
      return t("wording.braced", { name, body });
    case "skip":
      return t("wording.skipped-the-turn", { name });
    default:
      return `${name}: ${kind}`;
  }
}

function speed(state: SessionState, seat: number, impulse: number): number | null {
  const mass = state.brief?.masses[seat];
  return mass ? impulse / mass : null;
}

export function title(id: string): string {
  return id ? id[0]!.toUpperCase() + id.slice(1).replaceAll("-", " ") : "";
}
