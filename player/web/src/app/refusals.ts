// What a person reads when the server refuses a request: by error code, what happened and what to do.

export const REFUSALS: Readonly<Record<string, readonly [string, string]>> = {
  name_taken: ["This is someone else’s name.", "Enter its secret, or choose another name."],
  no_bots: ["No bots are running here.", "Start some with “tussle bots --serve”, or share the code."],
  seats_held: ["These seats are held for the people of the match before.", "You can join when their time is up, or watch."],
  rematch_played: ["The rematch has been played.", "Ask for another one at its end."],
  not_member: ["You had no seat in that match.", "Join its rematch by the code."],
  lobby_full: ["All seats are taken.", "You can watch, or find another lobby."],
  no_such_session: ["There is no session with this code.", "Codes have eight letters and digits."],
  not_found: ["There is no session with this code.", "It may have ended a while ago."],
  in_a_session: ["You have a seat in another session.", "Leave it first."],
  in_session: ["You have a seat in another session.", "Return to it, or give it up."],
  rate_limited: ["Too many requests.", "Wait a second and try again."],
  store_full: ["The server is full.", "Running sessions continue. Try again in a moment."],
  store_unavailable: ["The store does not answer.", "Try again in a moment."],
  offline: ["The server does not answer.", "Check your network connection."],
};
