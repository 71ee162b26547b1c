// The lobby: who you are, which sessions there are, and a seat with one press.

import { useEffect, useRef } from "preact/hooks";
import { followLists, showRecorded } from "../app/lists";
import { followPulse } from "../app/pulse";
import { busy, ended, filtered, find, listed, listedDays, listedMode, lobbyRtt, mineOnly, newLists, open, recorded, recordedNext, search, sessions } from "../app/store";
import { entitle } from "../app/turn";
import { t } from "../text/words";
import { Bar } from "../ui/bar";
import { useGlide } from "../ui/glide";
import { useKeys } from "../ui/keyboard";
import { Icon, Rtt, Segmented } from "../ui/parts";
import { Board, Queue } from "./aside";
import { Group, Nothing } from "./list";
import { PlayTile } from "./login";
import { modes } from "./modes";
import { useHeldOrder } from "./order";
import { Preview } from "./preview";

export function Lobby() {
  const searchField = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const filter = listed.value;
  useEffect(followLists, []);
  useEffect(followPulse, []);
  useEffect(() => entitle(t("lobby.tussle")), []);
  useKeys({
    search: () => searchField.current?.focus(),
    open: (event) => !(event.target instanceof HTMLButtonElement) && void open(),
  });
  const all = sessions.value ?? [];
  const waiting = all.filter((one) => one.status === "open" || one.status === "filled");
  const running = all.filter((one) => ["starting", "running", "paused"].includes(one.status));
  const present = new Set(ended.value.map((one) => one.session));
  const earlier = filter === "ended" ? recorded.value.filter((one) => !present.has(one.session)) : [];
  // In the whole list every group keeps its place while matches begin and end, so that what is below it stays.
  const placed = filter === "all" && !filtered.value && !search.value.trim() && ended.value.length > 0;
  const groups = [
    { name: t("lobby.waiting-for-players"), rows: filter === "all" || filter === "open" ? waiting : [], none: placed ? t("lobby.nobody-waits") : "" },
    { name: t("lobby.running"), rows: filter === "all" || filter === "running" ? running : [], none: placed ? t("lobby.nothing-runs") : "" },
    { name: t("lobby.ended"), rows: filter === "all" ? ended.value.slice(0, 12) : filter === "ended" ? ended.value : [], none: "" },
    { name: t("lobby.recorded-earlier"), rows: earlier, none: "" },
  ];
  const shown = useHeldOrder(list, groups, ended.value, `${newLists.value} ${filter} ${earlier.length}`);
  useGlide(list);
  const people = new Set(all.flatMap((one) => one.seats.filter((seat) => seat.kind === "person").map((seat) => seat.player))).size;
  const bots = new Set(all.flatMap((one) => one.seats.filter((seat) => seat.kind === "bot").map((seat) => seat.player))).size;
  return (
    <>
      <Bar>
        <span class="small mute wide">{people + bots ? t("lobby.and-in-sessions", { people: t("lobby.person", { n: people }), bots: t("lobby.bot", { n: bots }) }) : ""}</span>
        <Rtt ms={lobbyRtt.value} />
      </Bar>
      <main class="desk lobby" id="main" tabIndex={-1}>
        <PlayTile />
        <div class="stack">
          <Preview running={running} />
          <section class="tile grow" aria-label={t("lobby.sessions")}>
            <div class="tools">
              <label class="field">
                <Icon name="search" />
                <input ref={searchField} type="search" placeholder={t("lobby.find-a-session-or-person")} aria-label={t("lobby.find-a-session-or-person")} value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
              </label>
              <Segmented
                label={t("lobby.which-sessions")}
                value={filter}
                onChoose={(chosen) => (listed.value = chosen)}
                options={[
                  { value: "all", text: t("lobby.all") },
                  { value: "open", text: t("lobby.open") },
                  { value: "running", text: t("lobby.running") },
                  { value: "ended", text: t("lobby.ended") },
                ]}
              />
              <button class="btn wide" onClick={() => void open()} aria-busy={busy.value === "open"} data-test="open">
                <Icon name="plus" />
                {t("lobby.new-lobby")}
              </button>
            </div>
            <div class="tools filters">
              <button class="btn s" aria-pressed={mineOnly.value} onClick={() => (mineOnly.value = !mineOnly.value)} data-test="list-mine">
                {t("lobby.my-matches")}
              </button>
              <select class="btn s" aria-label={t("lobby.mode")} value={listedMode.value} onChange={(event) => (listedMode.value = event.currentTarget.value)} data-test="list-mode">
                <option value="">{t("lobby.every-mode")}</option>
                {modes().map((mode) => (
                  <option key={mode.id} value={mode.id}>
                    {mode.name}
                  </option>
                ))}
              </select>
              <select class="btn s" aria-label={t("lobby.when")} value={String(listedDays.value)} onChange={(event) => (listedDays.value = Number(event.currentTarget.value))} data-test="list-days">
                <option value="0">{t("lobby.any-day")}</option>
                <option value="1">{t("lobby.today")}</option>
                <option value="7">{t("lobby.7-days")}</option>
              </select>
            </div>
            <div class="scroll sessions" ref={list} tabIndex={0} aria-label={t("lobby.list-of-sessions")} role="region" data-test="sessions" {...shown.handlers}>
              {shown.groups.map(({ name, rows }, i) => (
                (rows.length > 0 || groups[i]!.none) && <Group key={name} title={name} count={groups[i]!.rows.length} rows={rows} none={groups[i]!.none} />
              ))}
              {filter === "ended" && recordedNext.value !== "" && (
                <button class="btn more" onClick={() => void showRecorded(recordedNext.value)} data-test="more-recorded">
                  {t("lobby.show-earlier-ones")}
                </button>
              )}
              {filter === "ended" && sessions.value && !(ended.value.length + earlier.length) && <Nothing />}
              {sessions.value && !placed && !(waiting.length + running.length) && filter !== "ended" && <Nothing />}
            </div>
            {shown.later > 0 && (
              <p class="later small" data-test="later">
                {t("lobby.more-once-you-leave", { sessions: t("lobby.session", { n: shown.later }) })}
              </p>
            )}
          </section>
        </div>
        <div class="stack side">
          <Board />
          <Queue waiting={waiting} />
        </div>
      </main>
      <div class="dock">
        <button class="btn now l" onClick={() => void find()} aria-busy={busy.value === "find"}>
          {t("lobby.find-me-a-seat")}
        </button>
        <CodeButton />
        <button class="btn l fit" aria-label={t("lobby.new-lobby")} onClick={() => void open()}>
          <Icon name="plus" />
        </button>
      </div>
    </>
  );
}

function CodeButton() {
  return (
    <button
      class="btn l fit"
      onClick={() => {
        const field = document.getElementById("code");
        field?.scrollIntoView({ block: "center" });
        field?.focus();
      }}
    >
      {t("lobby.code")}
    </button>
  );
}
