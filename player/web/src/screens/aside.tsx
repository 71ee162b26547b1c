// The right column of the lobby: the leaderboard, and the lobbies that wait for players.

import { leaderboard, me, ratedMode } from "../app/store";
import { markOfPlayer } from "../stage/palette";
import { group, plural } from "../text/format";
import { Mark } from "../ui/marks";
import { PlayerName } from "../ui/playername";
import type { SessionView } from "../wire/messages";
import { boardRows } from "./board";
import { modeName, sessionTitle } from "./modes";

export function Board() {
  const rows = leaderboard.value && boardRows(leaderboard.value, me.value?.player ?? null);
  return (
    <section class="tile" aria-label="Leaderboard">
      <header>
        <h2>Leaderboard, {modeName(ratedMode.value).toLowerCase()}</h2>
      </header>
      {rows && rows.length > 0 ? (
        <ol style={{ paddingBottom: "8px" }}>
          {rows.map(({ row, place, mine }) => (
            <li class={mine ? "br me" : "br"} key={row.player} value={place}>
              <span class="data mute">{place}</span>
              <Mark mark={markOfPlayer(row.player)} name={row.name} size={20} />
              <span class="name">
                <PlayerName who={row} />
                {mine && <span class="mute"> (you)</span>}
              </span>
              <span class="data">
                {group(Math.round(row.value))}
                {row.provisional && (
                  <span class="mute" title="Provisional: few sessions so far">
                    ?
                  </span>
                )}
              </span>
            </li>
          ))}
        </ol>
      ) : (
        <p class="small mute" style={{ padding: "0 16px 16px" }}>
          {rows ? "Nobody is rated yet. Finish a session to be rated." : "Reading…"}
        </p>
      )}
      {rows?.some(({ row }) => row.provisional) && (
        <p class="small mute" style={{ padding: "0 16px 12px" }}>
          ? few sessions so far
        </p>
      )}
    </section>
  );
}

export function Queue({ waiting }: { waiting: readonly SessionView[] }) {
  const needing = waiting.filter((one) => one.status === "open");
  const seats = needing.reduce((sum, one) => sum + one.size - one.seats.length, 0);
  return (
    <section class="tile" aria-label="Queue">
      <header>
        <h2>Queue</h2>
        <span class="sp" />
        <span class="data mute">{seats ? `${plural(seats, "seat")} free` : ""}</span>
      </header>
      <ul style={{ paddingBottom: "8px" }}>
        {needing.slice(0, 5).map((one) => (
          <li class="q" key={one.session}>
            <span>{sessionTitle(one)}</span>
            <span class="mute">needs {plural(one.size - one.seats.length, "player")}</span>
          </li>
        ))}
        {!needing.length && <li class="q mute">Nobody is waiting. The next search opens a lobby.</li>}
      </ul>
    </section>
  );
}
