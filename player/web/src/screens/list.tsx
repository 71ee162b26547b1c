// The list of sessions in the lobby: groups, rows, and what is shown when the list is empty.

import { busy, clearFilters, filtered, hasSeat, join, newFrom, now, open, search, watch, watchAgain } from "../app/store";
import { markOfSeat } from "../stage/palette";
import { dayAndTime, group, minutes, shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "../ui/marks";
import { Icon } from "../ui/parts";
import { PlayerName } from "../ui/playername";
import type { SessionView } from "../wire/messages";
import { modeName, sessionTitle } from "./modes";
import type { Placed } from "./order";

/** A group of rows; none: what an empty one says, in the place of a row. In a list without filters, open lobbies have their place: the first of them waits longest. */
export function Group({ title, count, rows, none = "" }: { title: string; count: number; rows: readonly Placed[]; none?: string }) {
  // The server filters: the place among all is known only where the list is whole.
  const open = search.value.trim() || filtered.value ? [] : rows.filter((one) => one.view?.status === "open");
  return (
    <section aria-label={title} data-glide={title}>
      <div class="gh">
        <h2>{title}</h2>
        <span class="data mute">{group(count)}</span>
      </div>
      <ul>
        {!rows.length && none && (
          <li class="lr vacant small mute" data-glide={none}>
            {none}
          </li>
        )}
        {rows.map((one) =>
          one.view ? (
            <Row key={one.session} view={one.view} place={open.indexOf(one) + 1} />
          ) : (
            <li key={one.session} class="lr vacant small mute" data-session={one.session} data-glide={one.session}>
              {t("list.no-longer-listed")}
            </li>
          ),
        )}
      </ul>
    </section>
  );
}

function Row({ view, place }: { view: SessionView; place: number }) {
  void now.value;
  const free = view.size - view.seats.length;
  const over = ["ended", "timed_out", "failed"].includes(view.status);
  const winner = over ? (view.result?.["winner"] as number | null | undefined) : null;
  const since = view.started_at || view.opened_at;
  const age = over ? (view.ended_at - since) / 1000 : (Date.now() - since) / 1000;
  return (
    <li class="lr" data-session={view.session} data-glide={view.session}>
      <div class="n">
        <h3>{sessionTitle(view)}</h3>
        <span class="small mute">
          {over ? `${dayAndTime(view.ended_at)} · ` : ""}
          {view.seats.map((seat, i) => (
            <PlayerName key={seat.seat} who={seat} after={i < view.seats.length - 1 ? ", " : ""} />
          ))}
          {!view.seats.length && t("list.empty")}
        </span>
      </div>
      <span class="small soft mo">{modeName(view.mode)}</span>
      <span class="seatrow" aria-label={t("list.of-seats-taken", { seatsCount: view.seats.length, size: view.size })} role="img">
        {Array.from({ length: view.size }, (_, seat) => {
          const taken = view.seats.find((one) => one.seat === seat);
          return taken ? <Mark key={seat} mark={markOfSeat(seat)} name={taken.name} size={15} /> : <span key={seat} class="fr" />;
        })}
      </span>
      {over ? (
        <span class={view.status === "failed" ? "tag bad" : "tag end"}>{view.status === "failed" ? t("list.failed") : typeof winner === "number" ? t("list.won", { shortName: shortName(view.seats.find((seat) => seat.seat === winner)?.name ?? "") }) : t("list.ended")}</span>
      ) : view.status === "open" ? (
        <span class="tag open">
          {place > 0 && `#${place} · `}
          {t("list.free", { free: t("list.seat", { n: free }) })}
        </span>
      ) : view.status === "filled" ? (
        <span class="tag pause">{t("list.getting-ready")}</span>
      ) : view.status === "paused" ? (
        <span class="tag pause">{t("list.paused")}</span>
      ) : view.status === "starting" ? (
        <span class="tag pause">{t("list.starting")}</span>
      ) : (
        <span class="tag run">{view.round ? t("list.round", { round: view.round }) : t("list.live")}</span>
      )}
      <span class="data mute ag" title={place ? t("list.place-of-those-that-wait", { place, age: minutes(age) }) : undefined} data-test="age">
        {minutes(Math.max(0, age))}
      </span>
      {hasSeat(view) ? (
        <button class="btn main s" onClick={() => void join(view.session)} aria-label={t("list.join", { view: sessionTitle(view) })} aria-busy={busy.value === `join ${view.session}`}>
          {t("list.join-2")}
        </button>
      ) : over ? (
        <button class="btn s" onClick={() => watchAgain(view.session)} aria-label={t("list.watch-again", { view: sessionTitle(view) })} data-test="watch-again">
          {t("list.watch-again-2")}
        </button>
      ) : (
        <button class="btn s" onClick={() => void watch(view.session)} aria-label={t("list.watch", { view: sessionTitle(view) })}>
          {t("list.watch-2")}
        </button>
      )}
      {(view.mode === "sandbox" || view.started_at > 0) && (
        <button class="btn ghost s sq again" onClick={() => void newFrom({ like: { session: view.session } })} aria-label={t("list.new-from-this", { view: sessionTitle(view) })} aria-busy={busy.value === "new-from"} title={t("list.new-from-this-a-scene")} data-test="new-from">
          <Icon name="plus" />
        </button>
      )}
    </li>
  );
}

export function Nothing() {
  const text = search.value.trim();
  return text || filtered.value ? (
    <div class="blank">
      <Icon name="search" />
      <h1>{text ? t("list.no-session-called", { text }) : t("list.no-session-like-that")}</h1>
      <p>{text ? t("list.search-looks-at-names-people") : t("list.private-sessions-are-in-nobodys")}</p>
      <button class="btn" onClick={clearFilters}>
        {filtered.value ? t("list.show-all-sessions") : t("list.clear-search")}
      </button>
    </div>
  ) : (
    <div class="blank">
      <svg width="104" height="48" viewBox="0 0 104 48" fill="none" stroke="var(--line-strong)" stroke-width="1.5" stroke-dasharray="4 4" aria-hidden="true">
        <rect x="4" y="4" width="44" height="40" rx="9" />
        <ellipse cx="78" cy="24" rx="22" ry="20" />
      </svg>
      <h1>{t("list.no-sessions-right-now")}</h1>
      <p>{t("list.find-a-seat-or-open")}</p>
      <button class="btn" onClick={() => void open()}>
        {t("list.new-lobby")}
      </button>
    </div>
  );
}
