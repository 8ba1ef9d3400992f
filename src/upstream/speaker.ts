import type { Endpoint, RawJson } from '../model.ts';
import { MODERN_VERSION, modernHeaders, modernRequest, type ModernIntroduction } from '../relay/modern.ts';
import { ask, type Question, type Reply } from './ask.ts';
import type { Connections } from './connections.ts';
import { nextId, type Handshake } from './handshake.ts';

/** What a server says of itself before it is asked for its lists. */
export interface SelfDescription {
  readonly protocolVersion: string;
  readonly serverInfo: RawJson;
  readonly capabilities: RawJson;
  readonly instructions: string | undefined;
}

export type AskOptions = Pick<Question, 'timeoutMs' | 'maxBytes' | 'onMessage'>;

/** One server, spoken to in the manner of its era: how a request of the router's own is put. */
export interface Speaker {
  readonly self: SelfDescription;
  /**
   * @param params JSON text of the members of `params`, without braces
   * @throws {AskError}
   */
  ask(method: string, params: string, options: AskOptions): Promise<Reply>;
}

export function legacySpeaker(connections: Connections, endpoint: Endpoint, session: Handshake): Speaker {
  return {
    self: session,
    ask(method, params, options) {
      const id = nextId();
      const members = params === '' ? '' : `,"params":{${params}}`;
      return ask(connections, {
        endpoint,
        headers: [],
        session: { id: session.sessionId, protocolVersion: session.protocolVersion },
        text: `{"jsonrpc":"2.0","id":${id},"method":"${method}"${members}}`,
        id,
        ...options,
      });
    },
  };
}

export function modernSpeaker(
  connections: Connections,
  endpoint: Endpoint,
  introduction: ModernIntroduction,
  self: Omit<SelfDescription, 'protocolVersion'>,
): Speaker {
  return {
    self: { ...self, protocolVersion: MODERN_VERSION },
    ask: (method, params, options) => askModern(connections, endpoint, introduction, method, params, options),
  };
}

/** @throws {AskError} */
export function askModern(
  connections: Connections,
  endpoint: Endpoint,
  introduction: ModernIntroduction,
  method: string,
  params: string,
  options: AskOptions,
): Promise<Reply> {
  const id = nextId();
  return ask(connections, {
    endpoint,
    headers: modernHeaders(method, undefined),
    session: undefined,
    text: modernRequest(id, method, params, introduction),
    id,
    ...options,
  });
}
