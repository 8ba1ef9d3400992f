import { RouterError } from '../errors.ts';
import { resultResponse, type RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import { memberString } from '../relay/json-scan.ts';
import type { ClientSession } from './client-session.ts';

/** RFC 5424 severities, as MCP spells them (2025-11-25, server/utilities/logging). */
const levels = new Set(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']);

/**
 * `logging/setLevel` for all backends of the session, those of today and those to come. Answered at once: a slow
 * backend must not hold up the others.
 */
export function setLevel(session: ClientSession, request: RequestEnvelope, answer: Answer): void {
  const level = request.params && memberString(request.text, request.params, 'level');
  if (level === undefined || !levels.has(level)) {
    throw new RouterError('INVALID_PARAMS', `"level" must be one of ${[...levels].join(', ')}.`);
  }
  session.backends.setLevel(level);
  answer.send(200, resultResponse(request.id, '{}'));
}
