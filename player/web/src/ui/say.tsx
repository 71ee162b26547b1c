// A form with one line of text and a button: a message, or the name of a bookmark or a view.

import type { Ref } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "./parts";
import type { IconName } from "./parts";

/** Longest line of a chat. */
export const CHAT_LENGTH = 500;

interface SayProps {
  /** What the empty field shows. */
  hint: string;
  /** The name of the field for a screen reader; default: the hint. */
  label?: string;
  /** Gets the trimmed text. The field is emptied. */
  onSay: (text: string) => void;
  maxLength: number;
  button: string;
  icon: IconName;
  /** Whether the empty text is sent too. */
  empty?: boolean;
  disabled?: boolean;
  field?: Ref<HTMLInputElement>;
  test?: string;
}

export function SayForm({ hint, label = hint, onSay, maxLength, button, icon, empty = false, disabled = false, field, test }: SayProps) {
  const [text, setText] = useState("");
  const said = text.trim();
  const send = (event: Event): void => {
    event.preventDefault();
    if (said || empty) onSay(said);
    setText("");
  };
  return (
    <form class="say" onSubmit={send}>
      <label class="field">
        <input ref={field ?? null} value={text} maxLength={maxLength} placeholder={hint} aria-label={label} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} data-test={test && `${test}-name`} />
      </label>
      <button class="btn sq" style={{ minHeight: "38px" }} aria-label={button} title={button} disabled={disabled} data-test={test}>
        <Icon name={icon} />
      </button>
    </form>
  );
}
