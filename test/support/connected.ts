import { PassThrough } from 'node:stream';
import type { Log, LogFields } from '../../src/model.ts';
import { connect, type Connected, type ConnectOptions } from '../../src/sidecar/connect/connect.ts';
import type { ConnectLimits } from '../../src/sidecar/connect/limits.ts';
import { eventually } from './eventually.ts';
import type { Message } from './mcp-client.ts';

/** A client on stdio, and `connect` behind it: what goes over the pipe is what the test says. */
export interface StdioClient {
  readonly connected: Connected;
  /** What was read from stdout so far, line by line. */
  readonly lines: string[];
  readonly logs: { readonly level: keyof Log; readonly message: string; readonly fields?: LogFields }[];
  /** Every line as a message; throws where one is none. */
  readonly messages: () => Message[];
  /** One line: text as it is, anything else as JSON-RPC. */
  send(message: unknown): void;
  notify(method: string, params?: Record<string, unknown>): void;
  /** The response to one request. */
  ask(method: string, params?: Record<string, unknown>): Promise<Message>;
  /** `initialize` and `notifications/initialized`; the response. */
  open(capabilities?: Record<string, unknown>, protocolVersion?: string): Promise<Message>;
  /** Messages with this method, or responses to this id. */
  heard(what: string | number): Message[];
  /** From now on stdout is not read; and read again. */
  hold(): void;
  release(): void;
  /** Closes stdin, and waits for the end. */
  end(): Promise<void>;
}

const running = new Set<Connected>();

export interface StartOptions extends Partial<Omit<ConnectOptions, 'limits'>> {
  readonly limits?: Partial<ConnectLimits>;
}

export function startConnect(url: string, { limits, ...more }: StartOptions = {}): StdioClient {
  const { hostname, port, pathname, search } = new URL(url);
  const input = (more.input ?? new PassThrough()) as PassThrough;
  const output = (more.output ?? new PassThrough()) as PassThrough;
  const logs: StdioClient['logs'] = [];
  const write = (level: keyof Log) => (message: string, fields?: LogFields) =>
    void logs.push({ level, message, ...(fields && { fields }) });
  const connected = connect({
    input,
    output,
    endpoint: {
      transport: 'streamable-http',
      scheme: 'http',
      host: hostname,
      port: Number(port),
      path: pathname + search,
      openapiPath: '',
    },
    url,
    credentials: { headers: () => [], renew: () => false },
    timeoutMs: 60_000,
    drainTimeoutMs: 2000,
    log: { error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') },
    now: () => performance.now(),
    random: () => 0.5,
    ...more,
    limits: { retryMinMs: 20, retryMaxMs: 200, ...limits },
  });
  running.add(connected);

  const lines: string[] = [];
  let rest = '';
  output.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  const messages = (): Message[] => lines.map((line) => JSON.parse(line) as Message);
  let lastId = 0;
  const send = (message: unknown): void => {
    const text =
      typeof message === 'string' ? message : JSON.stringify({ jsonrpc: '2.0', ...(message as object) });
    input.write(`${text}\n`);
  };
  const client: StdioClient = {
    connected,
    lines,
    logs,
    messages,
    send,
    notify: (method, params) => send({ method, ...(params && { params }) }),
    async ask(method, params) {
      const id = ++lastId;
      send({ id, method, ...(params && { params }) });
      return eventually(() => messages().find((message) => message.id === id && !message.method), {
        withinMs: 20_000,
      });
    },
    async open(capabilities = {}, protocolVersion = '2025-11-25') {
      const clientInfo = { name: 'stdio', version: '1' };
      const answer = await client.ask('initialize', { protocolVersion, capabilities, clientInfo });
      client.notify('notifications/initialized');
      return answer;
    },
    heard: (what) =>
      messages().filter((message) => (typeof what === 'string' ? message.method : message.id) === what),
    hold: () => void output.pause(),
    release: () => void output.resume(),
    async end() {
      input.end();
      await connected.ended;
    },
  };
  return client;
}

/** For `afterEach`. */
export async function stopConnects(): Promise<void> {
  const all = [...running];
  running.clear();
  await Promise.all(
    all.map(async (connected) => {
      connected.end();
      connected.end();
      await connected.ended;
    }),
  );
}
