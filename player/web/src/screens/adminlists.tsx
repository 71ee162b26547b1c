// The two lists of the operators' page: sessions, those that run slowly first, and players.

import { useState } from "preact/hooks";
import { order, overview, pending, shownServer } from "../app/operate";
import { now } from "../app/store";
import { code, fixed, group, minutes, plural } from "../text/format";
import { Confirm } from "../ui/confirm";
import type { LoadedSession } from "../wire/answers";

const TAGS: Record<string, string> = { open: "open", filled: "open", starting: "pause", running: "run", paused: "pause" };

/** From this dilation on a session is called slow. */
const SLOW = 1.2;

function shown<T extends { server: string }>(rows: readonly T[]): readonly T[] {
  return shownServer.value ? rows.filter((row) => row.server === shownServer.value) : rows;
}

export function Sessions() {
  const seen = overview.value;
  const [open, setOpen] = useState("");
  const rows = shown(seen?.sessions ?? []);
  return (
    <section class="tile grow" aria-label="Sessions">
      <header>
        <h2>Sessions</h2>
        <span class="sp" />
        <span class="small mute">{seen && seen.session_count > seen.sessions.length ? `the first ${seen.sessions.length} of ${group(seen.session_count)}` : "slow ones first"}</span>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="List of sessions">
        <table class="ops sessions" data-test="sessions">
          <thead>
            <tr>
              <th scope="col">Session</th>
              <th scope="col">Status</th>
              <th scope="col" class="figures">Tick rate</th>
              <th scope="col" class="figures">Solver</th>
              <th scope="col" class="figures">Dilation</th>
              <th scope="col">Orders</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <SessionLine row={row} key={row.session} at={seen?.at ?? now.value} open={open === row.session} onToggle={() => setOpen(open === row.session ? "" : row.session)} />
            ))}
          </tbody>
        </table>
        {seen && rows.length === 0 && <p class="small mute none">No session waits or runs.</p>}
        {!seen && <p class="small mute none">Reading…</p>}
      </div>
    </section>
  );
}

function SessionLine({ row, at, open, onToggle }: { row: LoadedSession; at: number; open: boolean; onToggle: () => void }) {
  const path = `/api/sessions/${row.session}`;
  const name = code(row.session);
  const slow = row.dilation !== null && row.dilation >= SLOW && row.status === "running";
  const busy = pending.value !== null;
  return (
    <>
      <tr data-session={row.session}>
        <td>
          <button class="link" aria-expanded={open} onClick={onToggle} data-test="members">
            <span class="data">{name}</span>
          </button>
          <span class="small soft"> {row.mode}</span>
          <span class="small mute line">
            {plural(row.members.length, "member")} of {row.size}
            {row.observers > 0 && `, ${plural(row.observers, "observer")}`}, {minutes((at - (row.started_at || row.opened_at)) / 1000)}
          </span>
        </td>
        <td>
          <span class={`tag ${TAGS[row.status] ?? "end"}`}>{row.status.replace("_", " ")}</span>
        </td>
        <td class="figures">
          <span class="data">{row.tick_rate === null ? "–" : `${fixed(row.tick_rate, 1)} Hz`}</span>
        </td>
        <td class="figures">
          <span class="data">{row.solver_ms === null ? "–" : `${fixed(row.solver_ms, 2)} ms`}</span>
          {row.share !== null && <span class="data mute line">{fixed(row.share * 100, 0)} % of a core</span>}
        </td>
        <td class="figures">
          <span class={slow ? "tag bad" : "data"}>{row.dilation === null ? "–" : `${fixed(row.dilation, 2)} ×`}</span>
        </td>
        <td>
          <span class="row orders">
            {row.status === "paused" ? (
              <button class="btn s" disabled={busy} aria-label={`Resume ${name}`} onClick={() => void order(`${path}/resume`, {}, `${name} goes on.`)}>
                Resume
              </button>
            ) : (
              <button class="btn s" disabled={busy || row.status !== "running"} aria-label={`Pause ${name}`} onClick={() => void order(`${path}/pause`, {}, `${name} is paused.`)}>
                Pause
              </button>
            )}
            <Confirm text="End" question="Really end?" label={name} disabled={busy} onConfirm={() => void order(`${path}/end`, {}, `${name} ends.`)} />
          </span>
        </td>
      </tr>
      {open &&
        row.members.map((member) => (
          <tr class="member" key={member.player}>
            <td colSpan={5}>
              <span class="small">
                {member.name} <span class="mute">{member.kind === "bot" ? "bot" : "person"}, seat {member.seat + 1}{member.connected ? "" : ", away"}</span>
              </span>
            </td>
            <td>
              <span class="row orders">
                <Confirm text="Kick" question="Really kick?" label={member.name} disabled={busy} onConfirm={() => void order(`${path}/kick`, { player: member.player }, `${member.name} has lost the seat.`)} />
                <BanButton player={member.player} name={member.name} />
              </span>
            </td>
          </tr>
        ))}
    </>
  );
}

const HOUR_S = 3600;

function BanButton({ player, name }: { player: string; name: string }) {
  return <Confirm text="Ban 1 h" question="Really ban?" label={name} disabled={pending.value !== null} onConfirm={() => void order("/api/admin/ban", { player, for_s: HOUR_S }, `${name} is banned for an hour.`)} />;
}

export function Players() {
  const seen = overview.value;
  const rows = shown(seen?.players ?? []);
  return (
    <section class="tile grow less" aria-label="Players">
      <header>
        <h2>Players</h2>
        <span class="sp" />
        <span class="small mute">{seen && seen.player_count > seen.players.length ? `the first ${seen.players.length} of ${group(seen.player_count)}` : "connected to a session"}</span>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label="List of players">
        <table class="ops players" data-test="players">
          <thead>
            <tr>
              <th scope="col">Player</th>
              <th scope="col">Session</th>
              <th scope="col">Orders</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={`${row.player} ${row.session}`} data-player={row.player}>
                <td>
                  {row.name}{" "}
                  <span class="small mute">
                    {row.kind === "bot" ? "bot" : "person"}, {row.role}
                  </span>
                </td>
                <td>
                  <span class="data">{code(row.session)}</span>
                </td>
                <td>
                  <span class="row orders">
                    <BanButton player={row.player} name={row.name} />
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {seen && rows.length === 0 && <p class="small mute none">Nobody is connected.</p>}
      </div>
    </section>
  );
}
