// The log and the chat, both polite live regions.

import { useEffect, useRef, useState } from "preact/hooks";
import type { SessionClient } from "../session/client";
import { OBSERVER_MARK, markOfSeat } from "../stage/palette";
import { group, shortName } from "../text/format";
import { t } from "../text/words";
import type { Word } from "../text/words";
import { EMOTES, LINES } from "./emotes";
import { Mark } from "./marks";
import { CHAT_LENGTH, SayForm } from "./say";

export function Log({ client, class: extra = "" }: { client: SessionClient; class?: string }) {
  const rows = client.state.value.log;
  return (
    <section class={`tile grow ${extra}`} aria-label={t("talk.what-happened")}>
      <header>
        <h2>{t("talk.what-happened")}</h2>
      </header>
      <ol class="scroll" aria-live="polite" aria-relevant="additions" tabIndex={0} data-test="log">
        {[...rows].reverse().slice(0, 120).map((row) => (
          <li class={row.turn ? "ev turn" : "ev"} key={row.v}>
            <span class="data">{group(row.tick)}</span>
            <span>{row.turn && row.seat === client.mySeat && row.seat !== null && row.parts[0]?.text.endsWith("turn") ? t("talk.your-turn") : row.parts.map((part) => (part.strong ? <em>{part.text}</em> : part.text))}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** How long the quick lines rest after one was said [ms]. The server prices each as a line of chat. */
const REST_MS = 1500;

/** Signs and lines that one press says to everyone. A sign is seen over the body of who said it. */
function Quick({ onSay }: { onSay: (text: string) => void }) {
  const [resting, setResting] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = (text: string): void => {
    onSay(text);
    setResting(true);
    timer.current = window.setTimeout(() => setResting(false), REST_MS);
  };
  return (
    <div class="quick" role="group" aria-label={t("quick.title")} data-test="quick">
      {EMOTES.map(({ sign, word }) => (
        <button key={sign} class="btn s sq ghost" aria-label={t(word)} title={t(word)} disabled={resting} onClick={() => say(sign)}>
          {sign}
        </button>
      ))}
      <select class="btn s" aria-label={t("quick.line")} value="" disabled={resting} onChange={(event) => say(t(event.currentTarget.value as Word))} data-test="quick-line">
        <option value="">{t("quick.line")}</option>
        {LINES.map((word) => (
          <option key={word} value={word}>
            {t(word)}
          </option>
        ))}
      </select>
    </div>
  );
}

export function Chat({ client, class: extra = "" }: { client: SessionClient; class?: string }) {
  const state = client.state.value;
  const [problem, setProblem] = useState("");
  const list = useRef<HTMLUListElement>(null);
  const count = state.chat.length;
  useEffect(() => {
    list.current?.scrollTo({ top: list.current.scrollHeight });
  }, [count]);
  const closed = client.role !== "player" || state.phase === "over" || client.link.value.kind === "closed";
  const send = async (said: string): Promise<void> => {
    const answer = await client.command("chat", { text: said });
    setProblem(answer.ok ? "" : answer.error.message);
  };
  return (
    <section class={`tile ${extra}`} aria-label={t("talk.chat")}>
      <header>
        <h2>{t("talk.chat")}</h2>
      </header>
      <ul class="chat scroll grow" aria-live="polite" ref={list} tabIndex={0} data-test="chat">
        {state.chat.map((row) => (
          <li key={row.v}>
            <Mark mark={row.seat === null ? OBSERVER_MARK : markOfSeat(row.seat)} name={row.name} size={22} />
            <div>
              <b>{shortName(row.name)}</b>
              <br />
              {row.text}
            </div>
          </li>
        ))}
        {!count && <li style={{ display: "block" }} class="mute">{closed ? t("talk.no-messages") : t("talk.say-hello")}</li>}
      </ul>
      {state.phase === "over" && client.role === "player" && (
        <p class="small mute" style={{ padding: "0 16px 12px" }} data-test="chat-closed">
          {t(state.startedAt > 0 ? "talk.closed-with-the-match" : "talk.closed")}
        </p>
      )}
      {!closed && client.mySeat !== null && <Quick onSay={(text) => void send(text)} />}
      {!closed && <SayForm hint={t("talk.message-everyone")} onSay={(text) => void send(text)} maxLength={CHAT_LENGTH} button={t("talk.send")} icon="up" />}
      {problem && <p class="small" role="alert" style={{ padding: "0 16px 10px", color: "var(--contact)" }}>{problem}</p>}
    </section>
  );
}
