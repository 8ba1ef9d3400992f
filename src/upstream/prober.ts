import pRetry from 'p-retry';
import { describeError } from '../errors.ts';
import type {
  Eras,
  Instance,
  InstanceId,
  Learned,
  Log,
  Problem,
  RegisteredService,
  ServerDefinition,
} from '../model.ts';
import { originOf } from './connections.ts';
import { Gate } from './gate.ts';
import { HandshakeError } from './handshake.ts';
import { LookError } from './look.ts';
import { ProbeSession, type ProbeSessionOptions } from './probe-session.ts';

export interface ProberOptions extends ProbeSessionOptions {
  /** Looks at the same time. */
  readonly concurrency: number;
  /** How often an instance is looked at again without a reason: not every server announces changes. */
  readonly refreshMs: number;
  /** What is known of an instance has changed. */
  readonly onLearned: (instance: Instance) => void;
  readonly onLook?: (ended: 'learned' | 'failed', durationMs: number, instance: Instance) => void;
  readonly log: Log;
}

/** One registration of one instance, and what is under way. */
interface Entry {
  instance: Instance;
  readonly session: ProbeSession;
  learned: Learned;
  /** The last good one; kept while looks fail. */
  definition: ServerDefinition | undefined;
  eras: Eras | undefined;
  looking: boolean;
  /** When the last look ended. */
  lookedAt: number;
  /** Asked for while a look was under way. */
  again: boolean;
  failures: number;
  /** The last look was refused a connection: it gets no calls until it was looked at. */
  vacant: boolean;
  timer: NodeJS.Timeout | undefined;
  doubted: boolean;
  checkTimer: NodeJS.Timeout | undefined;
  failedChecks: number;
  gone: boolean;
}

/** Slower than this and a look gives its place to the next. */
const PATIENCE_MS = 500;
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 60_000;
const RETRY_VACANT_MS = 2000;
/** Servers send list_changed once a list; one look answers them all. */
const CHANGE_DEBOUNCE_MS = 50;
/** Calls that fail now and then must not make a look each. */
const DOUBT_EVERY_MS = 1000;
const CHECK_EVERY_MS = 5000;
/** One lost ping is a hiccup. */
const CHECKS_TO_FAIL = 2;

/**
 * Learns what instances can do. A look follows a registration, `list_changed`, the way back from critical, and
 * now and then nothing at all. Looks are bounded in number and time, and one that hangs holds up no other.
 *
 * While Consul is doubted, instances are pinged: then their own answers decide whether they get calls.
 */
export class Prober {
  readonly #options: ProberOptions;
  readonly #entries = new Map<InstanceId, Entry>();
  readonly #gate: Gate;

  constructor(options: ProberOptions) {
    this.#options = options;
    this.#gate = new Gate(options.concurrency, PATIENCE_MS);
  }

  learned(instance: Instance): Learned {
    const entry = this.#entries.get(instance.id);
    // What was learned of an earlier registration says nothing of this one.
    return entry?.instance.registration === instance.registration ? entry.learned : { kind: 'pending' };
  }

  /** Calls fail there: what is known of the instance may no longer be so. */
  doubt(instance: Instance): void {
    const entry = this.#entries.get(instance.id);
    if (entry?.instance.registration !== instance.registration || entry.learned.kind === 'pending') return;
    const sinceLast = this.#options.now() - entry.lookedAt;
    this.#want(entry, Math.max(CHANGE_DEBOUNCE_MS, DOUBT_EVERY_MS - sinceLast));
  }

  /** Takes the registry's present state: starts looks at what is new, drops what is gone. */
  update(services: Iterable<RegisteredService>): void {
    const present = new Set<InstanceId>();
    for (const service of services) {
      for (const instance of service.instances) {
        present.add(instance.id);
        this.#take(instance, service.doubt !== undefined);
      }
    }
    for (const entry of this.#entries.values()) {
      if (!present.has(entry.instance.id)) void this.#drop(entry);
    }
  }

  /** Closes all sessions. Never rejects. */
  async close(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => this.#drop(entry)));
  }

  #take(instance: Instance, doubted: boolean): void {
    const known = this.#entries.get(instance.id);
    const same = known?.instance.registration === instance.registration ? known : undefined;
    if (known && !same) void this.#drop(known);
    const entry = same ?? this.#enter(instance);
    const before = entry.instance.state;
    entry.instance = instance;
    entry.doubted = doubted;
    const usable = instance.state === 'passing' || instance.state === 'warning';
    // Back from critical: the process behind the same registration may be another one.
    const cameBack = before === 'critical' || before === 'maintenance';
    if (usable && (cameBack || entry.learned.kind === 'pending')) this.#want(entry, 0);
    if (doubted && entry.checkTimer === undefined) this.#scheduleCheck(entry);
  }

  #enter(instance: Instance): Entry {
    const entry: Entry = {
      instance,
      session: new ProbeSession(instance.endpoint, this.#options, () =>
        this.#want(entry, CHANGE_DEBOUNCE_MS),
      ),
      learned: { kind: 'pending' },
      definition: undefined,
      eras: undefined,
      looking: false,
      lookedAt: Number.NEGATIVE_INFINITY,
      again: false,
      failures: 0,
      vacant: false,
      timer: undefined,
      doubted: false,
      checkTimer: undefined,
      failedChecks: 0,
      gone: false,
    };
    this.#entries.set(instance.id, entry);
    return entry;
  }

  #drop(entry: Entry): Promise<void> {
    if (this.#entries.get(entry.instance.id) === entry) this.#entries.delete(entry.instance.id);
    entry.gone = true;
    clearTimeout(entry.timer);
    clearTimeout(entry.checkTimer);
    return entry.session.close();
  }

  /** A look after `delayMs`, in place of any later one; a look under way is followed by another. */
  #want(entry: Entry, delayMs: number): void {
    if (entry.gone) return;
    if (entry.looking) {
      entry.again = true;
      return;
    }
    clearTimeout(entry.timer);
    if (delayMs > 0) {
      entry.timer = setTimeout(() => this.#want(entry, 0), delayMs);
      entry.timer.unref();
      return;
    }
    entry.looking = true;
    void this.#gate.run(() => this.#look(entry));
  }

  async #look(entry: Entry): Promise<void> {
    if (entry.gone) return;
    const startedAt = this.#options.now();
    entry.again = false;
    const learned = await this.#tries(entry);
    entry.looking = false;
    if (entry.gone) return;
    this.#options.onLook?.(
      learned.kind === 'learned' ? 'learned' : 'failed',
      this.#options.now() - startedAt,
      entry.instance,
    );
    entry.lookedAt = this.#options.now();
    this.#conclude(entry, learned);
  }

  async #tries(entry: Entry): Promise<Learned> {
    try {
      const seen = await pRetry(() => entry.session.look(), {
        retries: 2,
        minTimeout: 200,
        factor: 3,
        randomize: true,
        shouldRetry: ({ error }) => !entry.gone && isRetryable(error),
      });
      // Equal content keeps the older object, and with it everything that was made of it.
      if (!entry.definition || !sameDefinition(entry.definition, seen.definition)) {
        entry.definition = seen.definition;
      }
      entry.failures = 0;
      entry.vacant = false;
      entry.eras = seen.eras;
      return {
        kind: 'learned',
        definition: entry.definition,
        sessionless: seen.sessionless,
        eras: seen.eras,
      };
    } catch (error) {
      entry.failures++;
      const problem = probeProblem(entry.instance, error);
      entry.vacant = nobodyListens(error);
      return {
        kind: 'failed',
        problem,
        // Where nobody listens the process is gone, and the next one may say something else.
        ...(entry.definition && !entry.vacant && { last: entry.definition }),
        ...(entry.eras && { eras: entry.eras }),
      };
    }
  }

  #conclude(entry: Entry, learned: Learned): void {
    const before = entry.learned;
    entry.learned = learned;
    if (!sameLearned(before, learned)) {
      this.#report(entry.instance, learned);
      this.#options.onLearned(entry.instance);
    }
    this.#want(entry, entry.again ? CHANGE_DEBOUNCE_MS : this.#pause(entry));
  }

  #pause(entry: Entry): number {
    const spread = 0.8 + 0.4 * this.#options.random();
    if (entry.failures === 0) return this.#options.refreshMs * spread;
    const { state } = entry.instance;
    // Consul says that it is there, so it is about to be: a refused connection costs next to nothing.
    const most =
      entry.vacant && state !== 'critical' && state !== 'maintenance' ? RETRY_VACANT_MS : RETRY_MAX_MS;
    return Math.min(most, RETRY_MIN_MS * 2 ** (entry.failures - 1)) * spread;
  }

  #report(instance: Instance, learned: Learned): void {
    const about = { service: instance.service, instance: instance.id };
    if (learned.kind === 'failed') {
      this.#options.log.warn('instance could not be asked what it can do', {
        ...about,
        reason: learned.problem.message,
      });
    } else if (learned.kind === 'learned') {
      const { tools, prompts, resources, problems } = learned.definition;
      this.#options.log.debug('instance learned', {
        ...about,
        tools: tools.length,
        prompts: prompts.length,
        resources: resources.length,
      });
      for (const { code, subject, message } of problems) {
        this.#options.log.warn('instance has a problem', {
          ...about,
          code,
          subject,
          reason: message,
        });
      }
    }
  }

  #scheduleCheck(entry: Entry): void {
    const delayMs = CHECK_EVERY_MS * (0.8 + 0.4 * this.#options.random());
    entry.checkTimer = setTimeout(() => void this.#check(entry), delayMs);
    entry.checkTimer.unref();
  }

  /** Consul's word is in doubt: does the instance still answer? */
  async #check(entry: Entry): Promise<void> {
    entry.checkTimer = undefined;
    if (entry.gone || !entry.doubted) {
      entry.failedChecks = 0;
      return;
    }
    if (entry.learned.kind === 'learned') {
      const alive = await entry.session.ping(Math.min(this.#options.timeoutMs, CHECK_EVERY_MS));
      if (entry.gone) return;
      entry.failedChecks = alive ? 0 : entry.failedChecks + 1;
      if (entry.failedChecks >= CHECKS_TO_FAIL && !entry.looking) {
        entry.failedChecks = 0;
        entry.failures++;
        const message =
          `Consul could not say how ${entry.instance.serviceId} is, and it did not answer pings; ` +
          'it gets no calls until it answers.';
        // Without `last`: unlike a failed look, this takes its traffic away.
        this.#conclude(entry, { kind: 'failed', problem: { code: 'UNREACHABLE', message } });
      }
    }
    this.#scheduleCheck(entry);
  }
}

/** Problems may come and go while what is served stays the same. */
function sameDefinition(a: ServerDefinition, b: ServerDefinition): boolean {
  return (
    a.digest === b.digest &&
    a.problems.length === b.problems.length &&
    a.problems.every((problem, at) => problem.message === b.problems[at]?.message)
  );
}

function sameLearned(a: Learned, b: Learned): boolean {
  if (a.kind === 'learned' && b.kind === 'learned') {
    return (
      a.definition === b.definition &&
      a.sessionless === b.sessionless &&
      a.eras.legacy === b.eras.legacy &&
      a.eras.modern === b.eras.modern
    );
  }
  return (
    a.kind === 'failed' && b.kind === 'failed' && a.problem.message === b.problem.message && a.last === b.last
  );
}

function isRetryable(error: unknown): boolean {
  return (error instanceof HandshakeError || error instanceof LookError) && error.retryable;
}

function nobodyListens(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && cause.code === 'ECONNREFUSED') return true;
  }
  return false;
}

/** For operators: with the address, which clients never see. */
function probeProblem({ serviceId, endpoint }: Instance, error: unknown): Problem {
  const known = error instanceof HandshakeError || error instanceof LookError;
  const cause = known && error.cause !== undefined ? ` (${describeError(error.cause)})` : '';
  return {
    code: 'PROBE_FAILED',
    message: `${serviceId} at ${originOf(endpoint)}${endpoint.path} ${known ? error.message : describeError(error)}${cause}.`,
  };
}
