import type { TryRequest } from '../../shapes.ts';
import { ask } from '../live/access.ts';
import { eventsOf } from '../live/events.ts';
import { isSchema, type Schema } from './schema.ts';

/** What a server wants to know before it answers (2026-07-28, multi round-trip requests). */
export interface Question {
  readonly key: string;
  readonly message: string;
  readonly schema: Schema;
}

export type Outcome =
  | { readonly kind: 'result'; readonly result: Schema }
  | { readonly kind: 'error'; readonly message: string; readonly error: unknown }
  | {
      readonly kind: 'asks';
      readonly state: string | undefined;
      readonly questions: readonly Question[];
    };

/**
 * Calls a tool through the router, as a client would.
 * @param note told what the server says on the way
 * @throws {ApiError} where the router does not take the request; also when `signal` ends it, which cancels the call
 */
export async function tryCall(
  request: TryRequest,
  note: (text: string) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const response = await ask('try', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
    signal,
  });
  for await (const { data } of eventsOf(response)) {
    if (!isSchema(data)) continue;
    if (isSchema(data['error'])) {
      const { message } = data['error'];
      return {
        kind: 'error',
        message: typeof message === 'string' ? message : 'It failed.',
        error: data['error'],
      };
    }
    if (isSchema(data['result'])) return outcomeOf(data['result']);
    note(noteOf(data));
  }
  return { kind: 'error', message: 'The router ended the call without an answer.', error: null };
}

function outcomeOf(result: Schema): Outcome {
  if (result['resultType'] !== 'input_required') return { kind: 'result', result };
  const requests = isSchema(result['inputRequests']) ? result['inputRequests'] : {};
  const state = result['requestState'];
  return {
    kind: 'asks',
    state: typeof state === 'string' ? state : undefined,
    questions: Object.entries(requests).map(([key, asked]) => questionOf(key, asked)),
  };
}

function questionOf(key: string, asked: unknown): Question {
  const params = isSchema(asked) && isSchema(asked['params']) ? asked['params'] : {};
  const { message, requestedSchema } = params;
  return {
    key,
    message: typeof message === 'string' ? message : 'The server wants to know something.',
    schema: isSchema(requestedSchema) ? requestedSchema : {},
  };
}

function noteOf(message: Schema): string {
  const params = isSchema(message['params']) ? message['params'] : {};
  if (message['method'] === 'notifications/progress') {
    const { progress, total, message: said } = params;
    const of = typeof total === 'number' ? ` of ${total}` : '';
    return `progress ${String(progress)}${of}${typeof said === 'string' ? `: ${said}` : ''}`;
  }
  return JSON.stringify(params['data'] ?? message);
}
