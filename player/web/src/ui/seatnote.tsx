// The banner on every screen but one's own: a seat that goes on elsewhere, with the way back and the way out.

import { route } from "../app/route";
import { busy, giveUpSeat, returnToSeat, seatClient, seated } from "../app/store";
import { code } from "../text/format";
import { t } from "../text/words";
import { Icon } from "./parts";

export function SeatNote() {
  const token = seated.value;
  const at = route.value;
  if (!token || (at.screen === "session" && at.token === token)) return null;
  const current = seatClient.value;
  const state = current?.state.value;
  const mine = state?.phase === "acting" && state.turnSeat === current?.mySeat;
  return (
    <div class={mine ? "note signal" : "note wash"} data-test="seated">
      <Icon name="home" />
      <span class="sp" role="status">
        <b>{mine ? t("seatnote.it-is-your-turn") : state?.phase === "lobby" ? t("seatnote.your-seat-in-the-waiting") : t("seatnote.you-have-a-seat-in")}</b> <span class="data">{code(token)}</span>
      </span>
      <button class="btn s main" onClick={() => void returnToSeat()} aria-busy={busy.value === `join ${token}`} data-test="return">
        {t("seatnote.return")}
      </button>
      <button class="btn s" onClick={() => void giveUpSeat()} data-test="give-up">
        {t("seatnote.give-up")}
      </button>
    </div>
  );
}
