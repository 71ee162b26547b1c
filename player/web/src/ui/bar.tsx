// The bar at the top of every screen, with the banners below it.

import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { go } from "../app/route";
import { client, me } from "../app/store";
import { OBSERVER_MARK, markOfPlayer, markOfSeat } from "../stage/palette";
import { t } from "../text/words";
import { Banners } from "./banners";
import { useKeys } from "./keyboard";
import { KeySettings, Keys, screenOf } from "./keys";
import { Mark } from "./marks";
import { Icon } from "./parts";
import { PlayerName } from "./playername";
import { Settings } from "./settings";

/** onHome: what a click on the wordmark does, if not leaving the session. */
export function Bar({ children, crumb, onHome }: { children?: ComponentChildren; crumb?: ComponentChildren; onHome?: () => void }) {
  const known = me.value;
  const here = crumb ? client.value : null;
  const seat = here?.mySeat ?? null;
  const [open, setOpen] = useState<"settings" | "keys" | "key-settings" | null>(null);
  const gear = useRef<HTMLButtonElement>(null);
  // It was opened from another panel, which is gone.
  const closeKeys = () => {
    setOpen(null);
    setTimeout(() => gear.current?.focus());
  };
  useKeys({ help: () => setOpen(open === "keys" ? null : "keys") });
  return (
    <>
    <header class="bar">
      <a class="btn skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
        {t("bar.skip-to-content")}
      </a>
      <button class="word" aria-label={t("bar.tussle-to-the-lobbies")} onClick={onHome ?? (() => go({ screen: "lobby" }))}>
        {[...t("bar.tussle")].map((letter) => (
          <i>{letter}</i>
        ))}
      </button>
      {crumb}
      <span class="sp" />
      {children}
      <button ref={gear} class="btn ghost s sq" aria-label={t("settings.title")} aria-expanded={open === "settings"} onClick={() => setOpen(open === "settings" ? null : "settings")} data-test="settings-button">
        <Icon name="gear" />
      </button>
      {/* Its place is kept until the name is known, so that what is beside it does not move. */}
      <span class="row self">
        {known && (
          <>
            <Mark mark={seat !== null ? markOfSeat(seat) : here?.role === "observer" ? OBSERVER_MARK : markOfPlayer(known.player)} name={known.name} />
            <b class="wide small">
              <PlayerName who={{ ...known, kind: "person" }} />
            </b>
          </>
        )}
      </span>
    </header>
    <Banners />
    {open === "settings" && <Settings onClose={() => setOpen(null)} onKeys={() => setOpen("key-settings")} />}
    {open === "keys" && <Keys screen={screenOf(here?.state.value ?? null)} onClose={() => setOpen(null)} onChange={() => setOpen("key-settings")} />}
    {open === "key-settings" && <KeySettings onClose={closeKeys} />}
    </>
  );
}
