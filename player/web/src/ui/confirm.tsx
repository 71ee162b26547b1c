// A button that acts at the second press, for what cannot be undone. No dialog covers the page.

import { useEffect, useState } from "preact/hooks";

/** How long the second press is waited for. */
const WAIT_MS = 5000;

/** label: what it is done to. */
export function Confirm({ text, question, onConfirm, disabled = false, label, class: kind = "btn s", test }: { text: string; question: string; onConfirm: () => void; disabled?: boolean; label: string; class?: string; test?: string }) {
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    if (!asked) return undefined;
    const timer = setTimeout(() => setAsked(false), WAIT_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  return (
    <button
      class={asked ? `${kind} sure` : kind}
      data-test={test}
      disabled={disabled}
      aria-label={asked ? `${question} ${label}` : `${text} ${label}`}
      onBlur={() => setAsked(false)}
      onClick={() => {
        if (asked) onConfirm();
        setAsked(!asked);
      }}
    >
      {asked ? question : text}
    </button>
  );
}
