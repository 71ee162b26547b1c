// Fields for numbers with units: typed, stepped by arrow keys, taken on Enter or when the field is left.

import { useRef, useState } from "preact/hooks";
import { parseNumber } from "../session/edit";
import type { Vec3 } from "../wire/scene";

/** A number as a field shows it: six digits, with a power of ten where it is large or small. */
export function shortNumber(value: number): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e6 || size < 1e-4 ? value.toExponential(5).replace(/\.?0+e/, "e").replace("e+", "e") : String(Number(value.toPrecision(6)));
  return text.replace("-", "−");
}

interface NumberProps {
  label: string;
  value: number;
  onCommit: (value: number) => void;
  unit?: string | undefined;
  low?: number;
  high?: number;
  /** Whether a whole number is asked for. */
  whole?: boolean;
  step?: number;
  disabled?: boolean;
  /** Called when typing begins. */
  onBegin?: (() => void) | undefined;
  /** Shown before the number instead of the label, which is then only for screen readers. */
  axis?: string;
  test?: string;
}

export function NumberField({ label, value, onCommit, unit, low = -Infinity, high = Infinity, whole = false, step = whole ? 1 : 0.01, disabled = false, onBegin, axis, test }: NumberProps) {
  const [draft, show] = useState<string | null>(null);
  // What was typed is here at once; the picture of it comes later.
  const typing = useRef<string | null>(null);
  const setDraft = (text: string | null) => {
    typing.current = text;
    show(text);
  };
  const read = (): number | null => {
    const typed = typing.current === null ? null : parseNumber(typing.current);
    return typed !== null && typed >= low && typed <= high && (!whole || Number.isInteger(typed)) ? typed : null;
  };
  const bad = draft !== null && read() === null;
  const begin = () => {
    if (typing.current === null) onBegin?.();
  };
  const take = () => {
    if (typing.current === null) return;
    const typed = read();
    setDraft(null);
    if (typed !== null && typed !== value) onCommit(typed);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter") take();
    else if (event.key === "Escape") {
      event.stopPropagation();
      setDraft(null);
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      begin();
      const by = (event.key === "ArrowUp" ? 1 : -1) * step * (event.shiftKey ? 10 : 1);
      setDraft(shortNumber(Math.min(high, Math.max(low, Number(((read() ?? value) + by).toPrecision(9))))));
    }
  };
  return (
    <label class={`num ${bad ? "bad" : ""}`}>
      <span class={axis ? "vh" : "lb"}>{unit ? `${label} [${unit}]` : label}</span>
      {axis && (
        <span class="ax" aria-hidden="true">
          {axis}
        </span>
      )}
      <input
        inputMode="decimal"
        autocomplete="off"
        spellcheck={false}
        value={draft ?? shortNumber(value)}
        disabled={disabled}
        aria-invalid={bad}
        data-test={test}
        data-typing={draft !== null}
        onInput={(event) => {
          begin();
          setDraft(event.currentTarget.value);
        }}
        onBlur={take}
        onKeyDown={key}
        onFocus={(event) => event.currentTarget.select()}
      />
    </label>
  );
}

const NAMES = ["x", "y", "z"] as const;

export function VectorField({ label, value, onCommit, unit, low, high, whole = false, step, disabled = false, onBegin, test }: { label: string; value: Vec3; onCommit: (value: Vec3) => void; unit?: string; low?: number; high?: number; whole?: boolean; step?: number; disabled?: boolean; onBegin?: (() => void) | undefined; test?: string }) {
  return (
    <div class="vec" role="group" aria-label={unit ? `${label} [${unit}]` : label}>
      <span class="lb" aria-hidden="true">
        {label}
        {unit && <span class="mute"> {unit}</span>}
      </span>
      {NAMES.map((axis, i) => (
        <NumberField
          key={axis}
          label={`${label} ${axis}`}
          axis={axis}
          unit={unit}
          value={value[i]!}
          whole={whole}
          disabled={disabled}
          onBegin={onBegin}
          {...(low === undefined ? {} : { low })}
          {...(high === undefined ? {} : { high })}
          {...(step === undefined ? {} : { step })}
          {...(test ? { test: `${test}-${axis}` } : {})}
          onCommit={(one) => onCommit(value.map((old, k) => (k === i ? one : old)) as unknown as Vec3)}
        />
      ))}
    </div>
  );
}
