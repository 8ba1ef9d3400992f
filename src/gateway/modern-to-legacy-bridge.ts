import type { RawJson, Target } from '../model.ts';
import {
  readEnvelope,
  resultResponse,
  type NotificationEnvelope,
  type RequestEnvelope,
} from '../relay/envelope.ts';
import { memberText } from '../relay/json-scan.ts';
import { withoutIntroduction } from '../relay/modern.ts';
import { LATEST_LEGACY_VERSION } from '../relay/versions.ts';
import type { BackendSession } from '../upstream/backend-sessions.ts';
import { HandshakeError } from '../upstream/handshake.ts';
import type { PooledSession, PoolUser } from '../upstream/session-pool.ts';
import { nothing, type Bridge, type Bridged, type BridgedCall, type Outgoing, type Said } from './bridge.ts';
import type { Destination } from './call.ts';
import { cancelled } from './legacy-bridge.ts';
import type { ModernCaller } from './modern-caller.ts';
import { asModernAnswer } from './modern-result.ts';
import { requestScoped } from './server-messages.ts';
import { urlElicitation } from './url-elicitation.ts';

/** What a client of the modern era can be asked, and by which capability it says so (2026-07-28, MRTR). */
const askable = new Map([
  ['elicitation/create', 'elicitation'],
  ['sampling/createMessage', 'sampling'],
  ['roots/list', 'roots'],
]);

/**
 * A client of the stateless era at a session-era backend: in a session that the router keeps for such requests.
 * What the backend asks on the way becomes an `input_required` result, and its call waits for the answer.
 */
export class ModernToLegacyBridge implements Bridge {
  readonly #caller: ModernCaller;
  readonly #target: Target;
  readonly #to: Destination;
  readonly #call: BridgedCall;
  readonly #user: PoolUser;
  #pooled: PooledSession | undefined;

  constructor(caller: ModernCaller, target: Target, to: Destination, call: BridgedCall) {
    const { capabilities, clientInfo } = caller.introduction;
    this.#caller = caller;
    this.#target = target;
    this.#to = to;
    this.#call = call;
    this.#user = {
      protocolVersion: LATEST_LEGACY_VERSION,
      capabilities,
      clientInfo,
      identity: caller.identity.digest,
    };
  }

  ready(): BackendSession | undefined {
    if (this.#foreignState) return undefined;
    const { pool, introduction } = this.#caller;
    return this.#use(pool.take(this.#target, this.#user, introduction.logLevel));
  }

  async open(): Promise<BackendSession> {
    if (this.#foreignState) {
      throw new HandshakeError('refused', 'does not know the requestState of another server', false);
    }
    const { pool, introduction } = this.#caller;
    const pooled = await pool.open(this.#target, this.#user, introduction.logLevel);
    this.#use(pooled);
    return pooled.backend;
  }

  /** State that a stateless instance gave out; without reading it, the call would begin anew. */
  get #foreignState(): boolean {
    return this.#call.request.params?.keys.includes('requestState') ?? false;
  }

  #use(pooled: PooledSession | undefined): BackendSession | undefined {
    if (!pooled) return undefined;
    this.#pooled = pooled;
    pooled.hear = (message, from) => this.#call.heard(message, from);
    return pooled.backend;
  }

  forget(): void {
    if (this.#pooled) this.#caller.pool.drop(this.#pooled);
  }

  outgoing(backend: BackendSession, more: readonly string[]): Outgoing {
    const message = readEnvelope(this.#to.text);
    const body =
      message.kind === 'request'
        ? withoutIntroduction(message, ['inputResponses', 'requestState'])
        : this.#to.text;
    return { headers: [...backend.headers, ...more], body };
  }

  message(message: RequestEnvelope | NotificationEnvelope, backend: BackendSession): Said {
    if (message.kind === 'request') return this.#asked(message);
    // Only a request that names a level may be told what is logged (2026-07-28, logging).
    if (message.method === 'notifications/message' && this.#caller.introduction.logLevel === undefined) {
      return nothing;
    }
    const { scope } = this.#caller;
    const service = this.#caller.catalogEntry(backend.instance.service);
    const text = requestScoped(message, backend, scope, service);
    return text === undefined ? nothing : { kind: 'event', text };
  }

  #asked(message: RequestEnvelope): Said {
    if (message.method === 'ping') {
      this.#tell(resultResponse(message.id, '{}'));
      return nothing;
    }
    const capability = askable.get(message.method);
    if (capability === undefined || !this.#clientHas(capability)) {
      const sentence = `The client can not be asked for ${message.method.slice(0, 64)}.`;
      this.#tell(
        `{"jsonrpc":"2.0","id":${message.id},"error":{"code":-32601,"message":${JSON.stringify(sentence)}}}`,
      );
      return nothing;
    }
    const params = memberText(message.text, message.members, 'params') ?? '{}';
    const request = `{"method":${JSON.stringify(message.method)},"params":${params}}`;
    return { kind: 'question', question: { id: message.id, request } };
  }

  #clientHas(capability: string): boolean {
    return Object.hasOwn(JSON.parse(this.#caller.introduction.capabilities) as object, capability);
  }

  answer(text: string): Bridged {
    const asked = urlElicitation(text, this.#caller.introduction.capabilities);
    return { kind: 'answer', text: asked ?? asModernAnswer(text, this.#call.request.method) };
  }

  reply(_backend: BackendSession, id: RawJson, member: string): void {
    this.#tell(`{"jsonrpc":"2.0","id":${id},${member}}`);
  }

  cancel(_backend: BackendSession, reason: RawJson | undefined): void {
    this.#tell(cancelled(this.#call.request.id, reason));
  }

  release(): void {
    const pooled = this.#pooled;
    this.#pooled = undefined;
    if (pooled) this.#caller.pool.giveBack(pooled);
  }

  #tell(text: string): void {
    if (this.#pooled) this.#caller.pool.tell(this.#pooled, text);
  }
}
