// What happens when the screen changes: it begins at its top, its heading has the focus, and a screen reader says it.

import { useEffect, useRef, useState } from "preact/hooks";
import { route } from "../app/route";
import type { Route } from "../app/route";
import { client } from "../app/store";
import type { SessionClient } from "../session/client";
import { t } from "../text/words";

/** For how long a new heading of the same screen takes the focus. */
const LOADING_MS = 5000;

/** A name for what is shown: it changes with the screen and not within one. */
function screenOf(at: Route, current: SessionClient | null): string {
  if (at.screen === "lobby") return "lobby";
  if (at.screen !== "session" || current?.token !== at.token) return `${at.screen} ${at.token}`;
  const link = current.link.value;
  const { phase, status } = current.state.value;
  if (link.kind === "closed" && link.reason !== "ended") return `${at.token} ${link.reason}`;
  if (!current.welcome.value) return t("arrival.joining", { token: at.token });
  return `${at.token} ${phase === "lobby" ? `waiting ${["timed_out", "ended", "failed"].includes(status)}` : phase === "over" ? "over" : "play"}`;
}

export function Arrival() {
  const screen = screenOf(route.value, client.value);
  const before = useRef(screen);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (before.current === screen) return undefined; // the first screen: the browser says the page
    before.current = screen;
    let focused: HTMLElement | null = null;
    const arrive = (): void => {
      const main = document.getElementById("main");
      const heading = main?.querySelector("h1") ?? main;
      if (!(heading instanceof HTMLElement) || heading === focused) return;
      const here = document.activeElement;
      if (focused && here !== document.body && here !== focused) return; // the person has moved on
      for (const one of [document.scrollingElement, document.getElementById("app"), main]) one?.scrollTo(0, 0);
      focused = heading;
      heading.tabIndex = -1;
      heading.focus({ preventScroll: true });
      setSaid(heading.tagName === "H1" ? (heading.textContent ?? "") : document.title);
    };
    const frame = requestAnimationFrame(arrive);
    // A screen that loads puts another heading in the place of the first one.
    const loading = new MutationObserver(arrive);
    loading.observe(document.getElementById("app")!, { childList: true, subtree: true });
    const loaded = setTimeout(() => loading.disconnect(), LOADING_MS);
    return () => {
      cancelAnimationFrame(frame);
      clearTimeout(loaded);
      loading.disconnect();
    };
  }, [screen]);
  return (
    <p class="vh" role="status" data-test="arrival">
      {said}
    </p>
  );
}
