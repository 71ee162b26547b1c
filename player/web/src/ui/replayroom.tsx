// The replay room on the page: presenter, members, bookmarks, views, chat.

import { useEffect, useRef } from "preact/hooks";
import type { Replay } from "../replay/replay";
import { DEFAULT_VIEW } from "../replay/room";
import type { NamedView, Room } from "../replay/room";
import { markOfPlayer } from "../stage/palette";
import { clockTime, group, plural, shortName } from "../text/format";
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
          <b>{plural(count, "person", "people")} here.</b> <span class="soft">Nobody is presenting.</span>
        </span>
        <button class="btn s main" onClick={() => room.present()} data-test="present">
          Present to all
        </button>
      </div>
    );
  }
  const name = shortName(room.nameOf(presenter)) || "Somebody";
  if (room.presenting) {
    const others = count - 1;
    return (
      <div class="note wash pres" role="status" data-test="presenter">
        <Mark mark={markOfPlayer(presenter)} name={name} size={26} />
        <span class="sp">
          <b>You are presenting.</b> {others ? `${plural(others, "person sees", "people see")} what you see.` : "Nobody else is here yet."}
        </span>
        <button class="btn s main" onClick={() => room.release()} data-test="release">
          Stop presenting
        </button>
      </div>
    );
  }
  const following = replay.following.value;
  return (
    <div class="note wash pres" role="status" data-test="presenter">
      <Mark mark={markOfPlayer(presenter)} name={name} size={26} />
      <span class="sp">
        <b>{name} is presenting.</b> <span class="soft">{following ? "You see the same moment." : "You are watching on your own."}</span>
      </span>
      {following ? (
        <button class="btn s" onClick={() => replay.breakAway()} data-test="break-away">
          Watch on my own
        </button>
      ) : (
        <button class="btn s main" onClick={() => replay.comeBack()} data-test="come-back">
          Back to {name}
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
      <span class="small mute">{group(room.count.value)} here</span>
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
    <section class="tile marks" aria-label="Bookmarks">
      <header>
        <h2>Bookmarks</h2>
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
                <button class="btn ghost s sq" aria-label={`Remove the bookmark ${one.name}`} onClick={() => room.removeBookmark(one.id)}>
                  <Icon name="cross" />
                </button>
              )}
            </li>
          ))}
        </ol>
      )}
      <SayForm hint="Name this moment" label="Name of a bookmark at this moment" onSay={keep} maxLength={NAME_LENGTH} button="Keep the bookmark" icon="flag" empty disabled={!ready} field={field} test="bookmark" />
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
    <section class="tile marks" aria-label="Views">
      <header>
        <h2>Views</h2>
        <span class="sp" />
        <button class="link" onClick={() => keep(DEFAULT_VIEW)} title="Everyone who opens this recording begins with this camera" data-test="first-view">
          Make this the first view
        </button>
      </header>
      {list.length > 0 && (
        <ul class="scroll" tabIndex={0} data-test="views">
          {list.map((one) => (
            <li class="bm" key={one.name}>
              <button class="jump one" onClick={() => onView(one.camera)}>
                <span class="nm">{one.name === DEFAULT_VIEW ? "First view" : one.name}</span>
              </button>
              {one.by === room.you.value && (
                <button class="btn ghost s sq" aria-label={`Remove the view ${one.name}`} onClick={() => room.removeView(one.name)}>
                  <Icon name="cross" />
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      <SayForm hint="Name this camera" label="Name of a view from this camera" onSay={keep} maxLength={NAME_LENGTH} button="Keep the view" icon="home" test="view" />
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
    <section class="tile grow" aria-label="Chat">
      <header>
        <h2>Chat</h2>
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
            Say what you see.
          </li>
        )}
      </ul>
      <SayForm hint="Message everyone here" onSay={(text) => room.say(text)} maxLength={CHAT_LENGTH} button="Send" icon="up" />
    </section>
  );
}
