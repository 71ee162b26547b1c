// What a person reads when the server refuses a request: by error code, what happened and what to do.

import { t } from "../text/words";

export const REFUSALS: Readonly<Record<string, readonly [string, string]>> = {
  get name_taken() {
    return [t("refusals.this-is-someone-elses-name"), t("refusals.enter-its-secret-or-choose")] as const;
  },
  get no_bots() {
    return [t("refusals.no-bots-are-running-here"), t("refusals.start-some-with-tussle-bots")] as const;
  },
  get seats_held() {
    return [t("refusals.these-seats-are-held-for"), t("refusals.you-can-join-when-their")] as const;
  },
  get rematch_played() {
    return [t("refusals.the-rematch-has-been-played"), t("refusals.ask-for-another-one-at")] as const;
  },
  get not_member() {
    return [t("refusals.you-had-no-seat-in"), t("refusals.join-its-rematch-by-the")] as const;
  },
  get lobby_full() {
    return [t("refusals.all-seats-are-taken"), t("refusals.you-can-watch-or-find")] as const;
  },
  get no_such_session() {
    return [t("refusals.there-is-no-session-with"), t("refusals.codes-have-eight-letters-and")] as const;
  },
  get not_found() {
    return [t("refusals.there-is-no-session-with"), t("refusals.it-may-have-ended-a")] as const;
  },
  get in_a_session() {
    return [t("refusals.you-have-a-seat-in"), t("refusals.leave-it-first")] as const;
  },
  get in_session() {
    return [t("refusals.you-have-a-seat-in"), t("refusals.return-to-it-or-give")] as const;
  },
  get rate_limited() {
    return [t("refusals.too-many-requests"), t("refusals.wait-a-second-and-try")] as const;
  },
  get store_full() {
    return [t("refusals.the-server-is-full"), t("refusals.running-sessions-continue-try-again")] as const;
  },
  get store_unavailable() {
    return [t("refusals.the-store-does-not-answer"), t("refusals.try-again-in-a-moment")] as const;
  },
  get offline() {
    return [t("refusals.the-server-does-not-answer"), t("refusals.check-your-network-connection")] as const;
  },
};
