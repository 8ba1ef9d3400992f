import { RouterError } from '../errors.ts';
import type { RawJson } from '../model.ts';
import type { Answer } from '../relay/answer.ts';
import { EnvelopeError, readEnvelope, type Envelope } from '../relay/envelope.ts';
import { EventAnswer, type SharedStream } from '../relay/event-answer.ts';
import { JsonScanError, scanArray, skipSpace } from '../relay/json-scan.ts';

/** Messages in one body. */
const MAX_BATCH = 100;

/** True where a body is an array: several messages at once (2025-03-26, basic: batching). */
export function isBatch(text: string): boolean {
  return text.charCodeAt(skipSpace(text, 0)) === 0x5b;
}

/**
 * The texts of a batch's messages.
 * @throws {RouterError} PARSE_ERROR, INVALID_REQUEST
 */
export function splitBatch(text: string): readonly string[] {
  let texts: readonly string[];
  try {
    const start = skipSpace(text, 0);
    texts = scanArray(text, start, MAX_BATCH).map(([from, to]) => text.slice(from, to));
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new RouterError('PARSE_ERROR', `Parse error: ${error.message}`);
  }
  if (texts.length === 0) throw new RouterError('INVALID_REQUEST', 'Invalid request: an empty batch.');
  return texts;
}

/**
 * Handles the messages of a batch, each as if it had come alone. What they are answered with comes as events of one
 * stream, or, where the client takes none, as one array.
 * @param handle throws what concerns one message only
 */
export function handleBatch(
  texts: readonly string[],
  answer: Answer,
  handle: (message: Envelope, answer: Answer) => void,
  asRouterError: (error: unknown) => RouterError,
): void {
  const messages = texts.map((text) => readSafely(text));
  // One is held open by the loop itself: answers may come while it runs.
  let open = 1;
  const gather: string[] = [];
  const answers = messages.some((message) => message instanceof EnvelopeError || message.kind === 'request');
  const whole: SharedStream = {
    send(message) {
      if (!answer.takesStream) {
        // Only answers stand in an array; what a server says on the way needs a stream.
        if (!message.includes('"method"') || readEnvelope(message).kind === 'response') gather.push(message);
        return true;
      }
      answer.event(message);
      return answer.flush();
    },
    get gone() {
      return answer.gone;
    },
    onGone(gone) {
      let wanted = true;
      answer.onGone(() => {
        if (wanted) gone();
      });
      return () => (wanted = false);
    },
    onceDrained: (resume) => answer.onceDrained(resume),
  };
  const done = (): void => {
    if (--open > 0) return;
    if (!answers) answer.status(202);
    else if (answer.takesStream) answer.end();
    else answer.send(200, `[${gather.join(',')}]`);
  };
  if (answers && answer.takesStream) answer.beginStream();
  for (const message of messages) {
    const broken = message instanceof EnvelopeError;
    const asks = broken || message.kind === 'request';
    if (asks) open++;
    const part = new EventAnswer(whole, answer.forwarded, asks ? done : undefined);
    const id: RawJson | 'null' = broken || message.kind !== 'request' ? 'null' : message.id;
    try {
      if (broken) throw message;
      handle(message, part);
    } catch (error) {
      if (asks) part.fail(id, asRouterError(error));
    }
  }
  done();
}

function readSafely(text: string): Envelope | EnvelopeError {
  try {
    return readEnvelope(text);
  } catch (error) {
    if (error instanceof EnvelopeError) return error;
    throw error;
  }
}
