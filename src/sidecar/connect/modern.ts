import type { Log } from '../../model.ts';
import type { NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../../relay/envelope.ts';
import { VERSION_HEADER } from '../../relay/headers.ts';
import { memberString, memberText, scanObject } from '../../relay/json-scan.ts';
import {
  encodeHeader,
  meta,
  METHOD_HEADER,
  modernErrors,
  NAME_HEADER,
  namedBy,
  metaOf,
} from '../../relay/modern.ts';
import { RouterError } from '../../errors.ts';
import { ownId, type Link } from './link.ts';
import { Listening } from './listening.ts';
import type { Manner } from './manner.ts';
import type { Refusal } from './problems.ts';
import { rpcErrorIn } from './rpc-error.ts';
import { postHeaders, resultOf } from './session-state.ts';
import { ToolHeaders } from './tool-headers.ts';

/** Pages of a list that are read to learn the annotations of one tool. */
const MAX_PAGES = 100;

/** What goes into a header as it is. */
const HEADER_SAFE = /^[\x21-\x7e]{1,256}$/;

/** How a message of the stateless era goes (2026-07-28, transports/streamable-http): its headers mirror its body. */
export class Modern {
  readonly #link: Link;
  readonly #log: Log;
  readonly #tools: ToolHeaders;

  constructor(link: Link, log: Log) {
    this.#link = link;
    this.#log = log;
    this.#tools = new ToolHeaders(log);
  }

  /** @throws {RouterError} INVALID_REQUEST where method or revision fit no header */
  headers(message: RequestEnvelope | NotificationEnvelope): readonly string[] {
    const own = metaOf(message);
    const version = (own && memberString(message.text, own, meta.protocolVersion)) ?? '';
    if (!HEADER_SAFE.test(version) || !HEADER_SAFE.test(message.method)) {
      throw new RouterError(
        'INVALID_REQUEST',
        `"method" and "${meta.protocolVersion}" travel in HTTP headers: visible ASCII, at most 256 characters.`,
      );
    }
    const headers = [...postHeaders, VERSION_HEADER, version, METHOD_HEADER, message.method];
    const member = namedBy.get(message.method);
    const name = member && message.params && memberString(message.text, message.params, member);
    if (name !== undefined) headers.push(NAME_HEADER, encodeHeader(name));
    return headers;
  }

  /** @throws {RouterError} as `headers` */
  manner(request: RequestEnvelope): Manner {
    const fixed = this.headers(request);
    if (request.method === 'subscriptions/listen') {
      return new Listening(request, fixed, (message) => this.#hear(message), this.#link.credentials);
    }
    const isCall = request.method === 'tools/call';
    return {
      headers: () => (isCall ? [...fixed, ...this.#tools.for(request)] : fixed),
      mend: (refusal) => this.#mend(refusal, request),
      resume: () => undefined,
      hear: (message) => this.#hear(message),
      answered: (response) => this.#answered(response, request),
      cancel: () => undefined,
    };
  }

  #hear(message: RequestEnvelope | NotificationEnvelope): string | undefined {
    if (message.kind === 'notification') return message.text;
    // The specification forbids it, and the client could not answer over HTTP.
    this.#log.warn('the server sent a request, which revision 2026-07-28 knows no more; it is left out', {
      method: message.method,
    });
    return undefined;
  }

  #answered(response: ResponseEnvelope, request: RequestEnvelope): string {
    const result = request.method === 'tools/list' ? resultOf(response) : undefined;
    if (!result) return response.text;
    const firstPage = !(request.params?.keys.includes('cursor') ?? false);
    return this.#tools.learn(response.text, result, firstPage);
  }

  async #mend(refusal: Refusal, request: RequestEnvelope): Promise<boolean> {
    if (refusal.head.status === 401) return this.#link.credentials.renew();
    if (request.method !== 'tools/call' || !isHeaderMismatch(refusal)) return false;
    const before = this.#tools.for(request).join('\n');
    await this.#learnTools(request);
    return this.#tools.for(request).join('\n') !== before;
  }

  /**
   * The client called a tool without having listed it here, or the list changed: the list is read again, as the
   * specification advises (client behavior, HeaderMismatch).
   */
  async #learnTools(request: RequestEnvelope): Promise<void> {
    const own = metaOf(request);
    const version = (own && memberString(request.text, own, meta.protocolVersion)) ?? '';
    const seen = new Set<string>();
    let cursor = '';
    for (let page = 0; page < MAX_PAGES && !seen.has(cursor); page++) {
      seen.add(cursor);
      const id = ownId();
      const members = cursor === '' ? '' : `"cursor":${cursor},`;
      const reply = await this.#link.ask({
        headers: [VERSION_HEADER, version, METHOD_HEADER, 'tools/list'],
        session: undefined,
        text: `{"jsonrpc":"2.0","id":${id},"method":"tools/list","params":{${members}"_meta":${introductionOf(request)}}}`,
        id,
      });
      if (reply.kind !== 'result') return;
      const result = scanObject(reply.result, 0);
      this.#tools.learn(reply.result, result, page === 0);
      const next = memberText(reply.result, result, 'nextCursor');
      if (next === undefined || next === 'null') return;
      cursor = next;
    }
  }
}

/** What the client says of itself, for a request in its name. */
function introductionOf(request: RequestEnvelope): string {
  const own = metaOf(request);
  const members = [meta.protocolVersion, meta.clientInfo, meta.clientCapabilities].flatMap((key) => {
    const value = own && memberText(request.text, own, key);
    return value === undefined ? [] : [`"${key}":${value}`];
  });
  return `{${members.join(',')}}`;
}

function isHeaderMismatch({ head, body }: Refusal): boolean {
  const error = head.status === 400 ? rpcErrorIn(body) : undefined;
  return error !== undefined && (JSON.parse(error) as { code: number }).code === modernErrors.headerMismatch;
}
