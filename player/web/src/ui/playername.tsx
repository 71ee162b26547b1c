// A player's name, which leads to the player's page; bots are marked.

import { addressOf, go } from "../app/route";
import { shortName } from "../text/format";
import { t } from "../text/words";

export interface Named {
  readonly player: string;
  readonly name: string;
  readonly kind: string;
}

/** after: what follows the name and is no part of the link. */
export function PlayerName({ who, after = "" }: { who: Named; after?: string }) {
  const page = { screen: "player", token: who.player } as const;
  const open = (event: MouseEvent): void => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return; // another tab or window
    event.preventDefault();
    go(page);
  };
  return (
    <>
      <a class="plink" href={addressOf(page)} onClick={open}>
        {shortName(who.name)}
      </a>
      {who.kind === "bot" && <BotMark />}
      {after}
    </>
  );
}

export function BotMark() {
  return <span class="isbot">{t("playername.bot")}</span>;
}
