// Frames over a WebRTC data channel: the offer, the watch over the channel, and the way back to the WebSocket, which
// carries the signalling. The only user of RTCPeerConnection. It must never decode a frame.

import type { IceServer, WebRtcData } from "../src/wire/messages";

/** The transport of frames. `since`: when it came into use [ms]; `reason`: why the channel is not used, if it was tried. */
export type Way = { readonly kind: "socket" | "asking" | "channel"; readonly reason: string; readonly since: number };

/** How long a channel may take to open [ms]. */
const OPEN_MS = 3000;
/** A channel without a message for this long counts as lost: an idle channel gets one twice a second [ms]. */
const SILENT_MS = 2000;
const WATCH_MS = 250;
/** First and longest wait until a channel is tried again [ms]. */
const AGAIN_MS = 30_000;
const LAST_AGAIN_MS = 600_000;
/** Candidates of UDP that are sent; the server takes 16. */
const CANDIDATES = 12;

/** What is used of an RTCPeerConnection and of its data channel. */
export interface PeerLike {
  onicecandidate: ((event: never) => void) | null;
  createDataChannel(label: string, options: { negotiated: boolean; id: number; ordered: boolean; maxRetransmits: number }): ChannelLike;
  createOffer(): Promise<{ sdp?: string; type: "answer" | "offer" | "pranswer" | "rollback" }>;
  setLocalDescription(offer: { sdp?: string; type: "answer" | "offer" | "pranswer" | "rollback" }): Promise<void>;
  setRemoteDescription(answer: { sdp: string; type: "answer" }): Promise<void>;
  close(): void;
}
interface ChannelLike {
  binaryType: string;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
}
export type PeerClass = new (options: { iceServers: { urls: string[]; username?: string; credential?: string }[] }) => PeerLike;

export interface ChannelHandlers {
  /** Send a message over the WebSocket. */
  send(t: "offer" | "candidate" | "hangup", d?: Record<string, unknown>): void;
  binary(data: ArrayBuffer): void;
  /** The transport of frames has changed. */
  changed(way: Way): void;
}

/** The class of peers of this browser; undefined where it cannot make data channels. */
export function peerClass(): PeerClass | undefined {
  return (globalThis as { RTCPeerConnection?: PeerClass }).RTCPeerConnection;
}

export class FrameChannel {
  way: Way = { kind: "socket", reason: "", since: Date.now() };
  private peer: PeerLike | null = null;
  private servers: readonly IceServer[] | null = null;
  private wanted: boolean;
  private heardAt = 0;
  private watchedAt = 0;
  private opening: ReturnType<typeof setTimeout> | undefined;
  private watching: ReturnType<typeof setTimeout> | undefined;
  private retrying: ReturnType<typeof setTimeout> | undefined;
  private failures = 0;
  private readonly handlers: ChannelHandlers;
  private readonly Peer: PeerClass | undefined;

  /** Peer: the class of peer connections; without it frames always come over the WebSocket. */
  constructor(wanted: boolean, Peer: PeerClass | undefined, handlers: ChannelHandlers) {
    this.wanted = wanted;
    this.Peer = Peer;
    this.handlers = handlers;
  }

  /** Use the channel where the server offers one, or do not. */
  want(wanted: boolean): void {
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    if (wanted) this.begin();
    else this.giveUp("", true);
  }

  /** The WebSocket is welcome. webrtc: what the server says of data channels. */
  welcomed(webrtc: WebRtcData | undefined): void {
    this.lost();
    this.servers = webrtc ? webrtc.ice_servers : null;
    this.failures = 0;
    this.begin();
  }

  /** The WebSocket is lost, and the channel with it. */
  lost(): void {
    this.servers = null;
    this.end();
    if (this.way.kind !== "socket") this.set("socket", "");
  }

  /** The server's answer to the offer. */
  answered(sdp: string): void {
    const peer = this.peer;
    peer?.setRemoteDescription({ type: "answer", sdp }).catch(() => {
      if (peer === this.peer) this.giveUp("the server's answer cannot be used", true);
    });
  }

  /** The server names the transport of frames from now on. */
  changed(state: string, reason: string): void {
    if (!this.peer) return;
    if (state !== "open") {
      this.giveUp(reason === "no_connection" ? "no packet gets through" : "the channel was cut", false);
      return;
    }
    clearTimeout(this.opening);
    this.failures = 0;
    this.set("channel", "");
    this.heardAt = this.watchedAt = performance.now();
    this.watching = setInterval(() => this.watch(), WATCH_MS);
  }

  /** The server refused the offer. */
  refused(message: string): void {
    if (this.peer) this.giveUp(message, false);
  }

  private begin(): void {
    if (!this.wanted || !this.servers || this.peer || !this.Peer) return;
    clearTimeout(this.retrying);
    const peer = new this.Peer({ iceServers: this.servers.map((one) => ({ ...one, urls: [...one.urls] })) });
    this.peer = peer;
    this.set("asking", this.way.reason);
    const channel = peer.createDataChannel("frames", { negotiated: true, id: 0, ordered: false, maxRetransmits: 0 });
    channel.binaryType = "arraybuffer";
    channel.onmessage = (event: { data: ArrayBuffer }) => {
      if (peer !== this.peer) return;
      this.heardAt = performance.now();
      if (event.data.byteLength > 1) this.handlers.binary(event.data);
    };
    channel.onclose = () => {
      if (peer === this.peer) this.giveUp("the channel was cut", true);
    };
    let sent = 0;
    peer.onicecandidate = (event: { candidate: { candidate: string } | null }) => {
      const candidate = event.candidate?.candidate;
      if (peer !== this.peer || !candidate || !/ udp /i.test(candidate) || ++sent > CANDIDATES) return;
      this.handlers.send("candidate", { candidate });
    };
    this.opening = setTimeout(() => {
      if (peer === this.peer) this.giveUp("no packet gets through", true);
    }, OPEN_MS);
    peer
      .createOffer()
      .then((offer) => {
        if (peer !== this.peer) return;
        this.handlers.send("offer", { sdp: offer.sdp });
        return peer.setLocalDescription(offer);
      })
      .catch(() => {
        if (peer === this.peer) this.giveUp("this browser cannot make a channel", false);
      });
  }

  private watch(): void {
    const now = performance.now();
    // A page that slept or was busy received nothing because it did not run.
    if (now - this.watchedAt > SILENT_MS / 2) this.heardAt = now;
    this.watchedAt = now;
    if (now - this.heardAt > SILENT_MS) this.giveUp("the channel was cut", true);
  }

  /** Have frames over the WebSocket again, and try another channel later. tell: the server does not know. */
  private giveUp(reason: string, tell: boolean): void {
    const had = this.peer !== null;
    this.end();
    if (had && tell) this.handlers.send("hangup");
    this.set("socket", reason);
    if (this.wanted && this.servers) {
      this.retrying = setTimeout(() => this.begin(), Math.min(LAST_AGAIN_MS, AGAIN_MS * 2 ** this.failures++));
    }
  }

  private end(): void {
    clearTimeout(this.opening);
    clearTimeout(this.retrying);
    clearInterval(this.watching);
    const peer = this.peer;
    this.peer = null;
    peer?.close();
  }

  private set(kind: Way["kind"], reason: string): void {
    this.way = { kind, reason, since: Date.now() };
    this.handlers.changed(this.way);
  }
}
