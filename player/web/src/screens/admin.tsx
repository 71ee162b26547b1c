// The operators' page, /admin: sessions (slow ones first), players, servers and their solvers, limits, bans, notices.

import { useEffect, useState } from "preact/hooks";
import { loggedIn, logIn, logOut, overview, pollOverview, reachable, shownServer } from "../app/operate";
import { chooseTheme } from "../app/settings";
import { theme } from "../app/store";
import { plural } from "../text/format";
import { Banners } from "../ui/banners";
import { Icon } from "../ui/parts";
import { at } from "../wire/place";
import { Bans, Limits, NoticeForm, Servers } from "./adminside";
import { Players, Sessions } from "./adminlists";

export function Admin() {
  useEffect(pollOverview, []);
  useEffect(() => {
    document.title = "Tussle, operators";
  }, []);
  const seen = overview.value;
  return (
    <>
      <header class="bar">
        <a class="btn skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
          Skip to content
        </a>
        <a class="word" href={at("/")} aria-label="Tussle, to the lobbies">
          {[..."Tussle"].map((letter) => (
            <i>{letter}</i>
          ))}
        </a>
        <span class="crumb">
          <b>Operators</b>
        </span>
        <span class="sp" />
        {seen && (
          <span class="small mute wide" data-test="counts">
            {plural(seen.session_count, "session")}, {plural(seen.player_count, "player")} on {plural(seen.servers.length, "server")}
          </span>
        )}
        <button class="btn ghost s sq" aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"} onClick={() => chooseTheme(theme.value === "dark" ? "light" : "dark")}>
          <Icon name="sun" />
        </button>
        {loggedIn.value && (
          <button class="btn s" onClick={() => void logOut()} data-test="logout">
            Log out
          </button>
        )}
      </header>
      <Banners />
      {!reachable.value && (
        <div class="notes" role="status">
          <div class="note signal" data-test="offline">
            <span>
              <b>The server does not answer.</b> Trying again every two seconds.
            </span>
          </div>
        </div>
      )}
      {!loggedIn.value ? (
        <Door />
      ) : (
        <main class="desk admin" id="main" tabIndex={-1}>
          <div class="stack">
            {shownServer.value && (
              <div class="tile filter">
                <span class="small">
                  Only server <span class="data">{shownServer.value}</span>
                </span>
                <button class="btn s" onClick={() => (shownServer.value = "")}>
                  Show all
                </button>
              </div>
            )}
            <Sessions />
            <Players />
          </div>
          <div class="stack rail scroll" tabIndex={0} role="region" aria-label="Servers, limits, bans">
            <NoticeForm />
            <Servers />
            <Limits />
            <Bans />
          </div>
        </main>
      )}
    </>
  );
}

function Door() {
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  return (
    <main class="door" id="main" tabIndex={-1}>
      <form
        class="tile"
        data-test="door"
        onSubmit={(event) => {
          event.preventDefault();
          setBusy(true);
          void logIn(name.trim(), secret)
            .then((problem) => {
              setRefused(problem ?? "");
              if (problem === null) setSecret("");
            })
            .finally(() => setBusy(false));
        }}
      >
        <h1>Operators</h1>
        <p class="small soft">
          Log in as an operator. <span class="data">tussle operator add NAME</span> makes one.
        </p>
        <label class="small soft" for="operator">
          Name
        </label>
        <div class={refused ? "field bad" : "field"}>
          <input id="operator" autocomplete="username" maxLength={48} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </div>
        <label class="small soft" for="secret">
          Secret
        </label>
        <div class={refused ? "field bad" : "field"}>
          <input id="secret" type="password" autocomplete="current-password" maxLength={200} aria-invalid={refused !== ""} aria-describedby={refused ? "refused" : undefined} value={secret} onInput={(event) => setSecret(event.currentTarget.value)} />
        </div>
        {refused && (
          <p class="small harm" id="refused" role="alert" data-test="refused">
            {refused}
          </p>
        )}
        <button class="btn main l" disabled={!name.trim() || !secret || busy} aria-busy={busy}>
          Log in
        </button>
      </form>
    </main>
  );
}
