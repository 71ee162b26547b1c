// What a person reads when the server refuses a request: by error code, what happened and what to do.

import { computed } from "@preact/signals";
import { t } from "../text/words";

export const REFUSALS = computed((): Readonly<Record<string, readonly [string, string]>> => ({
  name_taken: [t("refusals.this-is-someone-elses-name"), t("refusals.enter-its-secret-or-choose")] as const,
  no_bots: [t("refusals.no-bots-are-running-here"), t("refusals.start-some-with-tussle-bots")] as const,
  seats_held: [t("refusals.these-seats-are-held-for"), t("refusals.you-can-join-when-their")] as const,
  rematch_played: [t("refusals.the-rematch-has-been-played"), t("refusals.ask-for-another-one-at")] as const,
  not_member: [t("refusals.you-had-no-seat-in"), t("refusals.join-its-rematch-by-the")] as const,
  lobby_full: [t("refusals.all-seats-are-taken"), t("refusals.you-can-watch-or-find")] as const,
  no_such_session: [t("refusals.there-is-no-session-with"), t("refusals.codes-have-eight-letters-and")] as const,
  not_found: [t("refusals.there-is-no-session-with"), t("refusals.it-may-have-ended-a")] as const,
  in_a_session: [t("refusals.you-have-a-seat-in"), t("refusals.leave-it-first")] as const,
  in_session: [t("refusals.you-have-a-seat-in"), t("refusals.return-to-it-or-give")] as const,
  rate_limited: [t("refusals.too-many-requests"), t("refusals.wait-a-second-and-try")] as const,
  store_full: [t("refusals.the-server-is-full"), t("refusals.running-sessions-continue-try-again")] as const,
  store_unavailable: [t("refusals.the-store-does-not-answer"), t("refusals.try-again-in-a-moment")] as const,
  offline: [t("refusals.the-server-does-not-answer"), t("refusals.check-your-network-connection")] as const,
}));
