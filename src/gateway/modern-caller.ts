import type { IncomingHttpHeaders } from 'node:http';
import type { CatalogService, Identity, RawJson, RoutingTable, ServiceName, Target } from '../model.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import type { SessionPool } from '../upstream/session-pool.ts';
import type { Bridge, BridgedCall, Caller, HeldCall, RunningCall } from './bridge.ts';
import type { Destination } from './call.ts';
import type { Scope } from './scope.ts';
import type { HeldCalls } from './held-calls.ts';
import { ModernBridge } from './modern-bridge.ts';
import { ModernToLegacyBridge } from './modern-to-legacy-bridge.ts';

export interface ModernCallerOptions {
  readonly identity: Identity;
  readonly introduction: ModernIntroduction;
  readonly scope: Scope;
  /** Of the client's request. */
  readonly headers: IncomingHttpHeaders;
  readonly table: RoutingTable;
  readonly pool: SessionPool;
  readonly held: HeldCalls;
}

/** One request of the stateless era: it says of itself all that there is to know of its client. */
export class ModernCaller implements Caller {
  readonly era = 'modern';
  readonly affinity = undefined;
  readonly identity: Identity;
  readonly introduction: ModernIntroduction;
  readonly scope: Scope;
  readonly headers: IncomingHttpHeaders;
  readonly pool: SessionPool;
  readonly #table: RoutingTable;
  readonly #held: HeldCalls;

  constructor(options: ModernCallerOptions) {
    this.identity = options.identity;
    this.introduction = options.introduction;
    this.scope = options.scope;
    this.headers = options.headers;
    this.pool = options.pool;
    this.#table = options.table;
    this.#held = options.held;
  }

  get clientInfo(): RawJson {
    return this.introduction.clientInfo;
  }

  pinned(): undefined {
    return undefined;
  }

  bridge(target: Target, to: Destination, call: BridgedCall): Bridge {
    return target.eras.modern
      ? new ModernBridge(this, target, to)
      : new ModernToLegacyBridge(this, target, to, call);
  }

  catalogEntry(service: ServiceName): CatalogService | undefined {
    return this.#table.catalog.byName.get(service);
  }

  // Cancelling is closing the connection, and answers come as requests of their own.
  began(): void {}

  ended(_id: RawJson, call: RunningCall): void {
    this.#held.release(call);
  }

  asked(): boolean {
    return false;
  }

  hold(call: HeldCall): string {
    return this.#held.hold(call, this.identity);
  }
}
