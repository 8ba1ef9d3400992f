import { createHash, randomBytes } from 'node:crypto';
import { RouterError } from '../errors.ts';
import type { Clock, Identity } from '../model.ts';
import type { RequestEnvelope } from '../relay/envelope.ts';
import { memberText } from '../relay/json-scan.ts';
import { canonical } from '../upstream/definition.ts';
import type { ReplicaId } from '../store/store.ts';
import type { HeldCall } from './bridge.ts';
import type { Sealer } from './sealed-id.ts';

/** How long a call waits for its client's answer. People are asked; they need time. */
export const HOLD_MS = 10 * 60_000;

export interface HeldCallsOptions {
  readonly sealer: Sealer;
  /** Names this process among all replicas. */
  readonly holder: ReplicaId;
  /** Milliseconds since 1970: the state's expiry is read by other replicas, too. */
  readonly wallClock: Clock;
}

/** What a client is given to send back (2026-07-28, basic/patterns/mrtr: server requirements). */
interface State {
  readonly holder: ReplicaId;
  readonly hold: string;
  /** Digest of who called. */
  readonly identity: string;
  /** Digest of what was called. */
  readonly request: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** What a `requestState` turned out to be. */
export type Continuation =
  /** Not of this router's making: a backend's own, for the backend to read. */
  | { readonly kind: 'foreign' }
  | { readonly kind: 'held'; readonly call: HeldCall }
  /** Another replica holds the call. */
  | { readonly kind: 'elsewhere'; readonly holder: ReplicaId }
  | { readonly kind: 'lost' };

/**
 * Calls at session-era backends that wait for what their modern client answers. The client finds the question in a
 * result, and answers with another request; its `requestState`, sealed, leads back to the call.
 */
export class HeldCalls {
  readonly #options: HeldCallsOptions;
  readonly #calls = new Map<string, HeldCall>();
  readonly #ids = new Map<object, string>();

  constructor(options: HeldCallsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** @returns the `requestState` */
  hold(call: HeldCall, identity: Identity): string {
    const { sealer, holder, wallClock } = this.#options;
    const hold = randomBytes(12).toString('base64url');
    this.#calls.set(hold, call);
    this.#ids.set(call, hold);
    const state: State = {
      holder,
      hold,
      identity: identity.digest,
      request: requestDigest(call.request),
      expires: wallClock() + HOLD_MS,
    };
    return sealer.sealText('request-state', JSON.stringify(state));
  }

  /** The call is over or goes on; its state leads nowhere any more. */
  release(call: object): void {
    const hold = this.#ids.get(call);
    if (hold === undefined) return;
    this.#ids.delete(call);
    this.#calls.delete(hold);
  }

  /**
   * Whose state this is, given the digest of who asks. A held call is handed out once.
   * @throws {RouterError} INVALID_PARAMS for a state of another caller or another request, or one that is too old
   */
  find(requestState: string, request: RequestEnvelope, identity: string): Continuation {
    const { sealer, holder, wallClock } = this.#options;
    const opened = sealer.openText('request-state', requestState);
    if (opened === undefined) return { kind: 'foreign' };
    const state = JSON.parse(opened) as State;
    if (
      state.identity !== identity ||
      state.request !== requestDigest(request) ||
      state.expires < wallClock()
    ) {
      throw invalidState();
    }
    if (state.holder !== holder) return { kind: 'elsewhere', holder: state.holder };
    const call = this.#calls.get(state.hold);
    if (!call) return { kind: 'lost' };
    this.release(call);
    return { kind: 'held', call };
  }
}

export function invalidState(): RouterError {
  return new RouterError('INVALID_PARAMS', 'This requestState does not belong to this request.', {
    reason: 'invalid_request_state',
  });
}

export function continuationLost(): RouterError {
  return new RouterError(
    'CONTINUATION_LOST',
    'The call that asked for this input is not waiting any more: it was cancelled, or the router restarted. ' +
      'It may have acted in part; check before you call again without requestState.',
  );
}

/** Over what has to be the same when the client calls again: the method and its parameters, whatever their order. */
function requestDigest({ text, params, method }: RequestEnvelope): string {
  const salient = ['name', 'uri', 'arguments'].map((key) => {
    const value = params && memberText(text, params, key);
    return value === undefined ? '' : sorted(value);
  });
  return createHash('sha256')
    .update(JSON.stringify([method, ...salient]))
    .digest('base64url');
}

function sorted(json: string): string {
  try {
    return canonical(JSON.parse(json));
  } catch {
    // Deeper than anything that means well, or broken: then the same bytes have to come again.
    return json;
  }
}
