// @tussle/client: sessions of a Tussle server in browsers and in Node. The web client (player/web/src) uses it too.

export { FrameChannel, peerClass } from "./channel";
export type { PeerClass, PeerLike, Way } from "./channel";
export { Connection, reachable, retryDelay } from "./connection";
export type { SocketClass, SocketLike } from "./connection";
export type { EventData } from "../src/generated/eventdata";
export { Tussle } from "./server";
export type { Options } from "./server";
export { Session } from "./session";
export type { Heard, Seat, SessionOptions, Typed } from "./session";
export type { Join, ListedSession, Login } from "../src/wire/answers";
export { Refused } from "../src/wire/calls";
export { ServerClock } from "../src/wire/clock";
export { DeltaDecoder } from "../src/wire/deltas";
export { BadFrame, decodeFrame, decodeTopology } from "../src/wire/frames";
export type { Frame, Topology } from "../src/wire/frames";
export type { ErrorData, Event, NoticeData, SessionView, WelcomeData } from "../src/wire/messages";
