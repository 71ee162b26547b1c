// The operators' page, /admin: sessions (slow ones first), players, servers and their solvers, limits, bans, notices.

import { useEffect, useState } from "preact/hooks";
import { loggedIn, logIn, logOut, overview, pollOverview, reachable, shownServer } from "../app/operate";
import { chooseTheme } from "../app/settings";
import { theme } from "../app/store";
import { t } from "../text/words";
import { Banners } from "../ui/banners";
import { Icon } from "../ui/parts";
import { at } from "../wire/place";
import { Bans, Limits, NoticeForm, Servers } from "./adminside";
import { Players, Sessions } from "./adminlists";

export function Admin() {
  useEffect(pollOverview, []);
  useEffect(() => {
    document.title = t("admin.tussle-operators");
  }, []);
  const seen = overview.value;
  return (
    <>
      <header class="bar">
        <a class="btn skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>
          {t("admin.skip-to-content")}
        </a>
        <a class="word" href={at("/")} aria-label={t("admin.tussle-to-the-lobbies")}>
          {[...t("admin.tussle")].map((letter) => (
            <i>{letter}</i>
          ))}
        </a>
        <span class="crumb">
          <b>{t("admin.operators")}</b>
        </span>
        <span class="sp" />
        {seen && (
          <span class="small mute wide" data-test="counts">
            {t("admin.on", { session_count: t("admin.session", { n: seen.session_count }), player_count: t("admin.player", { n: seen.player_count }), serversCount: t("admin.server", { n: seen.servers.length }) })}
          </span>
        )}
        <button class="btn ghost s sq" aria-label={theme.value === "dark" ? t("admin.light-theme") : t("admin.dark-theme")} onClick={() => chooseTheme(theme.value === "dark" ? "light" : "dark")}>
          <Icon name="sun" />
        </button>
        {loggedIn.value && (
          <button class="btn s" onClick={() => void logOut()} data-test="logout">
            {t("admin.log-out")}
          </button>
        )}
      </header>
      <Banners />
      {!reachable.value && (
        <div class="notes" role="status">
          <div class="note signal" data-test="offline">
            <span>
              <b>{t("admin.the-server-does-not-answer")}</b>{" "}{t("admin.trying-again-every-two-seconds")}
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
                  {t("admin.only-server")}{" "}<span class="data">{shownServer.value}</span>
                </span>
                <button class="btn s" onClick={() => (shownServer.value = "")}>
                  {t("admin.show-all")}
                </button>
              </div>
            )}
            <Sessions />
            <Players />
          </div>
          <div class="stack rail scroll" tabIndex={0} role="region" aria-label={t("admin.servers-limits-bans")}>
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
        <h1>{t("admin.operators")}</h1>
        <p class="small soft">
          {t("admin.log-in-as-an-operator")}{" "}<span class="data">{t("admin.tussle-operator-add-name")}</span>{" "}{t("admin.makes-one")}
        </p>
        <label class="small soft" for="operator">
          {t("admin.name")}
        </label>
        <div class={refused ? "field bad" : "field"}>
          <input id="operator" autocomplete="username" maxLength={48} value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </div>
        <label class="small soft" for="secret">
          {t("admin.secret")}
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
          {t("admin.log-in")}
        </button>
      </form>
    </main>
  );
}
