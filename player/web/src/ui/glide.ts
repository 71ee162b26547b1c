// Elements of a list that glide to their new places. Only their transform moves: the browser counts no layout shift.

import { useLayoutEffect, useRef } from "preact/hooks";
import type { RefObject } from "preact";
import { calm } from "../app/store";

const GLIDE_MS = 260;
const APPEAR_MS = 200;

/** The groups of a positioned host and their rows, by `data-glide`; groups come first, and are positioned too. */
const elements = (host: HTMLElement): HTMLElement[] => [...host.querySelectorAll<HTMLElement>("[data-glide]")];
const groupOf = (one: HTMLElement): HTMLElement | null => one.parentElement!.closest<HTMLElement>("[data-glide]");

/** Where an element is drawn, against its place in the layout [px]: a glide under way. */
const aside = (one: HTMLElement): number => (one.getAnimations().length ? new DOMMatrix(getComputedStyle(one).transform).m42 : 0);

/** Where an element is in the layout of the host, and where it is drawn [px]. */
const placed = (one: HTMLElement | null): number => (one ? one.offsetTop + placed(groupOf(one)) : 0);
const drawn = (one: HTMLElement | null): number => (one ? one.offsetTop + aside(one) + drawn(groupOf(one)) : 0);

/** Called while a component renders: after it, what has a new place glides there, and what is new appears. */
export function useGlide(host: RefObject<HTMLElement | null>): void {
  const before = useRef<ReadonlyMap<string, number>>(new Map());
  // Read here, because after the component has rendered the old places are gone.
  before.current = new Map(host.current ? elements(host.current).map((one) => [one.dataset["glide"]!, drawn(one)]) : []);
  useLayoutEffect(() => {
    const list = host.current;
    if (!list || !before.current.size || calm.peek()) return;
    const all = elements(list).map((one) => ({ one, group: groupOf(one), old: before.current.get(one.dataset["glide"]!), at: placed(one), now: aside(one) }));
    /** By how much a group is drawn aside; its rows are carried along. */
    const carried = new Map<HTMLElement, number>();
    for (const { one, group, old, at, now } of all) {
      const by = old === undefined ? now : old - at - (group ? (carried.get(group) ?? 0) : 0);
      carried.set(one, by);
      if (old === undefined) one.animate([{ opacity: 0 }, { opacity: 1 }], { duration: APPEAR_MS });
      else if (Math.abs(by - now) >= 1) one.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: GLIDE_MS, easing: "ease-out" });
    }
  });
}
