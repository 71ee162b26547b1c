// The two lists of the operators' page: sessions, those that run slowly first, and players.

import { useState } from "preact/hooks";
import { order, overview, pending, shownServer } from "../app/operate";
import { now } from "../app/store";
import { code, fixed, group, minutes } from "../text/format";
import { t } from "../text/words";
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
    <section class="tile grow" aria-label={t("adminlists.sessions")}>
      <header>
        <h2>{t("adminlists.sessions")}</h2>
        <span class="sp" />
        <span class="small mute">{seen && seen.session_count > seen.sessions.length ? t("adminlists.the-first-of-2", { sessionsCount: seen.sessions.length, session_count: group(seen.session_count) }) : t("adminlists.slow-ones-first")}</span>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("adminlists.list-of-sessions")}>
        <table class="ops sessions" data-test="sessions">
          <thead>
            <tr>
              <th scope="col">{t("adminlists.session")}</th>
              <th scope="col">{t("adminlists.status")}</th>
              <th scope="col" class="figures">{t("adminlists.tick-rate")}</th>
              <th scope="col" class="figures">{t("adminlists.solver")}</th>
              <th scope="col" class="figures">{t("adminlists.dilation")}</th>
              <th scope="col">{t("adminlists.orders")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <SessionLine row={row} key={row.session} at={seen?.at ?? now.value} open={open === row.session} onToggle={() => setOpen(open === row.session ? "" : row.session)} />
            ))}
          </tbody>
        </table>
        {seen && rows.length === 0 && <p class="small mute none">{t("adminlists.no-session-waits-or-runs")}</p>}
        {!seen && <p class="small mute none">{t("adminlists.reading")}</p>}
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
            {t("adminlists.member", { n: row.members.length })}{" "}{t("adminlists.of")}{" "}{row.size}
            {row.observers > 0 && `, ${t("adminlists.observer", { n: row.observers })}`}, {minutes((at - (row.started_at || row.opened_at)) / 1000)}
          </span>
        </td>
        <td>
          <span class={`tag ${TAGS[row.status] ?? "end"}`}>{row.status.replace("_", " ")}</span>
        </td>
        <td class="figures">
          <span class="data">{row.tick_rate === null ? "–" : `${fixed(row.tick_rate, 1)} Hz`}</span>
        </td>
        <td class="figures">
          <span class="data">{row.solver_ms === null ? "–" : t("adminlists.ms", { solver_ms: fixed(row.solver_ms, 2) })}</span>
          {row.share !== null && <span class="data mute line">{t("adminlists.of-a-core", { fixed: fixed(row.share * 100, 0) })}</span>}
        </td>
        <td class="figures">
          <span class={slow ? "tag bad" : "data"}>{row.dilation === null ? "–" : `${fixed(row.dilation, 2)} ×`}</span>
        </td>
        <td>
          <span class="row orders">
            {row.status === "paused" ? (
              <button class="btn s" disabled={busy} aria-label={t("adminlists.resume", { name })} onClick={() => void order(`${path}/resume`, {}, t("adminlists.goes-on", { name }))}>
                {t("adminlists.resume-2")}
              </button>
            ) : (
              <button class="btn s" disabled={busy || row.status !== "running"} aria-label={t("adminlists.pause", { name })} onClick={() => void order(`${path}/pause`, {}, t("adminlists.is-paused", { name }))}>
                {t("adminlists.pause-2")}
              </button>
            )}
            <Confirm text="End" question={t("adminlists.really-end")} label={name} disabled={busy} onConfirm={() => void order(`${path}/end`, {}, t("adminlists.ends", { name }))} />
          </span>
        </td>
      </tr>
      {open &&
        row.members.map((member) => (
          <tr class="member" key={member.player}>
            <td colSpan={5}>
              <span class="small">
                {member.name} <span class="mute">{member.kind === "bot" ? t("adminlists.bot") : t("adminlists.person")}{t("adminlists.seat")}{" "}{member.seat + 1}{member.connected ? "" : t("adminlists.away")}</span>
              </span>
            </td>
            <td>
              <span class="row orders">
                <Confirm text={t("adminlists.kick")} question={t("adminlists.really-kick")} label={member.name} disabled={busy} onConfirm={() => void order(`${path}/kick`, { player: member.player }, t("adminlists.has-lost-the-seat", { name: member.name }))} />
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
  return <Confirm text={t("adminlists.ban-1-h")} question={t("adminlists.really-ban")} label={name} disabled={pending.value !== null} onConfirm={() => void order("/api/admin/ban", { player, for_s: HOUR_S }, t("adminlists.is-banned-for-an-hour", { name }))} />;
}

export function Players() {
  const seen = overview.value;
  const rows = shown(seen?.players ?? []);
  return (
    <section class="tile grow less" aria-label={t("adminlists.players")}>
      <header>
        <h2>{t("adminlists.players")}</h2>
        <span class="sp" />
        <span class="small mute">{seen && seen.player_count > seen.players.length ? t("adminlists.the-first-of", { playersCount: seen.players.length, player_count: group(seen.player_count) }) : t("adminlists.connected-to-a-session")}</span>
      </header>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("adminlists.list-of-players")}>
        <table class="ops players" data-test="players">
          <thead>
            <tr>
              <th scope="col">{t("adminlists.player")}</th>
              <th scope="col">{t("adminlists.session")}</th>
              <th scope="col">{t("adminlists.orders")}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={`${row.player} ${row.session}`} data-player={row.player}>
                <td>
                  {row.name}{" "}
                  <span class="small mute">
                    {row.kind === "bot" ? t("adminlists.bot") : t("adminlists.person")}, {row.role}
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
        {seen && rows.length === 0 && <p class="small mute none">{t("adminlists.nobody-is-connected")}</p>}
      </div>
    </section>
  );
}
