// The page of a player: standings, rating over time, matches, recordings.

import { useEffect, useState } from "preact/hooks";
import { go } from "../app/route";
import { api, bodies, me, theme, watchAgain } from "../app/store";
import { entitle } from "../app/turn";
import { favouriteBody, ratingCurve } from "../session/career";
import { title } from "../session/wording";
import { PLAYER_COLOURS, markOfPlayer } from "../stage/palette";
import { dayAndTime, group, ordinal, shortName } from "../text/format";
import { t } from "../text/words";
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
import { inPlace } from "./order";

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
  const name = found !== null && typeof found === "object" ? shortName(found.name) : t("profile.player");
  useEffect(() => entitle(`${name} · Tussle`), [name]);
  return (
    <>
      <Bar crumb={<div class="crumb"><b>{name}</b></div>}>
        <button class="btn ghost s" onClick={() => go({ screen: "lobby" })} data-test="to-lobbies">
          {t("profile.back-to-lobbies")}
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
            <h1>{found === null ? t("profile.looking-for-the-player") : found === "missing" ? t("profile.no-such-player") : t("profile.the-server-does-not-answer")}</h1>
            <p>{found === "missing" ? t("profile.a-guest-is-forgotten-some") : found === null ? t("profile.waiting-for-the-server") : t("profile.go-back-and-try-again")}</p>
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
    <section class="tile who" aria-label={t("profile.player")}>
      <div class="row whose">
        <Mark mark={mark} name={profile.name} size={44} />
        <h1>
          {shortName(profile.name)}
          {profile.kind === "bot" && <BotMark />}
          {profile.player === me.value?.player && <span class="mute small">{" "}{t("profile.you")}</span>}
        </h1>
      </div>
      <dl class="kv">
        <dt>{t("profile.matches")}</dt>
        <dd>{group(profile.played)}</dd>
        <dt>{t("profile.won")}</dt>
        <dd>{profile.played ? `${group(profile.won)}, ${Math.round((100 * profile.won) / profile.played)} %` : "–"}</dd>
        <dt>{t("profile.experience")}</dt>
        <dd>{group(profile.xp)}</dd>
        {profile.standings.map((one) => [
          <dt key={one.mode}>{t("profile.rating", { mode: modeName(one.mode).toLowerCase() })}</dt>,
          <dd key={`${one.mode}v`}>
            {group(Math.round(one.value))}
            {one.provisional ? "?" : ""}
            {one.place !== null ? `, ${ordinal(one.place)}` : ""}
          </dd>,
        ])}
      </dl>
      {profile.standings.some((one) => one.provisional) && <p class="small mute">{t("profile.few-sessions-so-far")}</p>}
      {favourite && (
        <figure class="fav" data-test="favourite">
          {image ? <img src={image} alt="" width={196} height={118} /> : <span class="noimg" />}
          <figcaption class="small soft">
            {t("profile.favourite-body")}{" "}<b>{bodies.value.find((one) => one.id === favourite)?.name ?? title(favourite)}</b>
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
    <section class="tile rating" aria-label={t("profile.rating-over-time")}>
      <header>
        <h2>{t("profile.rating-2")}</h2>
        <span class="sp" />
        {modes.length > 1 && <Segmented label={t("profile.mode-of-the-curve")} value={chosen} options={modes.map((mode) => ({ value: mode, text: modeName(mode) }))} onChoose={setChosen} />}
      </header>
      {points.length ? (
        <div class="in">
          <Plot across={{ low: 0, high: last, name: t("profile.rated-matches-the-newest-on"), unit: "", whole: true }} up={{ low: middle - half, high: middle + half, name: modeName(chosen), unit: "points" }} width={WIDTH} height={HEIGHT} label={t("profile.rating-over-from-to-points", { plural: t("profile.match", { n: points.length - 1 }), points: points[0] ?? "", now })} test="rating-curve">
            <path class="curve" d={points.length > 1 ? `M${points.map(place).join("L")}` : `M0 ${HEIGHT / 2}H${WIDTH}`} />
          </Plot>
        </div>
      ) : (
        <p class="small mute empty">{t("profile.no-rated-match-yet-a")}</p>
      )}
    </section>
  );
}

function Matches({ matches }: { matches: readonly PastMatch[] }) {
  const [all, setAll] = useState(false);
  const shown = all ? matches : matches.slice(0, SHOWN);
  return (
    <section class="tile past" aria-label={t("profile.matches")}>
      <header>
        <h2>{t("profile.matches")}</h2>
        <span class="sp" />
        <span class="data mute">{matches.length ? group(matches.length) : ""}</span>
      </header>
      {matches.length ? (
        <div class="scroll" tabIndex={0} role="region" aria-label={t("profile.list-of-matches")}>
          <ul data-test="matches">
            {shown.map((match, i) => (
              <li class="pm" key={`${match.at} ${match.session} ${i}`}>
                <div class="n">
                  <span>{match.place === 1 ? t("profile.won") : match.of === 2 ? t("profile.lost") : t("profile.of", { place: ordinal(match.place), of: match.of })}</span>
                  <span class="small mute">{[modeName(match.mode), match.body && modeCard(match.mode).bodies ? title(match.body) : "", dayAndTime(match.at)].filter(Boolean).join(" · ")}</span>
                </div>
                <span class="data">{match.rating ?? "–"}</span>
                {match.session ? (
                  <button class="btn ghost s sq" onClick={() => watchAgain(match.session)} aria-label={t("profile.watch-again-2", { mode: modeName(match.mode), at: dayAndTime(match.at) })} title={t("profile.watch-again")}>
                    <Icon name="rewind" />
                  </button>
                ) : (
                  <span class="small mute" title={t("profile.it-was-joined-by-code")}>
                    {t("profile.private")}
                  </span>
                )}
              </li>
            ))}
          </ul>
          {shown.length < matches.length && (
            <button class="btn more" onClick={() => setAll(true)} data-test="more-matches">
              {t("profile.show-earlier-ones")}
            </button>
          )}
        </div>
      ) : (
        <p class="small mute empty">{t("profile.no-finished-match-yet")}</p>
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
      <div class="scroll" tabIndex={0} role="region" aria-label={t("profile.list-of-recordings")}>
        {rows?.length ? <Group title={t("profile.recordings")} count={rows.length} rows={inPlace(rows)} /> : <p class="small mute empty">{rows ? t("profile.no-public-recording-yet") : t("profile.reading")}</p>}
        {next !== "" && (
          <button class="btn more" onClick={() => void read(next)} data-test="more-recordings">
            {t("profile.show-earlier-ones")}
          </button>
        )}
      </div>
    </section>
  );
}
