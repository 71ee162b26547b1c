// The log and the chat, both polite live regions.

import { useEffect, useRef, useState } from "preact/hooks";
import type { SessionClient } from "../session/client";
import { OBSERVER_MARK, markOfSeat } from "../stage/palette";
import { group, shortName } from "../text/format";
import { Mark } from "./marks";
import { CHAT_LENGTH, SayForm } from "./say";

export function Log({ client, class: extra = "" }: { client: SessionClient; class?: string }) {
  const rows = client.state.value.log;
  return (
    <section class={`tile grow ${extra}`} aria-label="What happened">
      <header>
        <h2>What happened</h2>
      </header>
      <ol class="scroll" aria-live="polite" aria-relevant="additions" tabIndex={0} data-test="log">
        {[...rows].reverse().slice(0, 120).map((row) => (
          <li class={row.turn ? "ev turn" : "ev"} key={row.v}>
            <span class="data">{group(row.tick)}</span>
            <span>{row.turn && row.seat === client.mySeat && row.seat !== null && row.parts[0]?.text.endsWith("turn") ? "Your turn" : row.parts.map((part) => (part.strong ? <em>{part.text}</em> : part.text))}</span>
          </li>
        ))}
      </ol>
    </section>
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
    <section class={`tile ${extra}`} aria-label="Chat">
      <header>
        <h2>Chat</h2>
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
        {!count && <li style={{ display: "block" }} class="mute">{closed ? "No messages." : "Say hello."}</li>}
      </ul>
      {!closed && <SayForm hint="Message everyone" onSay={(text) => void send(text)} maxLength={CHAT_LENGTH} button="Send" icon="up" />}
      {problem && <p class="small" role="alert" style={{ padding: "0 16px 10px", color: "var(--contact)" }}>{problem}</p>}
    </section>
  );
}
