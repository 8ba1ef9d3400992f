import { request } from 'undici';

/** One HTTP answer of an MCP endpoint, with its messages in order whether they came as JSON or as events. */
export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly text: string;
  readonly messages: Message[];
}

export interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data?: Record<string, unknown>;
  };
}

export interface RawOptions {
  readonly method?: 'POST' | 'GET' | 'DELETE' | 'PUT';
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** A request as it is, for what a well-behaved client would not send. */
export async function raw(url: string, options: RawOptions = {}): Promise<Answer> {
  const response = await request(url, {
    method: options.method ?? 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...options.headers,
    },
    body: options.body ?? null,
  });
  const text = await response.body.text();
  return {
    status: response.statusCode,
    headers: response.headers,
    text,
    messages: parse(text, response.headers['content-type']),
  };
}

function parse(text: string, type: string | string[] | undefined): Message[] {
  if (text === '') return [];
  if (String(type).startsWith('text/event-stream')) {
    return text
      .split('\n')
      .filter((line) => line.startsWith('data: ') && line.length > 6)
      .map((line) => JSON.parse(line.slice(6)) as Message);
  }
  return String(type).startsWith('application/json') ? [JSON.parse(text) as Message] : [];
}

/** A session of the bare protocol: what goes over the wire is what the test says. */
export class RawSession {
  readonly url: string;
  readonly id: string;
  readonly initialized: Message;
  #last = 0;

  private constructor(url: string, id: string, initialized: Message) {
    this.url = url;
    this.id = id;
    this.initialized = initialized;
  }

  static async open(
    url: string,
    capabilities: Record<string, unknown> = {},
    protocolVersion = '2025-11-25',
  ): Promise<RawSession> {
    const params = { protocolVersion, capabilities, clientInfo: { name: 'raw', version: '1' } };
    const answer = await raw(url, {
      body: JSON.stringify({ jsonrpc: '2.0', id: 'init', method: 'initialize', params }),
    });
    const id = answer.headers['mcp-session-id'];
    const [initialized] = answer.messages;
    if (typeof id !== 'string' || !initialized)
      throw new Error(`no session: ${answer.status} ${answer.text}`);
    const session = new RawSession(url, id, initialized);
    await session.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return session;
  }

  /** A session that was opened before, perhaps elsewhere. */
  static resume(url: string, id: string): RawSession {
    return new RawSession(url, id, {});
  }

  post(message: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return raw(this.url, {
      headers: { 'mcp-session-id': this.id, 'mcp-protocol-version': '2025-11-25', ...headers },
      body: typeof message === 'string' ? message : JSON.stringify(message),
    });
  }

  /** The answer to one request; the message with its id. */
  async ask(method: string, params?: Record<string, unknown>): Promise<Message> {
    const id = ++this.#last;
    const answer = await this.post({ jsonrpc: '2.0', id, method, ...(params && { params }) });
    const found = answer.messages.find((message) => message.id === id);
    if (!found) throw new Error(`no answer: ${answer.status} ${answer.text}`);
    return found;
  }

  call(name: string, args: Record<string, unknown> = {}, meta?: Record<string, unknown>): Promise<Message> {
    return this.ask('tools/call', { name, arguments: args, ...(meta && { _meta: meta }) });
  }

  async toolNames(): Promise<string[]> {
    const listed = await this.ask('tools/list');
    return ((listed.result?.['tools'] ?? []) as { name: string }[]).map((tool) => tool.name);
  }

  end(): Promise<Answer> {
    return raw(this.url, { method: 'DELETE', headers: { 'mcp-session-id': this.id } });
  }
}
