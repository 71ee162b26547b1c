// HTTP calls to one server: JSON in, JSON out. A refusal is a problem document (RFC 9457). It must never know a route.

/** A call or command that was refused. `code` is for programs; docs/reference/errors.md has all of them. */
export class Refused extends Error {
  readonly code: string;
  /** The status of the answer; 0: no server answered; null: a command over a socket. */
  readonly status: number | null;
  readonly field: string | null;
  /** When the same call may succeed [s], if it is known. */
  readonly retryAfter: number | null;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, status: number | null = null, field: string | null = null, retryAfter: number | null = null, detail: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.field = field;
    this.retryAfter = retryAfter;
    this.detail = detail;
  }

  /** Whether the same call may succeed later: no server answered, or the store was away. */
  get passing(): boolean {
    return this.status !== null && (this.status === 0 || this.status >= 500 || this.status === 429);
  }
}

/** How long a call may take [ms]. */
const CALL_MS = 10_000;

export interface CallOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** How long the call may take [ms]. */
  readonly timeout?: number;
  /** Without the token. */
  readonly anonymous?: boolean;
}

export class Calls {
  /** The login token, or null. */
  token: string | null = null;
  private readonly address: (path: string) => string;

  /** address: leads from a path of the server, such as /api/me, to its address. */
  constructor(address: (path: string) => string) {
    this.address = address;
  }

  /** Any call that answers JSON (openapi.json of the server lists them). Throws Refused. */
  async call<Answer = unknown>(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Answer> {
    const text = await within(async () => (await this.send(path, { ...options, method, body })).text());
    return (parsed(text) ?? {}) as Answer;
  }

  /** The bytes that answer a call. Throws Refused. */
  read(path: string, options: CallOptions = {}): Promise<ArrayBuffer> {
    return within(async () => (await this.send(path, options)).arrayBuffer());
  }

  private async send(path: string, { method = "GET", headers = {}, body, timeout = CALL_MS, anonymous = false }: CallOptions): Promise<Response> {
    const all = { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }), ...(this.token && !anonymous ? { authorization: `Bearer ${this.token}` } : {}) };
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await fetch(this.address(path), { method, headers: all, signal: AbortSignal.timeout(timeout), ...init });
    if (!response.ok) throw refusalOf(response.status, await response.text());
    return response;
  }
}

/** The result, or a refusal: whatever else fails is the network's. */
async function within<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Refused ? error : new Refused("offline", "The server does not answer.", 0);
  }
}

/** The refusal in the body of an answer; a body that is not a problem document, such as a proxy's page, has none. */
export function refusalOf(status: number, text: string): Refused {
  const document = (parsed(text) ?? {}) as Record<string, unknown>;
  const textAt = (name: string): string | null => (typeof document[name] === "string" ? document[name] : null);
  const again = document["retry_after"];
  return new Refused(textAt("code") ?? "http", textAt("detail") ?? `The server answered ${status}.`, status, textAt("field"), typeof again === "number" ? again : null);
}

/** The JSON value, or null if it is not JSON. */
export function parsed(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
