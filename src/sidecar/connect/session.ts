import { describeError } from '../../errors.ts';
import type { Clock, Log, RawJson, Random } from '../../model.ts';
import {
  errorResponse,
  type NotificationEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
} from '../../relay/envelope.ts';
import { SESSION_HEADER, SSE_TYPE } from '../../relay/headers.ts';
import type { AnswerHead } from '../../upstream/exchange.ts';
import type { Heard } from './from-server.ts';
import type { Manner } from './manner.ts';
import * as problem from './problems.ts';
import { Pauses } from './reconnect.ts';
import { Remembered } from './remembered.ts';
import { ServerRequests } from './server-requests.ts';
import { ServerStream } from './server-stream.ts';
import { farewell, openAgain, replay } from './session-life.ts';
import {
  announcedLists,
  openedBy,
  postHeaders,
  versionIn,
  type Introduction,
  type OpenSession,
} from './session-state.ts';
import { tell, type TellParts, type Told } from './tell.ts';

export interface SessionParts extends TellParts {
  readonly log: Log;
  readonly now: Clock;
  readonly random: Random;
}

const MAX_TRIES = 3;

/**
 * The client's session at the server (revisions 2024-11-05 … 2025-11-25). One that the server forgets is opened
 * again with the client's own words, and set as the client had set it.
 */
export class Session {
  readonly #parts: SessionParts;
  readonly #asked = new ServerRequests();
  readonly #remembered = new Remembered();
  readonly #stream: ServerStream;
  readonly #pauses: Pauses;
  #generation = 0;
  #current: OpenSession | undefined;
  #introduction: Introduction | undefined;
  #renewing: Promise<void> | undefined;
  #introducing: NodeJS.Timeout | undefined;
  /** The client can't answer any more. */
  #deaf = false;
  #ended = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#pauses = new Pauses(parts.link.limits, parts.now, parts.random);
    this.#stream = new ServerStream(parts, {
      hear: (message, generation) => this.#hear(message, generation),
      renew: (generation) => this.renew(generation),
      lookAgain: () => this.#lookAgain(),
    });
  }

  get current(): OpenSession | undefined {
    return this.#current;
  }

  /** How an ordinary request goes in this session. */
  manner(): Manner {
    let at: OpenSession | undefined;
    return {
      headers: () => {
        at = this.#current;
        return [...postHeaders, ...(at?.headers ?? [])];
      },
      mend: (refusal) => this.#mend(refusal, at),
      resume: (cursor) => {
        // Streams end with their session.
        if (!cursor.resumption || at !== this.#current) return undefined;
        const headers = ['accept', SSE_TYPE, ...(at?.headers ?? []), ...cursor.resumption];
        return { method: 'GET', headers };
      },
      hear: (message) => this.#hear(message, at?.generation ?? 0),
      answered: (response, request) => {
        if (!response.failed && at === this.#current) this.#remembered.agreed(request);
        return response.text;
      },
      cancel: (notification) => this.#post(notification, at).then(() => undefined),
    };
  }

  /** How `initialize` goes: it opens a session, and ends the one before. */
  opening(request: RequestEnvelope): Manner {
    const generation = ++this.#generation;
    let idHeader: string | string[] | undefined;
    return {
      uncancellable: true,
      headers: () => postHeaders,
      opened: (head: AnswerHead) => (idHeader = head.headers[SESSION_HEADER]),
      mend: (refusal) => this.#mend(refusal, undefined),
      resume: () => undefined,
      hear: (message) => this.#hear(message, generation),
      answered: (response) => {
        this.#opened(openedBy(generation, versionIn(response), idHeader), request, response);
        return response.text;
      },
      cancel: () => undefined,
    };
  }

  #opened(session: OpenSession | undefined, initialize: RequestEnvelope, response: ResponseEnvelope): void {
    if (!session) return;
    const former = this.#current;
    clearTimeout(this.#introducing);
    this.#stream.stop();
    this.#remembered.clear();
    this.#current = session;
    this.#introduction = { initialize, initialized: undefined, announces: announcedLists(response) };
    if (former) void farewell(this.#parts, former);
  }

  /** The client's `notifications/initialized`: from now on the server may speak by itself. */
  async initialized(text: string): Promise<void> {
    const told = await this.#tell(text);
    if (!this.#current || !this.#introduction || this.#ended) return;
    if (told) {
      this.#introduction = { ...this.#introduction, initialized: text };
      this.#stream.open(this.#current);
    } else {
      // Without it the server keeps silent, so it is said again until the server has heard it.
      this.#introducing = setTimeout(() => void this.initialized(text), this.#pauses.next(undefined));
    }
  }

  /** A notification of the client. Resolves when the server has it, or will not have it. */
  async notify(text: string): Promise<void> {
    // Before a session there is nobody to hear it.
    if (this.#current) await this.#tell(text);
    else this.#parts.log.debug('a notification without a session is left out', { begin: text.slice(0, 200) });
  }

  /** The client's answer to a request of the server. */
  async respond(response: ResponseEnvelope): Promise<void> {
    const at = this.#current;
    const text = this.#asked.answered(response, at?.generation ?? 0);
    if (text === undefined || !at) {
      this.#parts.log.debug('an answer that the server does not wait for is left out', { id: response.id });
      return;
    }
    // A new session never asked this: it is not repeated there.
    this.#report(await this.#post(text, at), 'the server did not take an answer of the client');
  }

  /** The client can't answer any more: whatever the server asks is refused, so that it need not wait. */
  deafen(): void {
    this.#deaf = true;
    for (const id of this.#asked.unanswered(this.#current?.generation ?? 0)) this.#refuse(id);
  }

  /** Ends the session at the server. Best effort. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#introducing);
    this.#stream.stop();
    if (this.#current) await farewell(this.#parts, this.#current);
  }

  /**
   * Opens the session anew, unless that has happened since `generation`. Callers wait together.
   * @throws {RouterError} where the server can't be made to keep one now
   */
  async renew(generation: number): Promise<void> {
    if (this.#current?.generation !== generation || this.#ended) return;
    this.#renewing ??= this.#openAgain(this.#current).finally(() => (this.#renewing = undefined));
    await this.#renewing;
  }

  async #openAgain(former: OpenSession): Promise<void> {
    const { link, log, output } = this.#parts;
    const introduction = this.#introduction;
    if (!introduction) return;
    log.warn('the server forgot the session; it is opened again', { url: link.url });
    const generation = ++this.#generation;
    const { initialize, initialized, announces } = introduction;
    const hear = (message: RequestEnvelope | NotificationEnvelope): Heard => this.#hear(message, generation);
    const session = await openAgain(this.#parts, initialize, generation, hear);
    if (former !== this.#current || this.#ended) {
      void farewell(this.#parts, session);
      return;
    }
    this.#stream.stop();
    this.#current = session;
    for (const line of this.#asked.lost(former.generation)) output.send(line);
    if (initialized === undefined) return;
    this.#report(await this.#post(initialized, session), 'the new session did not take its beginning');
    await replay(this.#parts, session, this.#remembered.requests, hear);
    if (session !== this.#current || this.#ended) return;
    this.#stream.open(session);
    log.info('the session is open again', { url: link.url, announces });
    this.#lookAgain();
  }

  /** What the server announced meanwhile was lost: the client shall look again at all that it can be told of. */
  #lookAgain(): void {
    const { output } = this.#parts;
    for (const list of this.#introduction?.announces ?? []) {
      output.send(`{"jsonrpc":"2.0","method":"notifications/${list}/list_changed"}`);
    }
    for (const uri of this.#remembered.uris) {
      const params = { uri };
      output.send(JSON.stringify({ jsonrpc: '2.0', method: 'notifications/resources/updated', params }));
    }
  }

  #hear(message: RequestEnvelope | NotificationEnvelope, generation: number): Heard {
    if (message.kind === 'request') {
      const text = this.#asked.arrived(message, generation);
      if (!this.#deaf) return text;
      this.#refuse(message.id);
      return undefined;
    }
    if (message.method === 'notifications/cancelled') return this.#asked.cancelled(message, generation);
    return message.text;
  }

  #refuse(id: RawJson): void {
    const error = { code: -32603, message: 'The client has ended and can not answer.' };
    void this.#tell(errorResponse(id, error));
  }

  /** True: the server has it. */
  async #tell(text: string): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const at = this.#current;
      const told = await this.#post(text, at);
      if (told.kind === 'accepted') return true;
      try {
        const mended = told.kind === 'refused' && tries < MAX_TRIES && (await this.#mend(told.refusal, at));
        if (mended && !this.#ended) continue;
      } catch (error) {
        this.#parts.log.debug('the session could not be opened again', { error: describeError(error) });
      }
      this.#report(told, 'the server did not take a message of the client');
      return false;
    }
  }

  #post(text: string, at: OpenSession | undefined): Promise<Told> {
    const headers = [...postHeaders, ...(at?.headers ?? [])];
    return tell(this.#parts, headers, text, (message) => this.#hear(message, at?.generation ?? 0));
  }

  #report(told: Told, what: string): void {
    if (told.kind === 'accepted') return;
    const { link, log } = this.#parts;
    const error = told.kind === 'failed' ? told.error : problem.refused(link.url, told.refusal);
    log.warn(what, { error: error.message });
  }

  /** True: the reason of the refusal is gone. */
  async #mend(refusal: problem.Refusal, at: OpenSession | undefined): Promise<boolean> {
    if (refusal.head.status === 401) return this.#parts.link.credentials.renew();
    if (at?.id === undefined || !problem.forgotten(refusal)) return false;
    await this.renew(at.generation);
    return true;
  }
}
