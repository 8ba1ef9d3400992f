import type { InstanceId, RawJson, ServiceName } from '../model.ts';

/** What another replica needs to go on in a backend session. The id is a credential. */
export interface KnownSession {
  readonly id: string;
  readonly protocolVersion: string;
  readonly capabilities: RawJson | undefined;
  readonly service: ServiceName;
  /** Of the instance; with another registration it is another server. */
  readonly registration: string;
  /** Milliseconds since 1970. Of several sessions of a service the newest is the one in use. */
  readonly openedAt: number;
}

/**
 * Where the sessions of one client session are known beyond this process; main hands it over. Nothing of it rejects,
 * or waits for long.
 */
export interface SessionMemory {
  /** What another replica has open there. */
  recall(instance: InstanceId): Promise<KnownSession | undefined>;
  /** Gives the session that counts: this one, or that of a replica that was first. */
  remember(instance: InstanceId, session: KnownSession): Promise<KnownSession>;
  /** The backend does not know it any more. */
  forget(instance: InstanceId, session: KnownSession): Promise<void>;
}
