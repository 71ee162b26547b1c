// Turns an event into one line of the log, or none. Pure.

import type { Event } from "../wire/messages";
import { fixed, group, ordinal, shortName } from "../text/format";
import { measured } from "../text/units";
import { num, readBlow, readResult, str } from "./events";
import { ownerOf } from "./curling";
import type { LogRow, SessionState } from "./state";

/** A blow with a smaller impulse gets no line [N s]. */
const QUIET = 1;

export function describe(state: SessionState, event: Event): LogRow | null {
  const d = event.d;
  const name = (seat: number): string => shortName(state.seats.find((one) => one.seat === seat)?.name ?? `Seat ${seat + 1}`);
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
      return row(`${shortName(str(d, "name"))} took seat ${seat + 1}`);
    case "seat_left":
      if (str(d, "reason") === "gave_way") return row("A bot gave its seat to a person");
      return row(str(d, "reason") === "left" || !str(d, "reason") ? `${name(seat)} left` : `${name(seat)} lost the seat`);
    case "bots_asked":
      return num(d, "count") ? row(num(d, "count") === 1 ? "A bot is coming" : `${num(d, "count")} bots are coming`) : null;
    case "seats_released":
      return row("The free seats are for anyone now");
    case "seat_disconnected":
      return row(`${name(seat)} lost the connection`);
    case "running":
      return row(state.mode === "duel" ? "The bodies settle on the mat" : state.mode === "curling" ? "The sheet is laid out" : "The session begins");
    case "stone_lost":
      return row(str(d, "cause") === "short" ? `${name(ownerOf(state.curling, num(d, "stone")))}’s stone came to rest too short` : `${name(ownerOf(state.curling, num(d, "stone")))}’s stone is off the sheet`);
    case "bout_ended": {
      const winner = num(d, "winner", -1);
      return row(winner < 0 ? `Round ${num(d, "bout")}: nobody wins` : `${name(winner)} wins round ${num(d, "bout")}`, true, winner < 0 ? null : winner);
    }
    case "bout_started":
      return row(`Round ${num(d, "bout")}: every body is whole again`);
    case "rim_cracked":
      return row(`The rim cracks on two sides: they fall before round ${num(d, "falls")}`, true);
    case "rim_fell":
      return row("Two sides of the mat fall", true);
    case "end_scored":
      return row(num(d, "seat", -1) < 0 ? `End ${num(d, "end")}: no stone counts` : `End ${num(d, "end")}: ${num(d, "points")} for ${name(seat)}`, true, seat);
    case "turn_started":
      return row(`${name(seat)}’s turn`, true, seat);
    case "action":
      if (state.mode === "curling") return row(str(d, "kind") === "skip" ? `${name(seat)} skipped a stone` : `${name(seat)} slid a stone, ${measured("speed", num(d, "power") * num(state.brief?.rules ?? {}, "speed"))}`);
      return row(action(str(d, "kind"), name(seat), body(seat), num(d, "impulse_Ns"), speed(state, seat, num(d, "impulse_Ns"))));
    case "blow": {
      const blow = readBlow(d, event.tick);
      if (blow.impulse < QUIET) return null;
      if (state.mode === "curling") {
        const [a, b] = [ownerOf(state.curling, blow.a), ownerOf(state.curling, blow.b)];
        const whose = a === b ? `Two stones of ${name(a)} touched, ` : `A stone of ${name(a)} touched one of ${name(b)}, `;
        return { v: event.v, tick: blow.tick, turn: false, seat: null, parts: [{ text: whose, strong: false }, { text: measured("impulse", blow.impulse), strong: true }] };
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
          { text: `${name(first)} touched ${name(second)}, `, strong: false },
          { text: measured("impulse", blow.impulse), strong: true },
          { text: losses.length ? `. ${losses.join(", ")}` : "", strong: false },
        ],
      };
    }
    case "out": {
      const where = ` in ${ordinal(num(d, "place"))} place`;
      const cause = str(d, "cause");
      if (cause === "fallen") return row(`${name(seat)} is off the mat,${where}`);
      if (cause === "broken") return row(`${name(seat)}’s body is broken,${where}`);
      return row(`${name(seat)} gave up the seat,${where}`);
    }
    case "turn_ended":
      if (d["undone"] === true) return row("The guard rule: the stones are put back");
      if (state.mode === "curling") return row("All stones are at rest");
      return row(str(d, "end") === "limit" ? "The turn reached its limit of 4 s" : "All bodies are at rest");
    case "result": {
      const result = readResult(d);
      const won = state.mode === "curling" && result.cause === "points" ? `${name(result.winner ?? -1)} wins, ${[...result.points].sort((a, b) => b - a).join(" to ")}` : `${name(result.winner ?? -1)} ${result.cause === "bouts" ? "wins the match" : result.cause === "rounds" ? "wins on health" : "is the last one standing"}`;
      return row(result.winner === null ? "Nobody is ahead: a draw" : won, true, result.winner);
    }
    case "slot_granted":
      return row(`${name(seat)} holds ${title(str(d, "body"))}`);
    case "slot_freed":
      return str(d, "cause") === "expired" ? row(`${name(seat)}’s hold on ${title(str(d, "body"))} ran out`) : null;
    case "spawned":
      return row(`${name(seat)} put ${title(str(d, "id"))} on the mat`);
    case "removed":
      return row(`${name(seat)} took ${title(str(d, "id"))} away`);
    case "returned":
      return row(`${title(str(d, "id"))} was off the mat and is back`);
    case "joint_broken":
      return row(str(d, "b") ? `The joint of ${title(str(d, "a"))} and ${title(str(d, "b"))} broke` : `The joint of ${title(str(d, "a"))} broke`);
    case "freeze":
      return row(d["frozen"] === true ? "The world is paused" : "The world runs again");
    case "gravity":
      return row(`Gravity is ${fixed(num(d, "strength"), 1)} m/s²`);
    case "mark":
      return row("The state is remembered");
    case "undo":
      return row("Back to the remembered state");
    case "reset":
      return row("Everything is back at the start");
    case "session_paused":
      return row("Paused by an operator");
    case "session_resumed":
      return row("The session continues");
    case "recovered":
      return row(d["exact"] === false ? `Restored from tick ${group(num(d, "tick"))} by another build of the server` : "Restored: nothing was lost");
    case "joined":
      return row(`${name(seat)} joined`);
    case "left":
      return row(`${name(seat)} left`);
    case "failed":
      return row(`The session stopped: ${str(d, "reason") || "an error on the server’s side"}`);
    default:
      return null;
  }
}

function action(kind: string, name: string, body: string, impulse: number, speed: number | null): string {
  const pace = speed === null ? measured("impulse", impulse) : measured("speed", speed);
  switch (kind) {
    case "launch":
      if (impulse === 0) return `${name} stayed where ${body} is`;
      return `${name} launched ${body}, ${pace}`;
    case "spin":
      return `${name} spun ${body}, ${pace}`;
    case "hop":
      return `${name} hopped with ${body}, ${pace}`;
    case "brace":
      return `${name} braced ${body}`;
    case "skip":
      return `${name} skipped the turn`;
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
