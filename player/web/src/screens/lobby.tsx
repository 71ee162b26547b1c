// The lobby: who one is, what is on, a seat in one press.

import { useEffect, useRef, useState } from "preact/hooks";
import { poll } from "../app/polling";
import {
  api,
  busy,
  claim,
  ended,
  find,
  join,
  leaderboard,
  me,
  now,
  open,
  pollRtt,
  ratedMode,
  search,
  sessions,
  wantedMode,
  wantedName,
  wantedPrivate,
  wantedSize,
  watch,
} from "../app/store";
import { SessionClient } from "../session/client";
import { markOfPlayer, markOfSeat } from "../stage/palette";
import { group, inWords, minutes, parseCode, plural, shortName } from "../ui/format";
import { Mark } from "../ui/marks";
import { Bar, Icon, Rtt, Segmented, useKeys } from "../ui/parts";
import { StageView } from "../ui/stageview";
import type { SessionView } from "../wire/messages";
import { MODES, modeCard, modeName } from "./modes";

type Filter = "all" | "open" | "running" | "ended";

export function Lobby() {
  const searchField = useRef<HTMLInputElement>(null);
  const [filter, setFilter] = useState<Filter>("all");
  useEffect(poll, []);
  useEffect(() => {
    document.title = "Tussle";
  }, []);
  useKeys((event) => {
    if (event.key === "/") {
      event.preventDefault();
      searchField.current?.focus();
    } else if (event.key.toLowerCase() === "n" && !(event.target instanceof HTMLButtonElement)) void open();
  });
  const all = sessions.value ?? [];
  const waiting = all.filter((one) => one.status === "open" || one.status === "filled");
  const running = all.filter((one) => ["starting", "running", "paused"].includes(one.status));
  const people = new Set(all.flatMap((one) => one.seats.filter((seat) => seat.kind === "person").map((seat) => seat.player))).size;
  const bots = new Set(all.flatMap((one) => one.seats.filter((seat) => seat.kind === "bot").map((seat) => seat.player))).size;
  return (
    <>
      <Bar>
        <Rtt ms={pollRtt.value} />
        <span class="small mute wide">{people + bots ? `${plural(people, "person", "people")} and ${plural(bots, "bot")} in sessions` : ""}</span>
      </Bar>
      <main class="desk lobby" id="main" tabIndex={-1}>
        <PlayTile />
        <div class="stack">
          <Featured running={running} />
          <section class="tile grow" aria-label="Sessions">
            <div class="tools">
              <label class="field">
                <Icon name="search" />
                <input ref={searchField} type="search" placeholder="Find a session or person" aria-label="Find a session or person" value={search.value} onInput={(event) => (search.value = event.currentTarget.value)} />
              </label>
              <Segmented
                label="Which sessions"
                value={filter}
                onChoose={setFilter}
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
            <div class="scroll" tabIndex={0} aria-label="List of sessions" role="region" data-test="sessions">
              {(filter === "all" || filter === "open") && waiting.length > 0 && <Group title="Waiting for players" list={waiting} />}
              {(filter === "all" || filter === "running") && running.length > 0 && <Group title="Running" list={running} />}
              {(filter === "ended" || filter === "all") && ended.value.length > 0 && <Group title="Ended" list={ended.value.slice(0, filter === "all" ? 12 : 100)} />}
              {sessions.value && !(waiting.length + running.length) && filter !== "ended" && <Nothing />}
            </div>
          </section>
        </div>
        <div class="stack side">
          <Board />
          <Queue waiting={waiting} />
          <Rules />
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

function PlayTile() {
  const [code, setCode] = useState("");
  const [secret, setSecret] = useState<string | null>(null);
  const [refused, setRefused] = useState("");
  const known = me.value;
  const mine = known && shortName(known.name) === wantedName.value.trim();
  return (
    <div class="stack">
      <section class="tile grow" aria-label="Play" style={{ flexShrink: 0 }}>
        <div class="play scroll">
          <h1 class="hello">Push, pull, knock off. Nothing ever passes through.</h1>
          <div class="col">
            <label class="small soft" for="name">
              Your name here
            </label>
            <div class="field">
              <input id="name" value={wantedName.value} maxLength={24} placeholder="Guest" autocomplete="nickname" onInput={(event) => (wantedName.value = event.currentTarget.value)} />
              {known && mine && <Mark mark={markOfPlayer(known.player)} name={known.name} size={24} />}
            </div>
            {known && mine && !known.guest ? (
              <p class="small mute">This name is yours; your secret keeps it.</p>
            ) : secret === null ? (
              <p class="small mute">
                No account needed.{" "}
                <button class="link" onClick={() => setSecret("")}>
                  Keep this name with a secret
                </button>
              </p>
            ) : (
              <form
                class="row"
                onSubmit={(event) => {
                  event.preventDefault();
                  void claim(secret).then((problem) => (problem === null ? setSecret(null) : setRefused(problem)));
                }}
              >
                <div class={refused ? "field bad" : "field"} style={{ flex: 1 }}>
                  <input type="password" aria-label="Secret, 6 characters or more" aria-invalid={refused !== ""} aria-describedby={refused ? "refused" : undefined} placeholder="Secret, 6 or more" minLength={6} autocomplete="current-password" value={secret} onInput={(event) => { setSecret(event.currentTarget.value); setRefused(""); }} />
                </div>
                <button class="btn main" disabled={secret.length < 6 || !wantedName.value.trim()}>
                  It’s mine
                </button>
              </form>
            )}
            {refused && (
              <p class="small harm" id="refused" role="alert" data-test="refused">
                {refused}
              </p>
            )}
          </div>
          <div class="sep" />
          <div class="col">
            <span class="small soft">Mode and seats</span>
            {MODES.length > 1 && <Segmented tight label="Mode" value={wantedMode.value} options={MODES.map((mode) => ({ value: mode.id, text: mode.name }))} onChoose={(mode) => {
              wantedMode.value = mode;
              const card = modeCard(mode);
              if (!card.sizes.includes(wantedSize.value)) wantedSize.value = card.size;
            }} />}
            <div class="row">
              <Segmented label="Seats" value={wantedSize.value} options={modeCard(wantedMode.value).sizes.map((size) => ({ value: size, text: String(size) }))} onChoose={(size) => (wantedSize.value = size)} />
              <span class="small mute">{inWords(wantedSize.value).toLowerCase()} {modeCard(wantedMode.value).on}</span>
            </div>
            <label class="small soft check">
              <input type="checkbox" checked={wantedPrivate.value} onChange={(event) => (wantedPrivate.value = event.currentTarget.checked)} />
              New lobbies by code only
            </label>
          </div>
          <button class="btn now l wide" onClick={() => void find()} aria-busy={busy.value === "find"} data-test="find">
            Find me a seat
          </button>
          <div class="sep" />
          <form
            class="col"
            onSubmit={(event) => {
              event.preventDefault();
              if (parseCode(code)) void join(code);
            }}
          >
            <label class="small soft" for="code">
              Have a code?
            </label>
            <div class="row">
              <div class="field code" style={{ flex: 1 }}>
                <input id="code" placeholder="K7QM 2XPV" autocomplete="off" spellcheck={false} value={code} onInput={(event) => setCode(event.currentTarget.value)} />
              </div>
              <button class="btn" disabled={parseCode(code).length !== 8}>
                Join
              </button>
            </div>
          </form>
          <span class="sp" />
          <p class="small mute wide">
            <span class="kbd">/</span> search &ensp;<span class="kbd">N</span> new lobby
          </p>
        </div>
      </section>
    </div>
  );
}

function Group({ title, list }: { title: string; list: readonly SessionView[] }) {
  return (
    <section aria-label={title}>
      <div class="gh">
        <h2>{title}</h2>
        <span class="data mute">{group(list.length)}</span>
      </div>
      <ul>
        {list.map((one) => (
          <Row key={one.session} view={one} />
        ))}
      </ul>
    </section>
  );
}

export function sessionTitle(view: { host: string; mode: string; seats: readonly { player: string; name: string }[] }): string {
  const host = view.seats.find((seat) => seat.player === view.host) ?? view.seats[0];
  return host ? `${shortName(host.name)}’s ${modeName(view.mode).toLowerCase()}` : modeName(view.mode);
}

function Row({ view }: { view: SessionView }) {
  void now.value;
  const free = view.size - view.seats.length;
  const over = ["ended", "timed_out", "failed"].includes(view.status);
  const winner = over ? (view.result?.["winner"] as number | null | undefined) : null;
  const since = view.started_at || view.opened_at;
  const age = over ? (view.ended_at - since) / 1000 : (Date.now() - since) / 1000;
  const members = view.seats.map((seat) => shortName(seat.name)).join(", ");
  return (
    <li class="lr" data-session={view.session}>
      <div class="n">
        <h3>{sessionTitle(view)}</h3>
        <span class="small mute">{members || "empty"}</span>
      </div>
      <span class="small soft mo">{modeName(view.mode)}</span>
      <span class="seatrow" aria-label={`${view.seats.length} of ${view.size} seats taken`} role="img">
        {Array.from({ length: view.size }, (_, seat) => {
          const taken = view.seats.find((one) => one.seat === seat);
          return taken ? <Mark key={seat} mark={markOfSeat(seat)} name={taken.name} size={15} /> : <span key={seat} class="fr" />;
        })}
      </span>
      {over ? (
        <span class={view.status === "failed" ? "tag bad" : "tag end"}>{view.status === "failed" ? "Failed" : typeof winner === "number" ? `${shortName(view.seats.find((seat) => seat.seat === winner)?.name ?? "")} won` : "Ended"}</span>
      ) : view.status === "open" ? (
        <span class="tag open">{free === 1 ? "1 seat free" : `${free} free`}</span>
      ) : view.status === "filled" ? (
        <span class="tag pause">Getting ready</span>
      ) : view.status === "paused" ? (
        <span class="tag pause">Changing server</span>
      ) : view.status === "starting" ? (
        <span class="tag pause">Starting</span>
      ) : (
        <span class="tag run">{view.round ? `Round ${view.round}` : "Live"}</span>
      )}
      <span class="data mute ag">{minutes(Math.max(0, age))}</span>
      {view.status === "open" ? (
        <button class="btn main s" onClick={() => void join(view.session)} aria-label={`Join ${sessionTitle(view)}`} aria-busy={busy.value === `join ${view.session}`}>
          Join
        </button>
      ) : over ? (
        <span />
      ) : (
        <button class="btn s" onClick={() => void watch(view.session)} aria-label={`Watch ${sessionTitle(view)}`}>
          Watch
        </button>
      )}
    </li>
  );
}

function Nothing() {
  const text = search.value.trim();
  return text ? (
    <div class="blank">
      <Icon name="search" />
      <h1>No session called “{text}”</h1>
      <p>Search looks at names, people and codes.</p>
      <button class="btn" onClick={() => (search.value = "")}>
        Clear search
      </button>
    </div>
  ) : (
    <div class="blank">
      <svg width="104" height="48" viewBox="0 0 104 48" fill="none" stroke="var(--line-strong)" stroke-width="1.5" stroke-dasharray="4 4" aria-hidden="true">
        <rect x="4" y="4" width="44" height="40" rx="9" />
        <ellipse cx="78" cy="24" rx="22" ry="20" />
      </svg>
      <h1>The mat is empty</h1>
      <p>Nobody is playing right now. Find a seat, or open a lobby and share its code.</p>
      <button class="btn" onClick={() => void open()}>
        New lobby
      </button>
    </div>
  );
}

/** The newest running session, live. A bystander's connection; none where the window is small or no one plays. */
function Featured({ running }: { running: readonly SessionView[] }) {
  const [shown, setShown] = useState<SessionClient | null>(null);
  const token = useRef<string | null>(null);
  const wide = matchMedia("(min-width: 761px)").matches;
  const candidate = running.find((one) => one.status === "running" && one.mode === "duel")?.session ?? null;
  const current = running.find((one) => one.session === token.current) ?? null;
  const gone = token.current !== null && !current;
  useEffect(() => {
    if (!wide || (!gone && token.current) || !candidate) return;
    let stopped = false;
    token.current = candidate;
    void (async () => {
      try {
        // A bystander has its own guest, so that watching from the lobby never logs anyone in by the way.
        const ticket = me.value ? await api.observe(candidate) : null;
        if (stopped || !ticket) {
          token.current = null;
          return;
        }
        setShown((before) => {
          before?.dispose();
          return new SessionClient(ticket);
        });
      } catch {
        token.current = null;
      }
    })();
    return () => {
      stopped = true;
    };
  }, [candidate, gone, wide, me.value !== null]);
  useEffect(() => () => shown?.dispose(), [shown]);
  if (!shown || !wide) return null;
  const state = shown.state.value;
  const names = state.seats.map((seat) => shortName(seat.name));
  const leader = state.result ? state.seats.find((seat) => seat.seat === state.result?.winner) : null;
  return (
    <section class="tile" aria-label="Live" style={{ flex: "none" }}>
      <div class="feat">
        <StageView client={shown} still label={`The mat of ${sessionTitle(state)}`} />
      </div>
      <div class="row lab">
        <span class={state.phase === "over" ? "tag end" : "tag run"}>{state.phase === "over" ? "Just ended" : "Live"}</span>
        <b>{sessionTitle(state)}</b>
        <span class="small mute">
          {leader ? `${shortName(leader.name)} is the last one standing` : `${names.join(names.length > 2 ? ", " : " and ")}${state.round ? `, round ${state.round}` : ""}`}
        </span>
        <span class="sp" />
        <button class="btn s" onClick={() => void watch(shown.token)}>
          <Icon name="eye" />
          Watch
        </button>
      </div>
    </section>
  );
}

function Board() {
  const rows = leaderboard.value?.slice(0, 8);
  return (
    <section class="tile" aria-label="Leaderboard">
      <header>
        <h2>Leaderboard, {modeName(ratedMode.value).toLowerCase()}</h2>
      </header>
      {rows && rows.length > 0 ? (
        <ol style={{ paddingBottom: "8px" }}>
          {rows.map((row, index) => (
            <li class={row.player === me.value?.player ? "br me" : "br"} key={row.player}>
              <span class="data mute">{index + 1}</span>
              <Mark mark={markOfPlayer(row.player)} name={row.name} size={20} />
              <span>{shortName(row.name)}</span>
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
          {rows ? "Nobody is rated yet. Play one to the end." : "Reading…"}
        </p>
      )}
      {rows?.some((row) => row.provisional) && (
        <p class="small mute" style={{ padding: "0 16px 12px" }}>
          ? few sessions so far
        </p>
      )}
    </section>
  );
}

function Queue({ waiting }: { waiting: readonly SessionView[] }) {
  const needing = waiting.filter((one) => one.status === "open");
  const seats = needing.reduce((sum, one) => sum + one.size - one.seats.length, 0);
  return (
    <section class="tile" aria-label="Queue">
      <header>
        <h2>Queue</h2>
        <span class="sp" />
        <span class="data mute">{seats ? `${seats} free` : ""}</span>
      </header>
      <ul style={{ paddingBottom: "8px" }}>
        {needing.slice(0, 5).map((one) => (
          <li class="q" key={one.session}>
            <span>{sessionTitle(one)}</span>
            <span class="mute">needs {plural(one.size - one.seats.length, "player")}</span>
          </li>
        ))}
        {!needing.length && <li class="q mute">Nobody waits. The next one to ask opens a lobby.</li>}
      </ul>
    </section>
  );
}

function Rules() {
  const { how, rules } = modeCard(wantedMode.value);
  return (
    <section class="tile grow" aria-label={how}>
      <header>
        <h2>{how}</h2>
      </header>
      <ol class="in rules scroll">
        {rules.map((line, index) => (
          <li key={line}>
            <span class="data mute">{index + 1}</span>
            <span>{line}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
