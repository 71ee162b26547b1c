// The right column of the lobby: the leaderboard, and the lobbies that wait for players.

import { leaderboard, me, ratedMode } from "../app/store";
import { markOfPlayer } from "../stage/palette";
import { group } from "../text/format";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { PlayerName } from "../ui/playername";
import type { SessionView } from "../wire/messages";
import { boardRows } from "./board";
import { modeName, sessionTitle } from "./modes";

export function Board() {
  const rows = leaderboard.value && boardRows(leaderboard.value, me.value?.player ?? null);
  return (
    <section class="tile" aria-label={t("aside.leaderboard")}>
      <header>
        <h2>{t("aside.leaderboard-2", { ratedMode: modeName(ratedMode.value).toLowerCase() })}</h2>
      </header>
      {rows && rows.length > 0 ? (
        <ol style={{ paddingBottom: "8px" }}>
          {rows.map(({ row, place, mine }) => (
            <li class={mine ? "br me" : "br"} key={row.player} value={place}>
              <span class="data mute">{place}</span>
              <Mark mark={markOfPlayer(row.player)} name={row.name} size={20} />
              <span class="name">
                <PlayerName who={row} />
                {mine && <span class="mute">{" "}{t("aside.you")}</span>}
              </span>
              <span class="data">
                {group(Math.round(row.value))}
                {row.provisional && (
                  <span class="mute" title={t("aside.provisional-few-sessions-so-far")}>
                    ?
                  </span>
                )}
              </span>
            </li>
          ))}
        </ol>
      ) : (
        <p class="small mute" style={{ padding: "0 16px 16px" }}>
          {rows ? t("aside.nobody-is-rated-yet-finish") : t("aside.reading")}
        </p>
      )}
      {rows?.some(({ row }) => row.provisional) && (
        <p class="small mute" style={{ padding: "0 16px 12px" }}>
          {t("aside.few-sessions-so-far")}
        </p>
      )}
    </section>
  );
}

export function Queue({ waiting }: { waiting: readonly SessionView[] }) {
  const needing = waiting.filter((one) => one.status === "open");
  const seats = needing.reduce((sum, one) => sum + one.size - one.seats.length, 0);
  return (
    <section class="tile" aria-label={t("aside.queue")}>
      <header>
        <h2>{t("aside.queue")}</h2>
        <span class="sp" />
        <span class="data mute">{seats ? t("aside.free", { seats: t("aside.seat", { n: seats }) }) : ""}</span>
      </header>
      <ul style={{ paddingBottom: "8px" }}>
        {needing.slice(0, 5).map((one) => (
          <li class="q" key={one.session}>
            <span>{sessionTitle(one)}</span>
            <span class="mute">{t("aside.needs", { plural: t("aside.player", { n: one.size - one.seats.length }) })}</span>
          </li>
        ))}
        {!needing.length && <li class="q mute">{t("aside.nobody-is-waiting-the-next")}</li>}
      </ul>
    </section>
  );
}
