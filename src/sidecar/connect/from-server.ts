import { describeError } from '../../errors.ts';
import type { Log } from '../../model.ts';
import {
  readEnvelope,
  type Envelope,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../../relay/envelope.ts';
import { isArray, scanArray, skipSpace } from '../../relay/json-scan.ts';
import { idKey } from './client-message.ts';
import type { Output } from './output.ts';
import type { Running } from './running.ts';

/** What the client shall read of a message: one, several, or none. */
export type Heard = string | readonly string[] | undefined;
export type Hear = (message: RequestEnvelope | NotificationEnvelope) => Heard;

export interface FromServerOptions {
  readonly output: Output;
  readonly running: Running;
  /** The client knows batches (revision 2025-03-26). */
  readonly takesBatches: () => boolean;
  readonly log: Log;
}

const MAX_BATCH = 1000;
const SNIPPET = 300;

/** What the server says, on whatever stream, on its way to the client. */
export class FromServer {
  readonly #options: FromServerOptions;

  constructor(options: FromServerOptions) {
    this.#options = options;
  }

  /** Hands on one message, or a batch of them. What is no JSON-RPC is logged, and never reaches the client. */
  relay(text: string, hear: Hear): void {
    let messages: readonly Envelope[];
    const batch = isArray(text, skipSpace(text, 0));
    try {
      // Scanning does not look into values, and a client that can't parse a line may give up altogether.
      JSON.parse(text);
      messages = batch ? readBatch(text) : [readEnvelope(text)];
    } catch (error) {
      this.#options.log.warn('the server sent something that is no MCP message; it is left out', {
        reason: describeError(error),
        begin: text.slice(0, SNIPPET),
      });
      return;
    }
    const lines = messages.flatMap((message) => this.#read(message, hear) ?? []);
    const { output, takesBatches } = this.#options;
    if (batch && lines.length > 0 && takesBatches()) output.send(`[${lines.join(',')}]`);
    else for (const line of lines) output.send(line);
  }

  #read(message: Envelope, hear: Hear): Heard {
    if (message.kind !== 'response') return hear(message);
    const { running, log } = this.#options;
    const answer = running.get(idKey(message.id))?.answered(message);
    // Cancelled a moment ago, or answered already.
    if (answer === undefined) log.debug('a response that nobody waits for is left out', { id: message.id });
    return answer;
  }
}

function readBatch(text: string): readonly Envelope[] {
  const items = scanArray(text, skipSpace(text, 0), MAX_BATCH);
  return items.map(([from, to]) => readEnvelope(text.slice(from, to)));
}
