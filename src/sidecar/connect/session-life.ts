import { describeError } from '../../errors.ts';
import type { Log, RawJson } from '../../model.ts';
import { replaceMember, type RequestEnvelope } from '../../relay/envelope.ts';
import { SESSION_HEADER } from '../../relay/headers.ts';
import { memberString, scanObject, splice } from '../../relay/json-scan.ts';
import type { Reply } from '../../upstream/ask.ts';
import type { Hear } from './from-server.ts';
import { ownId } from './link.ts';
import { notReopened } from './problems.ts';
import { openedBy, type OpenSession } from './session-state.ts';
import type { TellParts } from './tell.ts';
import { Transfer } from './transfer.ts';

/** What `connect` does with sessions by itself: opens one again, sets it as the old one was, says goodbye. */

/** Subscriptions that are set again at the same time. */
const REPLAYED_AT_ONCE = 16;

/**
 * A new session, opened with the client's own `initialize`.
 * @throws {RouterError} where the server does not open one
 */
export async function openAgain(
  parts: TellParts,
  initialize: RequestEnvelope,
  generation: number,
  hear: Hear,
): Promise<OpenSession> {
  const reply = await ask(parts, initialize.text, initialize.id, undefined, hear);
  const session = openedBy(generation, versionOf(reply), reply.head.headers[SESSION_HEADER]);
  if (!session) throw notReopened(parts.link.url, reply);
  return session;
}

/** Sets in a new session what the client had set in the old one. What the new one does not take is logged. */
export async function replay(
  parts: TellParts & { readonly log: Log },
  session: OpenSession,
  requests: readonly RequestEnvelope[],
  hear: Hear,
): Promise<void> {
  const again = async (request: RequestEnvelope): Promise<void> => {
    const id = ownId();
    const edit = replaceMember(request.members, 'id', id);
    try {
      const reply = await ask(parts, splice(request.text, edit ? [edit] : []), id, session, hear);
      if (reply.kind !== 'result') throw notReopened(parts.link.url, reply);
    } catch (error) {
      const { method } = request;
      parts.log.warn('the new session did not take a setting of the old one', {
        method,
        error: describeError(error),
      });
    }
  };
  for (let at = 0; at < requests.length; at += REPLAYED_AT_ONCE) {
    await Promise.all(requests.slice(at, at + REPLAYED_AT_ONCE).map(again));
  }
}

/** Ends a session at the server. Best effort: servers need not allow it (405), and may be gone. */
export function farewell({ link, output }: TellParts, session: OpenSession): Promise<void> {
  if (session.id === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const late = setTimeout(resolve, link.limits.farewellMs);
    const over = (): void => {
      clearTimeout(late);
      resolve();
    };
    const sending = { method: 'DELETE', headers: session.headers } as const;
    void new Transfer(link, output, sending, { message: () => undefined, over });
  });
}

function ask(
  { link, fromServer }: TellParts,
  text: string,
  id: RawJson,
  session: OpenSession | undefined,
  hear: Hear,
): Promise<Reply> {
  const onMessage = (message: { readonly text: string }): void => fromServer.relay(message.text, hear);
  return link.ask({ headers: [], session, text, id, onMessage });
}

function versionOf(reply: Reply): string | undefined {
  if (reply.kind !== 'result') return undefined;
  return memberString(reply.result, scanObject(reply.result, 0), 'protocolVersion');
}
