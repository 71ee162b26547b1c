// A panel under the bar, over the page but not over what is played: the settings, the list of keys. It takes the focus
// and gives it back; Escape closes it. The page behind it goes on.

import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { Icon } from "./parts";

export function Panel({ title, close, onClose, children, test }: { title: string; close: string; onClose: () => void; children: ComponentChildren; test: string }) {
  const box = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const before = document.activeElement;
    box.current?.focus();
    const key = (event: KeyboardEvent): void => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      onClose();
    };
    const node = box.current;
    node?.addEventListener("keydown", key);
    return () => {
      node?.removeEventListener("keydown", key);
      // Once this panel is gone: what has the focus when it is removed loses it.
      setTimeout(() => before instanceof HTMLElement && before.isConnected && document.activeElement === document.body && before.focus());
    };
  }, []);
  return (
    <section class="tile panel" role="dialog" aria-label={title} tabIndex={-1} ref={box} data-test={test}>
      <div class="headrow">
        <h2>{title}</h2>
        <span class="sp" />
        <button class="btn ghost s sq" aria-label={close} onClick={onClose}>
          <Icon name="cross" />
        </button>
      </div>
      <div class="in scroll">{children}</div>
    </section>
  );
}
