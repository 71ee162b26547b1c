// Contact of two bodies in the editor, instead of what follows from their materials.

import { pairOf, withPair } from "../session/pairs";
import type { Workbench } from "../session/workbench";
import { t } from "../text/words";
import { NumberField } from "../ui/fields";
import { Icon } from "../ui/parts";
import type { Body, Pair } from "../wire/scene";

/** Contact of the two chosen bodies. */
export function PairFields({ bench, bodies, off }: { bench: Workbench; bodies: readonly [Body, Body]; off: boolean }) {
  const [a, b] = bodies;
  const pair = pairOf(bench.builder.world.value.pairs, a.id, b.id);
  const set = (change: Partial<Pair>) => void bench.changeWorld((world) => ({ ...world, pairs: withPair(world.pairs, { ...pairOf(world.pairs, a.id, b.id), ...change }) }));
  const { collide = true, friction = null, restitution = null } = pair;
  const soft = a.kind === "elastic" || b.kind === "elastic";
  const common = Math.sqrt(a.material.friction * b.material.friction);
  const bounce = Math.max(a.material.restitution ?? 0, b.material.restitution ?? 0);
  return (
    <div class="sect" role="group" aria-label={t("pairfields.contact-of-the-two")} data-test="pair">
      <h2>{t("pairfields.contact-of-the-two")}</h2>
      <label class="check small">
        <input type="checkbox" checked={collide} disabled={off} onChange={(event) => set({ collide: event.currentTarget.checked })} data-test="pair-collide" />
        {t("pairfields.they-collide")}
      </label>
      {collide && (
        <>
          <label class="check small">
            <input type="checkbox" checked={friction !== null} disabled={off} onChange={(event) => set({ friction: event.currentTarget.checked ? Number(common.toPrecision(3)) : null })} data-test="pair-own-friction" />
            {t("pairfields.a-friction-of-their-own")}
          </label>
          {friction !== null && <NumberField label={t("pairfields.friction")} low={0} high={10} step={0.05} value={friction} disabled={off} onCommit={(value) => set({ friction: value })} test="pair-friction" />}
          {!soft && (
            <label class="check small">
              <input type="checkbox" checked={restitution !== null} disabled={off} onChange={(event) => set({ restitution: event.currentTarget.checked ? bounce : null })} data-test="pair-own-restitution" />
              {t("pairfields.a-restitution-of-their-own")}
            </label>
          )}
          {!soft && restitution !== null && <NumberField label={t("pairfields.restitution")} low={0} high={1} step={0.05} value={restitution} disabled={off} onCommit={(value) => set({ restitution: value })} test="pair-restitution" />}
        </>
      )}
    </div>
  );
}

/** What a pair says, in words. */
function wordsOf({ collide = true, friction = null, restitution = null }: Pair): string {
  if (!collide) return t("pairfields.do-not-collide");
  return [friction === null ? "" : `µ ${friction}`, restitution === null ? "" : `restitution ${restitution}`].filter(Boolean).join(", ");
}

/** All pairs of the scene: each can be chosen, or removed. */
export function PairList({ bench, off }: { bench: Workbench; off: boolean }) {
  const pairs = bench.builder.world.value.pairs;
  return (
    <details class="sect" data-test="pairs">
      <summary>{t("pairfields.pairs", { what: pairs.length ? `: ${pairs.length}` : "" })}</summary>
      <p class="small mute">{pairs.length ? t("pairfields.these-bodies-touch-in-their") : t("pairfields.choose-two-bodies-to-give")}</p>
      <ul>
        {pairs.map((pair) => (
          <li class="row small" key={`${pair.a} ${pair.b}`}>
            <button class="btn s" onClick={() => bench.select([pair.a, pair.b])}>
              {t("pairfields.and", { a: pair.a, b: pair.b })}
            </button>
            <span class="mute">{wordsOf(pair)}</span>
            <span class="sp" />
            <button class="btn ghost s sq" aria-label={t("pairfields.remove-the-pair-of-and", { a: pair.a, b: pair.b })} disabled={off} onClick={() => void bench.changeWorld((world) => ({ ...world, pairs: withPair(world.pairs, { a: pair.a, b: pair.b }) }))}>
              <Icon name="cross" />
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
