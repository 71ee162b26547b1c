// The right column of the operators' page: a notice to everybody, servers with their solvers, limits, bans.

import { useState } from "preact/hooks";
import { order, overview, pending, refusedMost, shownServer } from "../app/operate";
import { fixed, group, parseCode } from "../text/format";
import { t } from "../text/words";
import { Confirm } from "../ui/confirm";
import type { ServerRow } from "../wire/answers";

const NOTICE_LENGTH = 300;
const LIMITS_SHOWN = 12;

export function NoticeForm() {
  const [text, setText] = useState("");
  const [session, setSession] = useState("");
  return (
    <section class="tile" aria-label={t("adminside.notice")}>
      <header>
        <h2>{t("adminside.notice")}</h2>
        <span class="sp" />
        <span class="data mute">{NOTICE_LENGTH - text.length}</span>
      </header>
      <form
        class="in"
        onSubmit={(event) => {
          event.preventDefault();
          const token = parseCode(session);
          void order("/api/admin/notice", { text: text.trim(), session: token }, token ? t("adminside.the-notice-was-sent-to") : t("adminside.the-notice-was-sent-to-2")).then((done) => {
            if (done) setText("");
          });
        }}
      >
        <div class="field">
          <input aria-label={t("adminside.text-of-the-notice")} placeholder={t("adminside.one-line-for-everybody-in")} maxLength={NOTICE_LENGTH} value={text} onInput={(event) => setText(event.currentTarget.value)} data-test="notice" />
        </div>
        <div class="row">
          <div class="field" style={{ flex: 1 }}>
            <input aria-label={t("adminside.only-for-the-session-with")} placeholder={t("adminside.all-sessions-or-a-code")} autocomplete="off" spellcheck={false} maxLength={60} value={session} onInput={(event) => setSession(event.currentTarget.value)} />
          </div>
          <button class="btn main" disabled={!text.trim() || pending.value !== null || ![0, 8].includes(parseCode(session).length)}>
            {t("adminside.send")}
          </button>
        </div>
      </form>
    </section>
  );
}

export function Servers() {
  const servers = overview.value?.servers ?? [];
  return (
    <section class="tile" aria-label={t("adminside.servers")}>
      <header>
        <h2>{t("adminside.servers")}</h2>
      </header>
      <ul class="cards" data-test="servers">
        {servers.map((server) => (
          <Server server={server} only={servers.length === 1} key={server.id} />
        ))}
      </ul>
    </section>
  );
}

function Server({ server, only }: { server: ServerRow; only: boolean }) {
  const solvers = (overview.value?.solvers ?? []).filter((one) => one.server === server.id);
  const status = server.draining ? ["pause", "draining"] : server.held === false ? ["bad", t("adminside.lease-lost")] : server.held === null ? ["pause", t("adminside.no-report")] : ["run", "serving"];
  return (
    <li data-server={server.id}>
      <div class="row">
        <b class="data">{server.id}</b>
        <span class={`tag ${status[0]}`}>{status[1]}</span>
        <span class="sp" />
        {!only && (
          <button class="btn ghost s" aria-pressed={shownServer.value === server.id} aria-label={t("adminside.show-only", { id: server.id })} onClick={() => (shownServer.value = shownServer.value === server.id ? "" : server.id)}>
            {t("adminside.only")}
          </button>
        )}
        <Confirm text={t("adminside.drain")} question={only ? t("adminside.drain-the-last-one") : t("adminside.really-drain")} label={server.id} disabled={pending.value !== null || server.draining === true} onConfirm={() => void order("/api/admin/drain", { server: server.id }, t("adminside.hands-its-sessions-over", { id: server.id }))} />
      </div>
      <dl class="kv">
        <dt>{t("adminside.sessions-connections")}</dt>
        <dd>
          {group(server.sessions)}, {server.connections === null ? "–" : group(server.connections)}
        </dd>
        <dt>{t("adminside.solver-load")}</dt>
        <dd>{server.share === null ? "–" : t("adminside.of-a-core", { fixed: fixed(server.share * 100, 0) })}</dd>
        <dt>{t("adminside.age-of-its-lease")}</dt>
        <dd>{server.lease_age_ms === null ? "–" : t("adminside.ms", { lease_age_ms: group(server.lease_age_ms) })}</dd>
        <dt>{t("adminside.physics")}</dt>
        <dd title={server.physics_id}>{server.physics_id.slice(0, 12)}</dd>
      </dl>
      <ul class="solvers" aria-label={t("adminside.solvers-of", { id: server.id })}>
        {solvers.map((solver) => (
          <li key={solver.index}>
            <span class={`tag ${solver.running ? "run" : solver.kind === "heavy" ? "end" : "bad"}`}>
              {t("adminside.solver")}{" "}{solver.index}
              {solver.kind && `, ${solver.kind}`}
            </span>
            <meter min={0} max={1} high={0.8} value={Math.min(1, solver.busy)} aria-label={t("adminside.load-of-solver", { index: solver.index })} />
            <span class="data mute">
              {solver.running ? `${fixed(solver.busy * 100, 0)} %, ${t("adminside.session", { n: solver.sessions })}${solver.queue ? t("adminside.queue", { queue: solver.queue }) : ""}` : solver.kind === "heavy" ? t("adminside.not-needed") : t("adminside.stopped")}
            </span>
          </li>
        ))}
      </ul>
    </li>
  );
}

export function Limits() {
  const rows = refusedMost.value;
  const many = (overview.value?.servers.length ?? 0) > 1;
  return (
    <section class="tile" aria-label={t("adminside.limits")}>
      <header>
        <h2>{t("adminside.limits")}</h2>
        <span class="sp" />
        <span class="small mute">{t("adminside.refused-the-most")}</span>
      </header>
      <ul class="cards" data-test="limits">
        {rows.slice(0, LIMITS_SHOWN).map((row) => (
          <li key={`${row.server} ${row.resource} ${row.owner}`}>
            <div class="row">
              <b class="small">
                {t("adminside.of-one", { replace: row.resource.replace("_", " "), owner: row.owner })}
              </b>
              <span class="sp" />
              <span class="data harm">{t("adminside.refused", { refusals: group(row.refusals) })}</span>
            </div>
            <p class="small mute">
              {row.held ? t("adminside.at-once", { burst: group(row.burst) }) : t("adminside.a-second-at-once", { rate: group(row.rate), burst: group(row.burst) })}
              {row.setting && `, ${row.setting}`}
              {many && t("adminside.on", { server: row.server })}
            </p>
            <ul>
              {row.keys
                .filter((key) => key.refusals > 0)
                .slice(0, 3)
                .map((key) => (
                  <li class="row" key={key.key}>
                    <span class="data clip">{key.key}</span>
                    <span class="sp" />
                    <span class="data mute">{group(key.refusals)}</span>
                  </li>
                ))}
            </ul>
          </li>
        ))}
        {rows.length === 0 && <li class="small mute">{t("adminside.no-request-was-refused")}</li>}
      </ul>
    </section>
  );
}

/** Whether a text is an IPv4 or IPv6 address, and so no player. */
export function isAddress(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || /^[0-9a-f:]*:[0-9a-f:]*(\/64)?$/i.test(text);
}

/** The longest ban of an address (a year) and of a player (ten years) that a server takes. */
const ADDRESS_HOURS = 8760;
const PLAYER_HOURS = 87_600;

export function Bans() {
  const [who, setWho] = useState("");
  const [hours, setHours] = useState("1");
  const players = (overview.value?.banned ?? []).map((ban) => ({ key: ban.player, name: ban.name || ban.player, until: ban.until, path: "/api/admin/unban", body: { player: ban.player } }));
  const addresses = (overview.value?.banned_addresses ?? []).map((ban) => ({ key: ban.address, name: ban.address, until: ban.until, path: "/api/admin/unban-address", body: { address: ban.address } }));
  const banned = [...players, ...addresses];
  const length = Number(hours);
  const most = isAddress(who.trim()) ? ADDRESS_HOURS : PLAYER_HOURS;
  const fits = hours.trim() === "" || (length > 0 && length <= most);
  return (
    <section class="tile" aria-label={t("adminside.bans")}>
      <header>
        <h2>{t("adminside.bans")}</h2>
      </header>
      <form
        class="in"
        onSubmit={(event) => {
          event.preventDefault();
          const name = who.trim();
          const forS = hours.trim() === "" ? null : length * 3600;
          const ban = isAddress(name) ? order("/api/admin/ban-address", { address: name, for_s: forS }, t("adminside.is-banned", { name })) : order("/api/admin/ban", { player: name, for_s: forS }, t("adminside.is-banned", { name }));
          void ban.then((done) => {
            if (done) setWho("");
          });
        }}
      >
        <div class="row">
          <div class="field" style={{ flex: 1 }}>
            <input aria-label={t("adminside.name-or-id-of-the")} placeholder={t("adminside.name-id-or-address")} maxLength={48} value={who} onInput={(event) => setWho(event.currentTarget.value)} />
          </div>
          <div class="field hours">
            <input aria-label={t("adminside.hours-at-most-empty-ten", { most })} aria-invalid={!fits} inputMode="decimal" placeholder={t("adminside.hours")} maxLength={6} value={hours} onInput={(event) => setHours(event.currentTarget.value)} />
            <span class="small mute">h</span>
          </div>
          <button class="btn" disabled={!who.trim() || pending.value !== null || !fits}>
            {t("adminside.ban")}
          </button>
        </div>
      </form>
      <ul class="cards" data-test="bans">
        {banned.map((ban) => (
          <li class="row" key={ban.key}>
            <span class="clip">{ban.name}</span>
            <span class="sp" />
            <span class="data mute">{new Date(ban.until).toISOString().slice(0, 16).replace("T", " ")}</span>
            <button class="btn s" disabled={pending.value !== null} aria-label={t("adminside.lift-the-ban-of", { name: ban.name })} onClick={() => void order(ban.path, ban.body, t("adminside.the-ban-is-lifted"))}>
              {t("adminside.lift")}
            </button>
          </li>
        ))}
        {banned.length === 0 && <li class="small mute">{t("adminside.nobody-is-banned")}</li>}
      </ul>
    </section>
  );
}
