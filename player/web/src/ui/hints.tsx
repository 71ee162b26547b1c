// Three hints on the mat at the first match, each once: how to pull, where a body is soft, what the rim does. Each is
// shown in a turn of one's own, closes with that turn, and is never shown again. All can be skipped at once.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { load, save } from "../app/kept";
import type { SessionState } from "../session/state";
import { t } from "../text/words";
import type { Word } from "../text/words";
import type { Act } from "./aiming";
import { aimKeys } from "./keyboard";
import { useMatch } from "./parts";

const HINTS: Readonly<Record<string, readonly Word[]>> = {
  duel: ["hint.pull", "hint.soft", "hint.rim"],
  curling: ["hint.slide", "hint.guard", "hint.button"],
};

/** What is said instead where nothing has keys. */
const TOUCH: Readonly<Partial<Record<Word, Word>>> = { "hint.pull": "hint.pull.touch", "hint.slide": "hint.slide.touch", "hint.button": "hint.button.touch" };

const seen = signal<readonly string[]>(load<string[]>("tussle.hints") ?? []);

function see(hints: readonly string[]): void {
  seen.value = [...new Set([...seen.peek(), ...hints])];
  save("tussle.hints", seen.value);
}

/** Show all hints again, at the next match. */
export function showHintsAgain(): void {
  seen.value = [];
  save("tussle.hints", []);
}

export function Hints({ state, act }: { state: SessionState; act: Act }) {
  const all = HINTS[state.mode] ?? [];
  const mine = act.yours && !act.sent;
  const touch = useMatch("(hover: none) and (pointer: coarse)");
  const [shown, setShown] = useState<Word | null>(null);
  // A match that began with hints keeps their row to its end, so that the mat keeps its size, unless they are skipped.
  const [kept, setKept] = useState(() => all.some((one) => !seen.peek().includes(one)));
  useEffect(() => {
    if (mine) {
      setShown(all.find((one) => !seen.peek().includes(one)) ?? null);
      return;
    }
    // The turn in which it was shown is over: it was read or it was not needed.
    if (shown) see([shown]);
    setShown(null);
  }, [mine]);
  if (!kept) return null;
  if (!shown || !mine || seen.value.includes(shown)) return <div class="hints" />;
  const at = all.indexOf(shown) + 1;
  return (
    <div class="hints">
      <aside class="hint" aria-label={t("keys.on.turn")} data-test="hint" data-hint={shown}>
        <span class="data mute" aria-hidden="true">
          {at}/{all.length}
        </span>
        <p role="status">{t((touch && TOUCH[shown]) || shown, aimKeys())}</p>
        <div class="choices">
          <button class="btn s" onClick={() => see([shown])} data-test="hint-close">
            {t("hint.close")}
          </button>
          {at < all.length && (
            <button
              class="btn ghost s"
              onClick={() => {
                see(all);
                setKept(false);
              }}
              data-test="hint-skip"
            >
              {t("hint.skip")}
            </button>
          )}
        </div>
      </aside>
    </div>
  );
}
