// The button that copies a link, or another line of text, and says so for two seconds.

import { useEffect, useState } from "preact/hooks";
import { t } from "../text/words";
import { Icon } from "./parts";

const SHOWN_MS = 2000;

/** The link to a lobby, which people get by its code too. */
export const linkToLobby = (token: string): string => `${location.origin}${location.pathname}#/s/${token}`;

/** A link to a lobby that cannot be copied is shown instead. */
export const showLobbyLink = (link: string): void => void prompt(t("copylink.the-link-to-this-lobby"), link);

/** link: made when the button is pressed. what: its name on the button. onFail: what to do with it where the browser has no clipboard. */
export function CopyLink({ link, onFail = () => {}, class: look = "btn s", words = "", title, what = "link" }: { link: () => string; onFail?: (link: string) => void; class?: string; words?: string; title?: string; what?: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const made = link();
    try {
      await navigator.clipboard.writeText(made);
      setCopied(true);
    } catch {
      onFail(made);
    }
  };
  const said = copied ? t("copylink.copied") : t("copylink.copy", { what });
  return (
    <button class={look} onClick={() => void copy()} title={title} aria-label={said} data-test="copy">
      <Icon name={copied ? "check" : "link"} />
      <span class={words}>{said}</span>
    </button>
  );
}
