import { Pool, type Dispatcher } from 'undici';

/**
 * A closed loop of callers, in a process of its own. Each caller has its own MCP session and sends its next call
 * when the answer to the last one is complete.
 */
export interface LoadOrder {
  readonly port: number;
  readonly path: string;
  readonly tool: string;
  readonly callers: number;
  readonly calls: number;
  readonly progress: boolean;
  readonly authorization: string | undefined;
}

export interface LoadDone {
  readonly calls: number;
  readonly failed: number;
  readonly seconds: number;
  /** Milliseconds of each call, unsorted. */
  readonly latencies: readonly number[];
}

let authorization: string | undefined;

const headers = (session?: string): string[] => [
  ...(authorization === undefined ? [] : ['authorization', authorization]),
  'content-type',
  'application/json',
  'accept',
  'application/json, text/event-stream',
  ...(session === undefined ? [] : ['mcp-session-id', session, 'mcp-protocol-version', '2025-11-25']),
];

function post(
  pool: Pool,
  path: string,
  body: string,
  session?: string,
): Promise<{ status: number; session: string | undefined; bytes: number; tail: string }> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let id: string | undefined;
    let bytes = 0;
    let last: Buffer | undefined;
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart(_controller, code, answer) {
        status = code;
        const header = answer['mcp-session-id'];
        id = typeof header === 'string' ? header : undefined;
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.length;
        last = chunk;
      },
      onResponseEnd: () => resolve({ status, session: id, bytes, tail: last?.toString() ?? '' }),
      onResponseError: (_controller, error) => reject(error),
    };
    pool.dispatch({ method: 'POST', path, headers: headers(session), body }, handler);
  });
}

async function open(pool: Pool, path: string): Promise<string> {
  const params = {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'load', version: '1' },
  };
  const answer = await post(
    pool,
    path,
    JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
  );
  if (answer.session === undefined) throw new Error(`no session: ${answer.status} ${answer.tail}`);
  await post(pool, path, '{"jsonrpc":"2.0","method":"notifications/initialized"}', answer.session);
  return answer.session;
}

const sessions = new Map<string, Promise<string>[]>();

async function run(order: LoadOrder): Promise<LoadDone> {
  authorization = order.authorization;
  const pool = new Pool(`http://127.0.0.1:${order.port}`, { pipelining: 1, connections: order.callers });
  const key = `${order.port}${order.path}`;
  const open_ = sessions.get(key) ?? [];
  sessions.set(key, open_);
  while (open_.length < order.callers) open_.push(open(pool, order.path));
  const ids = await Promise.all(open_.slice(0, order.callers));
  const latencies: number[] = [];
  let left = order.calls;
  let failed = 0;
  const startedAt = performance.now();
  await Promise.all(
    ids.map(async (session, caller) => {
      for (let at = 0; left > 0; at++) {
        left--;
        const meta = order.progress ? `,"_meta":{"progressToken":${at}}` : '';
        const body = `{"jsonrpc":"2.0","id":${caller * 1_000_000 + at + 1},"method":"tools/call","params":{"name":"${order.tool}","arguments":{"message":"hello"}${meta}}}`;
        const before = performance.now();
        const answer = await post(pool, order.path, body, session);
        latencies.push(performance.now() - before);
        if (answer.status !== 200 || (!answer.tail.includes('"result"') && answer.bytes < 50_000)) failed++;
      }
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  await pool.close();
  return { calls: latencies.length, failed, seconds, latencies };
}

process.on('disconnect', () => process.exit(0));
process.send?.({ port: 0 });
async function obey(order: LoadOrder): Promise<void> {
  try {
    const done = await run(order);
    process.send?.(done);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}

process.on('message', (order: LoadOrder) => void obey(order));
