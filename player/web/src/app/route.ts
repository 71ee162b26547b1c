// Which screen is shown: what the address of the page says, and the way to another screen.

import { signal } from "@preact/signals";
import { at, pathOf } from "../wire/place";

/** A recording has an address of its own, /r/TOKEN; the others are fragments of the page. The token of a player is its
 * identity. */
export type Route = { readonly screen: "lobby" } | { readonly screen: "session" | "replay" | "player"; readonly token: string };

export const route = signal<Route>(readRoute());

function readRoute(): Route {
  const recording = /^\/r\/([0-9a-z]+)\/?$/i.exec(pathOf(location.pathname) ?? "");
  if (recording?.[1]) return { screen: "replay", token: recording[1].toLowerCase() };
  const found = /^#\/([sp])\/([0-9a-z]+)/i.exec(location.hash);
  if (!found?.[2]) return { screen: "lobby" };
  return { screen: found[1]?.toLowerCase() === "p" ? "player" : "session", token: found[2].toLowerCase() };
}

/** The address of a screen. */
export function addressOf(to: Route): string {
  const query = location.search;
  switch (to.screen) {
    case "lobby":
      return at(`/${query}#/`);
    case "session":
      return at(`/${query}#/s/${to.token}`);
    case "player":
      return at(`/${query}#/p/${to.token}`);
    case "replay":
      return at(`/r/${to.token}${query}`);
  }
}

/** Show another screen; Back leads to the present one. */
export function go(to: Route): void {
  if (addressOf(to) !== addressOf(route.value)) history.pushState(null, "", addressOf(to));
  route.value = to;
}

/** Follow the browser's Back, Forward and address. Called once. */
export function followAddress(): void {
  for (const name of ["hashchange", "popstate"]) {
    addEventListener(name, () => {
      const next = readRoute();
      if (addressOf(next) !== addressOf(route.value)) route.value = next;
    });
  }
}
