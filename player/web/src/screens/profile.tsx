// The page of a player: standings, rating over time, matches, recordings.

import { useEffect, useState } from "preact/hooks";
import { go } from "../app/route";
import { api, bodies, me, replay, theme } from "../app/store";
import { favouriteBody, ratingCurve } from "../session/career";
import { title } from "../session/wording";
import { PLAYER_COLOURS, markOfPlayer } from "../stage/palette";
import { dayAndTime, group, ordinal, plural, shortName } from "../text/format";
import { Bar } from "../ui/bar";
import { Mark } from "../ui/marks";
import { Icon, Segmented } from "../ui/parts";
import { BotMark } from "../ui/playername";
import { Plot } from "../ui/plot";
import { portraits } from "../ui/portraits";
import type { PastMatch, PlayerProfile } from "../wire/answers";
import { Refused } from "../wire/calls";
import { readRecorded, recordedUrl } from "../wire/changes";
import type { SessionView } from "../wire/messages";
import { Group } from "./list";
import { modeCard, modeName } from "./modes";

/** Recordings of a page, and matches that are shown at first. */
const SHOWN = 10;
const [WIDTH, HEIGHT] = [600, 200];
/** The least height of the curve [points]. */
const LEAST_SPAN = 100;

export function Profile({ player }: { player: string }) {
  const [found, setFound] = useState<PlayerProfile | "missing" | "offline" | null>(null);
  useEffect(() => {
    let stopped = false;
    api.player(player).then(
      (profile) => !stopped && setFound(profile),
      (error: unknown) => !stopped && setFound(error instanceof Refused && error.status === 404 ? "missing" : "offline"),
    );
    return () => {
      stopped = true;
    };
  }, [player]);
  const name = found !== null && typeof found === "object" ? shortName(found.name) : "Player";
  useEffect(() => {
    document.title = `${name} · Tussle`;
  }, [name]);
  return (
    <>
      <Bar crumb={<div class="crumb"><b>{name}</b></div>}>
        <button class="btn ghost s" onClick={() => go({ screen: "lobby" })} data-test="to-lobbies">
          Back to lobbies
        </button>
      </Bar>
      {found !== null && typeof found === "object" ? (
        <main class="desk profile" id="main" tabIndex={-1} data-test="profile">
          <Who profile={found} />
          <div class="stack career">
            <Curve profile={found} />
            <Recordings player={player} />
          </div>
          <Matches matches={found.matches} />
        </main>
      ) : (
        <main class="desk" id="main" tabIndex={-1}>
          <div class="tile blank" data-test="no-profile">
            <Icon name={found === "missing" ? "search" : "warn"} />
            <h1>{found === null ? "Looking for the player" : found === "missing" ? "No such player" : "The server does not answer"}</h1>
            <p>{found === "missing" ? "A guest is forgotten some time after its last visit." : found === null ? "Waiting for the server." : "Go back and try again."}</p>
          </div>
        </main>
      )}
    </>
  );
}

function Who({ profile }: { profile: PlayerProfile }) {
  const mark = markOfPlayer(profile.player);
  const favourite = favouriteBody(profile.matches, (mode) => modeCard(mode).bodies);
  const image = portraits(favourite ? [favourite] : [], PLAYER_COLOURS[mark]!, theme.value).value.get(favourite ?? "");
  return (
    <section class="tile who" aria-label="Player">
      <div class="row whose">
        <Mark mark={mark} name={profile.name} size={44} />
        <h1>
          {shortName(profile.name)}
          {profile.kind === "bot" && <BotMark />}
          {profile.player === me.value?.player && <span class="mute small"> you</span>}
        </h1>
      </div>
      <dl class="kv">
        <dt>Matches</dt>
        <dd>{group(profile.played)}</dd>
        <dt>Won</dt>
        <dd>{profile.played ? `${group(profile.won)}, ${Math.round((100 * profile.won) / profile.played)} %` : "–"}</dd>
        <dt>Experience</dt>
        <dd>{group(profile.xp)}</dd>
        {profile.standings.map((one) => [
          <dt key={one.mode}>{`Rating, ${modeName(one.mode).toLowerCase()}`}</dt>,
          <dd key={`${one.mode}v`}>
            {group(Math.round(one.value))}
            {one.provisional ? "?" : ""}
            {one.place !== null ? `, ${ordinal(one.place)}` : ""}
          </dd>,
        ])}
      </dl>
      {profile.standings.some((one) => one.provisional) && <p class="small mute">? few sessions so far</p>}
      {favourite && (
        <figure class="fav" data-test="favourite">
          {image ? <img src={image} alt="" width={196} height={118} /> : <span class="noimg" />}
          <figcaption class="small soft">
            Favourite body: <b>{bodies.value.find((one) => one.id === favourite)?.name ?? title(favourite)}</b>
          </figcaption>
        </figure>
      )}
    </section>
  );
}

function Curve({ profile }: { profile: PlayerProfile }) {
  const modes = profile.standings.map((one) => one.mode).filter((mode) => ratingCurve(profile, mode).length > 0);
  const [chosen, setChosen] = useState(modes[0] ?? "");
  const points = ratingCurve(profile, chosen);
  const middle = (Math.max(...points) + Math.min(...points)) / 2;
  const half = Math.max(LEAST_SPAN, Math.max(...points) - Math.min(...points)) * 0.6;
  const last = Math.max(1, points.length - 1);
  const place = (value: number, i: number): string => `${((WIDTH * i) / last).toFixed(1)} ${(HEIGHT * (0.5 - (value - middle) / (2 * half))).toFixed(1)}`;
  const now = points[points.length - 1] ?? 0;
  return (
    <section class="tile rating" aria-label="Rating over time">
      <header>
        <h2>Rating</h2>
        <span class="sp" />
        {modes.length > 1 && <Segmented label="Mode of the curve" value={chosen} options={modes.map((mode) => ({ value: mode, text: modeName(mode) }))} onChoose={setChosen} />}
      </header>
      {points.length ? (
        <div class="in">
          <Plot across={{ low: 0, high: last, name: "rated matches, the newest on the right", unit: "", whole: true }} up={{ low: middle - half, high: middle + half, name: modeName(chosen), unit: "points" }} width={WIDTH} height={HEIGHT} label={`Rating over ${plural(points.length - 1, "match", "matches")}: from ${points[0]} to ${now} points`} test="rating-curve">
            <path class="curve" d={points.length > 1 ? `M${points.map(place).join("L")}` : `M0 ${HEIGHT / 2}H${WIDTH}`} />
          </Plot>
        </div>
      ) : (
        <p class="small mute empty">No rated match yet. A match against a dummy, or in a fork, is not rated.</p>
      )}
    </section>
  );
}

function Matches({ matches }: { matches: readonly PastMatch[] }) {
  const [all, setAll] = useState(false);
  const shown = all ? matches : matches.slice(0, SHOWN);
  return (
    <section class="tile past" aria-label="Matches">
      <header>
        <h2>Matches</h2>
        <span class="sp" />
        <span class="data mute">{matches.length ? group(matches.length) : ""}</span>
      </header>
      {matches.length ? (
        <div class="scroll" tabIndex={0} role="region" aria-label="List of matches">
          <ul data-test="matches">
            {shown.map((match, i) => (
              <li class="pm" key={`${match.at} ${match.session} ${i}`}>
                <div class="n">
                  <span>{match.place === 1 ? "Won" : match.of === 2 ? "Lost" : `${ordinal(match.place)} of ${match.of}`}</span>
                  <span class="small mute">{[modeName(match.mode), match.body && modeCard(match.mode).bodies ? title(match.body) : "", dayAndTime(match.at)].filter(Boolean).join(" · ")}</span>
                </div>
                <span class="data">{match.rating ?? "–"}</span>
                {match.session ? (
                  <button class="btn ghost s sq" onClick={() => replay(match.session)} aria-label={`Watch again: ${modeName(match.mode)}, ${dayAndTime(match.at)}`} title="Watch again">
                    <Icon name="rewind" />
                  </button>
                ) : (
                  <span class="small mute" title="It was joined by code only">
                    private
                  </span>
                )}
              </li>
            ))}
          </ul>
          {shown.length < matches.length && (
            <button class="btn more" onClick={() => setAll(true)} data-test="more-matches">
              Show earlier ones
            </button>
          )}
        </div>
      ) : (
        <p class="small mute empty">No finished match yet.</p>
      )}
    </section>
  );
}

function Recordings({ player }: { player: string }) {
  const [rows, setRows] = useState<readonly SessionView[] | null>(null);
  const [next, setNext] = useState("");
  const read = async (cursor: string): Promise<void> => {
    try {
      const page = await api.recorded(recordedUrl({ search: "", mode: "", player, since: 0 }, SHOWN, cursor));
      setRows((before) => [...(cursor ? (before ?? []) : []), ...page.recordings.map(readRecorded)]);
      setNext(page.next);
    } catch {
      setRows((before) => before ?? []); // the profile is shown, and a new visit reads them again
    }
  };
  useEffect(() => void read(""), [player]);
  return (
    <section class="tile grow" data-test="recordings">
      <div class="scroll" tabIndex={0} role="region" aria-label="List of recordings">
        {rows?.length ? <Group title="Recordings" list={rows} /> : <p class="small mute empty">{rows ? "No public recording yet." : "Reading…"}</p>}
        {next !== "" && (
          <button class="btn more" onClick={() => void read(next)} data-test="more-recordings">
            Show earlier ones
          </button>
        )}
      </div>
    </section>
  );
}
