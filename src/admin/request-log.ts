import type { Clock, InstanceId, RawJson } from '../model.ts';
import { Ring } from './ring.ts';
import type { CallRecord } from './shapes.ts';

/** A call that ended, as the gateway tells of it. */
export interface EndedCall {
  readonly method: string;
  readonly label: string;
  readonly service: string;
  readonly instance: InstanceId | undefined;
  readonly result: string;
  readonly attempts: number;
  readonly durationMs: number;
  readonly caller: { readonly era: 'legacy' | 'modern'; readonly clientInfo: RawJson };
  /** Why the last attempt that failed did. */
  readonly trouble: string | undefined;
}

/** Without the caller itself: a session must not live on because its calls are remembered. */
interface Noted extends Omit<EndedCall, 'caller'> {
  readonly n: number;
  readonly at: number;
  readonly era: 'legacy' | 'modern';
  readonly clientInfo: RawJson;
}

const MAX_CALLS = 2000;
const MAX_NAME = 80;

/** The last calls. Noting one is on the path of every call and costs next to nothing; reading does the work. */
export class RequestLog {
  readonly #ring = new Ring<Noted>(MAX_CALLS);
  readonly #wallClock: Clock;
  #count = 0;

  /** @param wallClock milliseconds since 1970 */
  constructor(wallClock: Clock) {
    this.#wallClock = wallClock;
  }

  note(call: EndedCall): void {
    const { method, label, service, instance, result, attempts, durationMs, trouble } = call;
    const { era, clientInfo } = call.caller;
    const [n, at] = [++this.#count, this.#wallClock()];
    this.#ring.push({
      n,
      at,
      method,
      label,
      service,
      instance,
      result,
      attempts,
      durationMs,
      trouble,
      era,
      clientInfo,
    });
  }

  /** How many calls have ended so far. */
  get count(): number {
    return this.#count;
  }

  /** The last `most`, oldest first. */
  last(most?: number): readonly CallRecord[] {
    return this.#ring.last(most).map(record);
  }
}

function record({ instance, clientInfo, trouble, ...rest }: Noted): CallRecord {
  const serviceId = instance?.split('/').at(-1);
  return {
    ...rest,
    instance: serviceId === undefined ? null : decodeURIComponent(serviceId),
    client: clientName(clientInfo),
    ...(trouble !== undefined && { trouble }),
  };
}

/** Name and version as the client gave them; it can say what it likes, so they are cut. */
function clientName(info: RawJson): string {
  const { name, version } = JSON.parse(info) as { name?: unknown; version?: unknown };
  const said = [name, version].filter((part) => typeof part === 'string');
  return said.join(' ').slice(0, MAX_NAME) || 'unknown';
}
