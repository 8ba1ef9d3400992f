import type { RawJson } from '../../model.ts';
import { EnvelopeError, readEnvelope, type Envelope, type RequestEnvelope } from '../../relay/envelope.ts';
import { isArray, JsonScanError, scanArray, skipSpace } from '../../relay/json-scan.ts';

/** One line of the client. */
export type ClientMessage =
  | Envelope
  /** Of revision 2025-03-26; goes on as it is. */
  | { readonly kind: 'batch'; readonly text: string; readonly messages: readonly Envelope[] };

/** More messages in a batch are refused; servers of the SDK take 100. */
const MAX_BATCH = 1000;

/** @throws {EnvelopeError} where it is no message of JSON-RPC. */
export function readClientMessage(text: string): ClientMessage {
  const start = skipSpace(text, 0);
  if (!isArray(text, start)) return readEnvelope(text);
  const messages = spans(text, start).map(([from, to]) => readEnvelope(text.slice(from, to)));
  if (messages.length === 0) throw new EnvelopeError('invalid', 'a batch has at least one message');
  return { kind: 'batch', text, messages };
}

function spans(text: string, start: number): readonly (readonly [number, number])[] {
  try {
    return scanArray(text, start, MAX_BATCH);
  } catch (error) {
    if (error instanceof JsonScanError) throw new EnvelopeError('parse', error.message);
    throw error;
  }
}

/**
 * A key under which two spellings of the same id meet: `1` and `1.0`, `"a"` and `"\u0061"`. A server answers with
 * its own serializer's spelling.
 */
export function idKey(id: RawJson): string {
  if (id.startsWith('"')) return id.includes('\\') ? respelled(id) : id;
  const value = Number(id);
  return Number.isSafeInteger(value) ? String(value) : id;
}

function respelled(id: RawJson): string {
  try {
    return JSON.stringify(JSON.parse(id));
  } catch {
    return id;
  }
}

/** The requests in a message. */
export function requestsIn(message: ClientMessage): readonly RequestEnvelope[] {
  if (message.kind === 'batch') return message.messages.filter((item) => item.kind === 'request');
  return message.kind === 'request' ? [message] : [];
}
