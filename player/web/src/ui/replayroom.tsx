// The replay room on the page: presenter, members, bookmarks, views, chat.

import { useEffect, useRef } from "preact/hooks";
import type { Replay } from "../replay/replay";
import { DEFAULT_VIEW } from "../replay/room";
import type { NamedView, Room } from "../replay/room";
import { markOfPlayer } from "../stage/palette";
import { clockTime, group, shortName } from "../text/format";
import { t } from "../text/words";
import { Mark } from "./marks";
import { Icon } from "./parts";
import { CHAT_LENGTH, SayForm } from "./say";

const NAME_LENGTH = 80;

/** The presenter, with the buttons to present, to stop, and to follow or not. Nothing if this is the only member. */
export function PresenterRow({ replay, room }: { replay: Replay; room: Room }) {
  const presenter = room.presenter.value;
  const count = room.count.value;
  if (room.link.value !== "here") return null;
  if (presenter === null) {
    if (count < 2) return null;
    return (
      <div class="note pres plain" role="status" data-test="presenter">
        <span class="sp">
          <b>{t("replayroom.here", { count: t("replayroom.person", { n: count }) })}</b> <span class="soft">{t("replayroom.nobody-is-presenting")}</span>
        </span>
        <button class="btn s main" onClick={() => room.present()} data-test="present">
          {t("replayroom.present-to-all")}
        </button>
      </div>
    );
  }
  const name = shortName(room.nameOf(presenter)) || t("replayroom.somebody");
  if (room.presenting) {
    const others = count - 1;
    return (
      <div class="note wash pres" role="status" data-test="presenter">
        <Mark mark={markOfPlayer(presenter)} name={name} size={26} />
        <span class="sp">
          <b>{t("replayroom.you-are-presenting")}</b> {others ? t("replayroom.what-you-see", { others: t("replayroom.person-sees", { n: others }) }) : t("replayroom.nobody-else-is-here-yet")}
        </span>
        <button class="btn s main" onClick={() => room.release()} data-test="release">
          {t("replayroom.stop-presenting")}
        </button>
      </div>
    );
  }
  const following = replay.following.value;
  return (
    <div class="note wash pres" role="status" data-test="presenter">
      <Mark mark={markOfPlayer(presenter)} name={name} size={26} />
      <span class="sp">
        <b>{t("replayroom.is-presenting", { name })}</b> <span class="soft">{following ? t("replayroom.you-see-the-same-moment") : t("replayroom.you-are-watching-on-your")}</span>
      </span>
      {following ? (
        <button class="btn s" onClick={() => replay.breakAway()} data-test="break-away">
          {t("replayroom.watch-on-my-own")}
        </button>
      ) : (
        <button class="btn s main" onClick={() => replay.comeBack()} data-test="come-back">
          {t("replayroom.back-to", { name })}
        </button>
      )}
    </div>
  );
}

export function Members({ room }: { room: Room }) {
  const members = room.members.value;
  if (room.link.value !== "here" || !members.length) return null;
  return (
    <span class="row wide" style={{ gap: "4px" }} data-test="members" title={members.map((member) => shortName(member.name)).join(", ")}>
      {members.slice(0, 4).map((member, i) => (
        <Mark key={`${member.player}${i}`} mark={markOfPlayer(member.player)} name={member.name} size={22} />
      ))}
      <span class="small mute">{t("replayroom.here-2", { count: group(room.count.value) })}</span>
    </span>
  );
}

export function Bookmarks({ replay, room, field }: { replay: Replay; room: Room; field: { current: HTMLInputElement | null } }) {
  const list = room.bookmarks.value;
  const here = replay.place.value.frame;
  const curves = replay.recording?.curves;
  const ready = replay.curves.value > 0;
  const last = [...list].reverse().find((one) => one.frame <= here);
  const keep = (name: string): void => {
    room.bookmark(name || clockTime(replay.place.value.time), here);
    field.current?.blur();
  };
  return (
    <section class="tile marks" aria-label={t("replayroom.bookmarks")}>
      <header>
        <h2>{t("replayroom.bookmarks")}</h2>
        <span class="sp" />
        <span class="data mute">{list.length || ""}</span>
      </header>
      {list.length > 0 && (
        <ol class="scroll" tabIndex={0} data-test="bookmarks">
          {list.map((one) => (
            <li class={one.id === last?.id ? "bm on" : "bm"} key={one.id}>
              <button class="jump" onClick={() => replay.seekFrame(one.frame)}>
                <span class="data">{ready ? clockTime(curves?.at(one.frame) ?? 0) : ""}</span>
                <span class="nm">
                  {one.name} <span class="mute">{shortName(one.byName)}</span>
                </span>
              </button>
              {one.by === room.you.value && (
                <button class="btn ghost s sq" aria-label={t("replayroom.remove-the-bookmark", { name: one.name })} onClick={() => room.removeBookmark(one.id)}>
                  <Icon name="cross" />
                </button>
              )}
            </li>
          ))}
        </ol>
      )}
      <SayForm hint={t("replayroom.name-this-moment")} label={t("replayroom.name-of-a-bookmark-at")} onSay={keep} maxLength={NAME_LENGTH} button={t("replayroom.keep-the-bookmark")} icon="flag" empty disabled={!ready} field={field} test="bookmark" />
      {room.refused.value && (
        <p class="small" role="alert" style={{ padding: "0 16px 12px", color: "var(--contact)" }}>
          {sentence(room.refused.value)}
        </p>
      )}
    </section>
  );
}

/** The named views of the recording. current: the present camera; null without one. */
export function Views({ room, current, onView }: { room: Room; current: () => NamedView["camera"] | null; onView: (camera: NamedView["camera"]) => void }) {
  const list = room.views.value;
  const keep = (as: string): void => {
    const camera = current();
    if (camera && as) room.keepView({ name: as, camera });
  };
  return (
    <section class="tile marks" aria-label={t("replayroom.views")}>
      <header>
        <h2>{t("replayroom.views")}</h2>
        <span class="sp" />
        <button class="link" onClick={() => keep(DEFAULT_VIEW)} title={t("replayroom.everyone-who-opens-this-recording")} data-test="first-view">
          {t("replayroom.make-this-the-first-view")}
        </button>
      </header>
      {list.length > 0 && (
        <ul class="scroll" tabIndex={0} data-test="views">
          {list.map((one) => (
            <li class="bm" key={one.name}>
              <button class="jump one" onClick={() => onView(one.camera)}>
                <span class="nm">{one.name === DEFAULT_VIEW ? t("replayroom.first-view") : one.name}</span>
              </button>
              {one.by === room.you.value && (
                <button class="btn ghost s sq" aria-label={t("replayroom.remove-the-view", { name: one.name })} onClick={() => room.removeView(one.name)}>
                  <Icon name="cross" />
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      <SayForm hint={t("replayroom.name-this-camera")} label={t("replayroom.name-of-a-view-from")} onSay={keep} maxLength={NAME_LENGTH} button={t("replayroom.keep-the-view")} icon="home" test="view" />
    </section>
  );
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ""}${text.slice(1)}.`;
}

export function RoomChat({ room }: { room: Room }) {
  const rows = room.chat.value;
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [rows.length]);
  return (
    <section class="tile grow" aria-label={t("replayroom.chat")}>
      <header>
        <h2>{t("replayroom.chat")}</h2>
      </header>
      <ul class="chat scroll grow" aria-live="polite" ref={list} tabIndex={0} data-test="chat">
        {rows.map((row, i) => (
          <li key={i}>
            <Mark mark={markOfPlayer(row.name)} name={row.name} size={22} />
            <div>
              <b>{shortName(row.name)}</b>
              <br />
              {row.text}
            </div>
          </li>
        ))}
        {!rows.length && (
          <li style={{ display: "block" }} class="mute">
            {t("replayroom.say-what-you-see")}
          </li>
        )}
      </ul>
      <SayForm hint={t("replayroom.message-everyone-here")} onSay={(text) => room.say(text)} maxLength={CHAT_LENGTH} button={t("replayroom.send")} icon="up" />
    </section>
  );
}
