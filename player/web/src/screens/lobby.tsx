// The lobby: who you are, which sessions there are, and a seat with one press.

import { useEffect, useRef } from "preact/hooks";
import { followLists, showRecorded } from "../app/lists";
import { followPulse } from "../app/pulse";
import { busy, ended, find, listed, listedDays, listedMode, lobbyRtt, mineOnly, open, recorded, recordedNext, search, sessions } from "../app/store";
import { plural } from "../text/format";
import { Bar } from "../ui/bar";
import { useKeys } from "../ui/keyboard";
import { Icon, Rtt, Segmented } from "../ui/parts";
import { Board, Queue } from "./aside";
import { Group, Nothing } from "./list";
import { PlayTile } from "./login";
import { MODES } from "./modes";
import { Preview } from "./preview";

export function Lobby() {
  const searchField = useRef<HTMLInputElement>(null);
  const filter = listed.value;
  useEffect(followLists, []);
  useEffect(followPulse, []);
  useEffect(() => {
    document.title = "Tussle";
  }, []);
  useKeys({
    search: () => searchField.current?.focus(),
    open: (event) => !(event.target instanceof HTMLButtonElement) && void open(),
  });
  const all = sessions.value ?? [];
  const waiting = all.filter((one) => one.status === "open" || one.status === "filled");
  const running = all.filter((one) => ["starting", "running", "paused"].includes(one.status));
  const present = new Set(ended.value.map((one) => one.session));
  const earlier = filter === "ended" ? recorded.value.filter((one) => !present.has(one.session)) : [];
  const people = new Set(all.flatMap((one) => one.seats.filter((seat) => seat.kind === "person").map((seat) => seat.player))).size;
  const bots = new Set(all.flatMap((one) => one.seats.filter((seat) => seat.kind === "bot").map((seat) => seat.player))).size;
  return (
    <>
      <Bar>
        <Rtt ms={lobbyRtt.value} />
        <span class="small mute wide">{people + bots ? `${plural(people, "person", "people")} and ${plural(bots, "bot")} in sessions` : ""}</span>
      </Bar>
      <main class="desk lobby" id="main" tabIndex={-1}>
        <PlayTile />
        <div class="stack">
          <Preview running={running} />
          <section class="tile grow" aria-label="Sessions">
            <div class="tools">
              <label class="field">
                <Icon name="search" />
                <input ref={searchField} type="search" placeholder="Find a session or person" aria-label="Find a session or person" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
              </label>
              <Segmented
                label="Which sessions"
                value={filter}
                onChoose={(chosen) => (listed.value = chosen)}
                options={[
                  { value: "all", text: "All" },
                  { value: "open", text: "Open" },
                  { value: "running", text: "Running" },
                  { value: "ended", text: "Ended" },
                ]}
              />
              <button class="btn wide" onClick={() => void open()} aria-busy={busy.value === "open"} data-test="open">
                <Icon name="plus" />
                New lobby
              </button>
            </div>
            <div class="tools filters">
              <button class="btn s" aria-pressed={mineOnly.value} onClick={() => (mineOnly.value = !mineOnly.value)} data-test="list-mine">
                My matches
              </button>
              <select class="btn s" aria-label="Mode" value={listedMode.value} onChange={(event) => (listedMode.value = event.currentTarget.value)} data-test="list-mode">
                <option value="">Every mode</option>
                {MODES.map((mode) => (
                  <option key={mode.id} value={mode.id}>
                    {mode.name}
                  </option>
                ))}
              </select>
              <select class="btn s" aria-label="When" value={String(listedDays.value)} onChange={(event) => (listedDays.value = Number(event.currentTarget.value))} data-test="list-days">
                <option value="0">Any day</option>
                <option value="1">Today</option>
                <option value="7">7 days</option>
              </select>
            </div>
            <div class="scroll" tabIndex={0} aria-label="List of sessions" role="region" data-test="sessions">
              {(filter === "all" || filter === "open") && waiting.length > 0 && <Group title="Waiting for players" list={waiting} />}
              {(filter === "all" || filter === "running") && running.length > 0 && <Group title="Running" list={running} />}
              {(filter === "ended" || filter === "all") && ended.value.length > 0 && <Group title="Ended" list={ended.value.slice(0, filter === "all" ? 12 : 100)} />}
              {earlier.length > 0 && <Group title="Recorded earlier" list={earlier} />}
              {filter === "ended" && recordedNext.value !== "" && (
                <button class="btn more" onClick={() => void showRecorded(recordedNext.value)} data-test="more-recorded">
                  Show earlier ones
                </button>
              )}
              {filter === "ended" && sessions.value && !(ended.value.length + earlier.length) && <Nothing />}
              {sessions.value && !(waiting.length + running.length) && filter !== "ended" && <Nothing />}
            </div>
          </section>
        </div>
        <div class="stack side">
          <Board />
          <Queue waiting={waiting} />
        </div>
      </main>
      <div class="dock">
        <button class="btn now l" onClick={() => void find()} aria-busy={busy.value === "find"}>
          Find me a seat
        </button>
        <CodeButton />
        <button class="btn l fit" aria-label="New lobby" onClick={() => void open()}>
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
      Code
    </button>
  );
}
