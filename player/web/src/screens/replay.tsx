// The page of a recording: stage, timeline with curves, log, and the replay room.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { go } from "../app/route";
import { api, busy, client, ensureMe, fork, join, newFrom, playsAtOnce, replay as show } from "../app/store";
import { entitle } from "../app/turn";
import { wantedTier } from "../app/settings";
import { watchedRoom } from "../app/watched";
import { treeRows } from "../replay/forktree";
import { Replay } from "../replay/replay";
import { DEFAULT_VIEW, Room } from "../replay/room";
import type { NamedView } from "../replay/room";
import { Stage } from "../stage/stage";
import { clockTime, code, gap, group, shortName } from "../text/format";
import { t } from "../text/words";
import { Bar } from "../ui/bar";
import { CopyLink } from "../ui/copylink";
import { CurveRows } from "../ui/curves";
import { useKeys, withKey } from "../ui/keyboard";
import { Icon, Rtt, useMatch } from "../ui/parts";
import { ReplayStage } from "../ui/replaystage";
import type { Looks } from "../ui/replaystage";
import { Bookmarks, Members, PresenterRow, RoomChat, Views } from "../ui/replayroom";
import { Timeline, Transport } from "../ui/timeline";
import { Refused } from "../wire/calls";
import type { ForkTree } from "../wire/answers";
import { at } from "../wire/place";
import { sessionTitle } from "./modes";

const STEPS_SHIFT = 10;
/** Deeper forks are not indented any further. */
const DEEPEST = 6;

/** The moment in the address, #t=12.4 [s], or null. */
function momentInAddress(): number | null {
  const found = /[#&]t=([0-9]+(?:\.[0-9]+)?)/.exec(location.hash);
  return found ? Number(found[1]) : null;
}

export function ReplayScreen({ token }: { token: string }) {
  const replay = useMemo(() => {
    const plays = playsAtOnce.peek() === token;
    playsAtOnce.value = null; // once: who comes back to it left it where it was
    return new Replay(token, api, momentInAddress(), plays);
  }, [token]);
  const [room, setRoom] = useState<Room | null>(null);
  useEffect(() => {
    Stage.preload(wantedTier.peek());
    void replay.open();
    let stopped = false;
    void ensureMe().then(
      () => {
        if (stopped) return;
        const made = new Room(token, () => api.token);
        replay.enter(made);
        setRoom(made);
        watchedRoom.value = made;
      },
      () => {}, // without a login there is no room; the recording can be watched
    );
    const moved = () => {
      const moment = momentInAddress();
      if (moment !== null) replay.seek(moment);
    };
    addEventListener("hashchange", moved);
    return () => {
      stopped = true;
      watchedRoom.value = null;
      removeEventListener("hashchange", moved);
      replay.dispose();
    };
  }, [replay]);
  const about = replay.about.value;
  const title = about ? sessionTitle({ host: "", mode: about.mode, seats: about.seats }) : t("replay.recording");
  useEffect(() => entitle(t("replay.replay-tussle", { title })), [title]);
  const [drawer, setDrawer] = useState(false);
  const failure = replay.failure.value;
  return (
    <>
      <Bar
        onHome={() => go({ screen: "lobby" })}
        crumb={
          <div class="crumb">
            <b>{title}</b>
            <span class="data">{code(token)}</span>
          </div>
        }
      >
        {room && <Members room={room} />}
        {room && <Rtt ms={room.rtt.value} />}
        {about?.live && (
          <button class={myTurn(token) ? "btn s now" : "btn s"} onClick={() => backToLive(token)} title={withKey(t("replay.back-to-the-session"), "live")} data-test="live">
            {myTurn(token) ? t("replay.your-turn") : <span class="tag run">{t("replay.live")}</span>}
          </button>
        )}
        <button class="btn ghost s sq mid-only" aria-label={t("replay.bookmarks-and-what-happened")} aria-pressed={drawer} onClick={() => setDrawer(!drawer)}>
          <Icon name="list" />
        </button>
        <button class="btn ghost s" onClick={() => go({ screen: "lobby" })} data-test="leave">
          {t("replay.leave")}
        </button>
      </Bar>
      {about && about.length > 0 ? <Watched replay={replay} room={room} drawer={drawer} title={title} /> : <Nothing token={token} failure={failure} empty={about !== null} live={about?.live ?? false} />}
    </>
  );
}

/** Whether the session waits for this player, who watches its recording meanwhile. */
function myTurn(token: string): boolean {
  const current = client.value;
  if (current?.token !== token || current.mySeat === null) return false;
  const state = current.state.value;
  return state.phase === "acting" && state.turnSeat === current.mySeat;
}

/** Go to the running session: to the seat if this client has one, else as an observer. */
function backToLive(token: string): void {
  if (client.value?.token === token) go({ screen: "session", token });
  else void join(token);
}

function Nothing({ token, failure, empty, live }: { token: string; failure: unknown; empty: boolean; live: boolean }) {
  const missing = failure instanceof Refused && failure.status === 404;
  const [heading, text] = empty
    ? [t("replay.nothing-is-recorded-yet"), live ? t("replay.the-recording-begins-when-the") : t("replay.the-session-ended-before-its")]
    : missing
      ? [t("replay.no-recording", { token: code(token) }), t("replay.the-session-was-not-recorded")]
      : failure
        ? [t("replay.the-recording-cannot-be-read"), failure instanceof Refused ? failure.message : t("replay.the-answer-of-the-server")]
        : [t("replay.fetching-the-recording"), t("replay.this-takes-a-moment")];
  return (
    <main class="desk" id="main" tabIndex={-1}>
      <div class="tile blank" data-test="nothing">
        {failure !== null && <Icon name="warn" />}
        <h1>{heading}</h1>
        <p>{text}</p>
        {(failure !== null || empty) && (
          <button class="btn" onClick={() => go({ screen: "lobby" })}>
            {t("replay.back-to-lobbies")}
          </button>
        )}
      </div>
    </main>
  );
}

function Watched({ replay, room, drawer, title }: { replay: Replay; room: Room | null; drawer: boolean; title: string }) {
  const stage = useRef<Stage | null>(null);
  const naming = useRef<HTMLInputElement>(null);
  const narrow = useMatch("(max-width: 760px)");
  const [looks, setLooks] = useState<Looks>({ wire: false, velocity: false, contacts: false, followed: null });
  const bodies = useMemo(() => followable(replay), [replay.about.value]);
  const token = replay.token;
  const about = replay.about.value;
  const forkable = about !== null && about.upload === undefined; // an upload has no state to begin with
  const playOn = () => void fork(token, replay.place.peek().tick);
  const follow = (followed: string | null) => setLooks({ ...looks, followed });
  const here = room?.link.value === "here";
  const camera = (): NamedView["camera"] | null => {
    const view = stage.current?.view.cameraView();
    return view ? { ...view, follow: looks.followed ?? "" } : null;
  };
  const look = (view: NamedView["camera"]): void => {
    const body = bodies.find((one) => one.id === view.follow)?.id ?? null;
    setLooks({ ...looks, followed: body });
    if (body === null) stage.current?.look(view);
  };
  // The first view is taken once, when the room and the stage are there.
  const looked = useRef(false);
  const [made, setMade] = useState(false);
  const first = room?.views.value.find((one) => one.name === DEFAULT_VIEW);
  useEffect(() => {
    if (!here || !made || looked.current) return;
    looked.current = true;
    if (first) look(first.camera);
  }, [here, made]);
  const hasContacts = (replay.story.value?.blows ?? []).some((blow) => Math.hypot(...blow.normal) > 0);
  const outside = (act: (event: KeyboardEvent) => void) => (event: KeyboardEvent): false | void => {
    const target = event.target instanceof Element ? event.target : null;
    // Lists scroll by their keys.
    if (target?.closest(".seg") || (target?.closest(".scroll") && ["Home", "End", " "].includes(event.key))) return false;
    return act(event);
  };
  const stepped = (by: 1 | -1) => outside((event) => replay.step(by * (event.shiftKey ? STEPS_SHIFT : 1)));
  useKeys({
    play: outside(() => replay.toggle()),
    back: stepped(-1),
    on: stepped(1),
    faster: outside(() => replay.changeSpeed(1)),
    slower: outside(() => replay.changeSpeed(-1)),
    first: outside(() => replay.seek(replay.start)),
    last: outside(() => replay.seek(replay.end)),
    camera: outside(() => {
      setLooks({ ...looks, followed: null });
      stage.current?.home();
    }),
    wire: outside(() => setLooks({ ...looks, wire: !looks.wire })),
    velocity: outside(() => setLooks({ ...looks, velocity: !looks.velocity })),
    contacts: outside(() => hasContacts && setLooks({ ...looks, contacts: !looks.contacts })),
    follow: outside(() => follow(nextOf(bodies, looks.followed))),
    mark: outside(() => naming.current?.focus()),
    fork: outside(() => forkable && playOn()),
    live: outside(() => replay.about.value?.live && backToLive(token)),
    present: outside(() => room && (room.presenting ? room.release() : room.present())),
  });
  useEffect(() => {
    const back = (event: KeyboardEvent) => {
      if (event.key === "Escape") replay.comeBack();
    };
    addEventListener("keydown", back);
    return () => removeEventListener("keydown", back);
  }, [replay]);
  useEffect(() => {
    Object.assign(window, { __replay: { place: () => replay.place.peek(), playing: () => replay.playing.peek(), speed: () => replay.speed.peek(), following: () => replay.following.peek(), kept: () => replay.recording?.bytesKept ?? 0, places: () => stage.current?.places() ?? [], screen: (x: number, y: number, z: number) => stage.current?.view.screen(x, y, z), tier: () => stage.current?.tier, camera: () => stage.current?.view.cameraView() ?? null, end: () => replay.end, drawn: () => replay.curves.peek() > 0 && replay.topology.peek() !== null && !replay.waiting.peek() } });
  }, [replay]);
  // On a phone the stage is small: below it they cover nothing of the mat.
  const looking = (
    <>
      <button class="btn s sq" aria-label={t("replay.default-camera")} title={withKey(t("replay.default-camera"), "camera")} onClick={() => { setLooks({ ...looks, followed: null }); stage.current?.home(); }}>
        <Icon name="home" />
      </button>
      <button class="btn s sq" aria-label={t("replay.wireframe")} title={withKey(t("replay.wireframe"), "wire")} aria-pressed={looks.wire} onClick={() => setLooks({ ...looks, wire: !looks.wire })}>
        <Icon name="wire" />
      </button>
      <button class="btn s sq" aria-label={t("replay.velocity-arrows")} title={withKey(t("replay.velocity-arrows"), "velocity")} aria-pressed={looks.velocity} onClick={() => setLooks({ ...looks, velocity: !looks.velocity })} data-test="velocity">
        <Icon name="arrow" />
      </button>
      {hasContacts && (
        <button class="btn s sq" aria-label={t("replay.contact-arrows")} title={withKey(t("replay.contact-arrows"), "contacts")} aria-pressed={looks.contacts} onClick={() => setLooks({ ...looks, contacts: !looks.contacts })} data-test="contacts">
          <Icon name="touch" />
        </button>
      )}
      {bodies.length > 0 && (
        <select class="btn s" aria-label={t("replay.camera")} title={withKey(t("replay.the-camera-follows-a-body"), "follow")} value={looks.followed ?? ""} onChange={(event) => follow(event.currentTarget.value || null)} data-test="follow">
          <option value="">{t("replay.camera-free")}</option>
          {bodies.map((body) => (
            <option key={body.id} value={body.id}>
              {t("replay.follow", { name: body.name })}
            </option>
          ))}
        </select>
      )}
    </>
  );
  return (
    <main class={drawer ? "desk replay drawer" : "desk replay"} id="main" tabIndex={-1}>
      <h1 class="vh">{t("replay.what-was-recorded")}</h1>
      <div class="stack mid">
        {room && <PresenterRow replay={replay} room={room} />}
        <ReplayStage
          replay={replay}
          looks={looks}
          label={t("replay.at-a-moment-of-its", { title })}
          onStage={(made) => {
            stage.current = made;
            setMade(made !== null);
          }}
        >
          {!narrow && <div class="corner">{looking}</div>}
        </ReplayStage>
        <section class="tile tl" aria-label={t("replay.timeline")}>
          {narrow && <div class="looks">{looking}</div>}
          <Transport replay={replay}>
            {here && (
              <button class="btn ghost s" onClick={() => naming.current?.focus()} title={withKey(t("replay.bookmark"), "mark")} aria-label={t("replay.bookmark")}>
                <Icon name="flag" />
                <span class="txt">{t("replay.bookmark")}</span>
              </button>
            )}
            <CopyLink link={() => linkToMoment(replay)} class="btn ghost s" words="txt" title={t("replay.a-link-to-this-moment")} />
            {about?.mode && (
              <button class="btn ghost s" onClick={() => void newFrom({ like: { session: token, tick: replay.place.peek().tick } })} aria-busy={busy.value === "new-from"} title={t("replay.a-new-scene-with-the")} data-test="new-from">
                <Icon name="plus" />
                <span class="txt">{t("replay.new-from-this")}</span>
              </button>
            )}
            {forkable && (
              <button class="btn now s" onClick={playOn} aria-busy={busy.value === "fork"} title={withKey(t("replay.a-new-lobby-that-begins"), "fork")} data-test="fork">
                <Icon name="fork" />
                <span>
                  {t("replay.play-on")}<span class="more">{" "}{t("replay.from-here")}</span>
                </span>
              </button>
            )}
          </Transport>
          <Timeline replay={replay} flags={room?.bookmarks.value ?? []}>
            <CurveRows replay={replay} />
          </Timeline>
        </section>
      </div>
      <div class="stack side">
        <About replay={replay} />
        {room && here && <Bookmarks replay={replay} room={room} field={naming} />}
        {room && here && made && camera() && <Views room={room} current={camera} onView={look} />}
        <Happened replay={replay} />
        {forkable && <Forks token={token} />}
        {room && here && <RoomChat room={room} />}
      </div>
    </main>
  );
}

/** The bodies that a camera can follow: those of the seats first. */
function followable(replay: Replay): { id: string; name: string }[] {
  const about = replay.about.value;
  const bodies = (about?.segments.at(-1)?.bodies ?? []).filter((body) => body.kind !== "static");
  const seated = (seat: number | null | undefined) => about?.seats.find((one) => one.seat === seat);
  const mine = bodies.filter((body) => seated(body.seat));
  const named = mine.map((body) => {
    const several = mine.filter((other) => other.seat === body.seat).length > 1;
    return { id: body.id, name: several ? `${shortName(seated(body.seat)!.name)}, ${body.id}` : shortName(seated(body.seat)!.name) };
  });
  return [...named, ...bodies.filter((body) => !seated(body.seat)).map((body) => ({ id: body.id, name: body.id }))];
}

function nextOf(bodies: readonly { id: string }[], followed: string | null): string | null {
  return bodies[bodies.findIndex((body) => body.id === followed) + 1]?.id ?? null;
}

/** The link to the moment that is shown; the address bar has it too, also where the browser has no clipboard. */
function linkToMoment(replay: Replay): string {
  const link = `${location.origin}${at(`/r/${replay.token}`)}#t=${Number(replay.place.peek().time.toFixed(2))}`;
  history.replaceState(null, "", link);
  return link;
}

function About({ replay }: { replay: Replay }) {
  const about = replay.about.value;
  const curves = replay.recording?.curves;
  const version = replay.curves.value;
  const smallest = useMemo(() => {
    let least = Infinity;
    for (const value of curves?.single.get("min_distance") ?? []) least = Math.min(least, value);
    return least;
  }, [version]);
  const result = replay.story.value?.state.result;
  const winner = about?.seats.find((seat) => seat.seat === result?.winner);
  if (!about || !version) return null;
  const missing = (about.gaps ?? []).reduce((sum, one) => sum + one.last_tick - one.first_tick + 1, 0);
  return (
    <section class="tile" aria-label={t("replay.recording")} data-test="about">
      <header>
        <h2>{t("replay.recording")}</h2>
        <span class="sp" />
        {about.live ? <span class="tag run">{t("replay.growing")}</span> : <span class="tag end">{winner ? t("replay.won", { name: shortName(winner.name) }) : t("replay.ended")}</span>}
      </header>
      <div class="in">
        <dl class="kv">
          <dt>{t("replay.length")}</dt>
          <dd>{clockTime(replay.end)}</dd>
          <dt>{t("replay.frames")}</dt>
          <dd>{group(about.length)}</dd>
          <dt>{t("replay.step")}</dt>
          <dd>1/{Math.round(1 / about.dt)} s</dd>
          <dt>{t("replay.smallest-gap")}</dt>
          <dd class="good">{gap(smallest)}</dd>
          {missing > 0 && <dt>{t("replay.ticks-not-recorded")}</dt>}
          {missing > 0 && <dd class="harm">{group(missing)}</dd>}
        </dl>
        {about.stopped && <p class="small harm">{t("replay.no-more-was-recorded-after", { after_tick: group(about.stopped.after_tick) })}</p>}
      </div>
    </section>
  );
}

/** The tree of forks that this session is part of. Nothing if it is not a fork and has none. */
function Forks({ token }: { token: string }) {
  const [tree, setTree] = useState<ForkTree | null>(null);
  useEffect(() => {
    let stopped = false;
    api.forks(token).then(
      (found) => {
        if (!stopped) setTree(found);
      },
      () => {}, // the tree expires before the recording
    );
    return () => {
      stopped = true;
    };
  }, [token]);
  if (!tree?.forks.length) return null;
  return (
    <section class="tile marks" aria-label={t("replay.forks")} data-test="forks">
      <header>
        <h2>{t("replay.forks")}</h2>
      </header>
      <ul class="scroll" tabIndex={0}>
        {treeRows(tree).map(({ session, depth, fork }) => (
          <li class="bm" key={session} style={{ paddingInlineStart: `${Math.min(depth, DEEPEST) * 14}px` }}>
            <button class="jump" aria-current={session === token ? "page" : undefined} disabled={session === token} onClick={() => show(session)}>
              <span class="data">{fork ? group(fork.parent_tick) : "0"}</span>
              <span>
                {session === token ? <em>{t("replay.this-session")}</em> : fork ? <>{t("replay.plays-on", { name: shortName(fork.name) })}</> : t("replay.the-first-session")} <span class="data">{code(session)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** The log of the session. A click on a line shows its moment. */
function Happened({ replay }: { replay: Replay }) {
  const rows = replay.story.value?.log ?? [];
  const tick = replay.place.value.tick;
  const here = rows.findLastIndex((row) => row.tick <= tick);
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    const row = list.current?.children[here];
    if (row instanceof HTMLElement && list.current && !list.current.matches(":hover, :focus-within")) {
      list.current.scrollTo({ top: row.offsetTop - list.current.offsetTop - list.current.clientHeight / 2 });
    }
  }, [here]);
  return (
    <section class="tile grow" aria-label={t("replay.what-happened")}>
      <header>
        <h2>{t("replay.what-happened")}</h2>
      </header>
      <ol class="scroll" tabIndex={0} data-test="log" ref={list}>
        {rows.map((row, i) => (
          <li class={row.turn ? "ev turn" : "ev"} key={row.v} aria-current={i === here ? "true" : undefined}>
            <button class="jump" onClick={() => replay.seekTick(row.tick)}>
              <span class="data">{group(row.tick)}</span>
              <span>{row.parts.map((part) => (part.strong ? <em>{part.text}</em> : part.text))}</span>
            </button>
          </li>
        ))}
        {!rows.length && <li class="ev mute">{t("replay.nothing-has-happened-yet")}</li>}
      </ol>
    </section>
  );
}
