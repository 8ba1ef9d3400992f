import { RouterError } from '../errors.ts';
import type { Identity, InstanceId, RawJson, RoutingTable, ServiceName } from '../model.ts';
import { readEnvelope, type NotificationEnvelope, type RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import type { HttpStream } from '../relay/http-stream.ts';
import { memberObject, memberString, memberText } from '../relay/json-scan.ts';
import { membersOf, meta, objectOf, type ModernIntroduction } from '../relay/modern.ts';
import type { BackendSessionsOptions } from '../upstream/backend-sessions.ts';
import type { Scope } from './scope.ts';
import type { Sights } from './sight.ts';
import type { ListKind, NoticeTaker } from './notices.ts';
import type { ToolWish } from './tool-views.ts';
import { ownersOf, resourceWanted, seesUri } from './resources.ts';
import { ResourceWatches, type Place } from './resource-watches.ts';
import { uriRewriter } from './uri-rewriter.ts';

export interface SubscriptionsOptions {
  readonly sights: Sights;
  readonly table: () => RoutingTable;
  readonly place: Place;
  readonly backends: BackendSessionsOptions;
  readonly keepAliveMs: number;
  /** Streams open at one time. */
  readonly max: number;
}

/** Resources that one stream may watch. */
const MAX_URIS = 1000;

/** `subscriptions/listen`: news for clients without a session (2026-07-28, basic/patterns/subscriptions). */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  readonly #open = new Set<Subscription>();

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  all(): Iterable<NoticeTaker> {
    return this.#open;
  }

  /** @throws {RouterError} INVALID_PARAMS, OVERLOADED */
  listen(request: RequestEnvelope, answer: Answer, client: Subscriber): void {
    const filter = readFilter(request);
    if (this.#open.size >= this.#options.max) {
      throw new RouterError('OVERLOADED', 'Too many subscriptions are open. Try again later.', {
        retryAfterMs: 5000,
      });
    }
    const subscription = new Subscription(this.#options, request.id, filter, client);
    const stream = answer.openStream(this.#options.keepAliveMs, () => {
      this.#open.delete(subscription);
      subscription.close();
    });
    this.#open.add(subscription);
    void subscription.start(stream);
  }

  /** The table has changed: what is watched at an instance that is gone is watched elsewhere. */
  check(present: { has(instance: InstanceId): boolean }): void {
    for (const subscription of this.#open) subscription.check(present);
  }

  /** Ends those of callers whose proof has ended; they listen again with a new one. */
  dismiss(isStillGood: (identity: Identity) => boolean): void {
    for (const subscription of this.#open) if (!isStillGood(subscription.identity)) subscription.end();
  }

  /** Ends all, in a way that tells clients that it was meant. */
  end(): void {
    for (const subscription of this.#open) subscription.end();
  }
}

/** Who wants to know. */
export interface Subscriber {
  readonly identity: Identity;
  readonly scope: Scope;
  readonly wish: ToolWish;
  readonly introduction: ModernIntroduction;
}

interface Filter {
  readonly tools: boolean;
  readonly prompts: boolean;
  readonly resources: boolean;
  readonly uris: readonly string[];
}

class Subscription implements NoticeTaker {
  readonly identity: Identity;
  readonly scope: Scope;
  readonly wish: ToolWish;
  readonly #sights: Sights;
  readonly #table: () => RoutingTable;
  /** Of the client's request: it marks every message of the stream. */
  readonly #id: RawJson;
  readonly #filter: Filter;
  readonly #watches: ResourceWatches;
  #stream: HttpStream | undefined;
  /** What happens before the acknowledgment waits for it. */
  #early: string[] | undefined = [];

  constructor(options: SubscriptionsOptions, id: RawJson, filter: Filter, client: Subscriber) {
    this.identity = client.identity;
    this.scope = client.scope;
    this.wish = client.wish;
    this.#sights = options.sights;
    this.#table = options.table;
    this.#id = id;
    this.#filter = filter;
    this.#watches = new ResourceWatches({
      place: options.place,
      backends: options.backends,
      introduction: () => client.introduction,
      key: `${id}${client.introduction.clientInfo}`,
      onUpdated: (service, message) => this.#updated(service, message),
      onMoved: (service, uris) => {
        for (const uri of uris) {
          const params = JSON.stringify({ uri });
          const text = `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":${params}}`;
          const message = readEnvelope(text);
          if (message.kind === 'notification') this.#updated(service, message);
        }
      },
    });
  }

  async start(stream: HttpStream): Promise<void> {
    this.#stream = stream;
    const agreed = await this.#watch();
    const { tools, prompts, resources, uris } = this.#filter;
    const honoured = {
      ...(tools && { toolsListChanged: true }),
      ...(prompts && { promptsListChanged: true }),
      ...(resources && { resourcesListChanged: true }),
      ...(uris.length > 0 && { resourceSubscriptions: uris.filter((uri) => agreed.has(uri)) }),
    };
    stream.send(
      this.#stamped('notifications/subscriptions/acknowledged', [
        ['notifications', JSON.stringify(honoured)],
      ]),
    );
    for (const text of this.#early ?? []) stream.send(text);
    this.#early = undefined;
  }

  /** @returns those that somebody has, as the client spells them */
  async #watch(): Promise<ReadonlySet<string>> {
    const table = this.#sights.of(this.identity, this.scope);
    const byService = new Map<ServiceName, Map<string, string>>();
    for (const uri of this.#filter.uris) {
      const owner = ownersOf(table, this.scope, uri).find(
        (one) => table.decide(resourceWanted(one, uri)).kind === 'allow',
      );
      if (!owner) continue;
      const own = byService.get(owner.service) ?? new Map<string, string>();
      byService.set(owner.service, own.set(owner.uri, uri));
    }
    const agreed = await Promise.all(
      [...byService].map(async ([service, uris]) => {
        const known = await this.#watches.add(service, [...uris.keys()]);
        return known.flatMap((uri) => uris.get(uri) ?? []);
      }),
    );
    return new Set(agreed.flat());
  }

  listChanged(kind: ListKind): void {
    if (this.#filter[kind]) this.#send(this.#stamped(`notifications/${kind}/list_changed`, []));
  }

  check(present: { has(instance: InstanceId): boolean }): void {
    this.#watches.check(present);
  }

  /** The router ends the stream, and says so. */
  end(): void {
    this.#stream?.send(
      `{"jsonrpc":"2.0","id":${this.#id},"result":{"resultType":"complete",` +
        `"_meta":{"${meta.subscriptionId}":${this.#id}}}}`,
    );
    this.#stream?.end();
  }

  close(): void {
    this.#watches.close();
  }

  #send(text: string): void {
    if (this.#early) this.#early.push(text);
    else this.#stream?.send(text);
  }

  /** A backend's `notifications/resources/updated` under the client's names. The rules may be others by now. */
  #updated(service: ServiceName, message: NotificationEnvelope): void {
    const { text, params } = message;
    const uri = (params && memberString(text, params, 'uri')) ?? '';
    if (!seesUri(this.#sights.of(this.identity, this.scope), service, uri)) return;
    const own = params && memberObject(text, params, '_meta');
    const kept = own ? membersOf(text, own).filter(([key]) => key !== meta.subscriptionId) : [];
    const others = params ? membersOf(text, params).filter(([key]) => key !== '_meta') : [];
    const stamped = this.#stamped(message.method, others, kept);
    const rewriter =
      this.scope.kind === 'all' ? uriRewriter(this.#table().catalog.byName.get(service)) : undefined;
    this.#send(rewriter ? rewriter.message(stamped) : stamped);
  }

  #stamped(
    method: string,
    params: readonly (readonly [string, string])[],
    more: readonly (readonly [string, string])[] = [],
  ): string {
    const marked = objectOf([...more, [meta.subscriptionId, this.#id]]);
    return `{"jsonrpc":"2.0","method":"${method}","params":${objectOf([...params, ['_meta', marked]])}}`;
  }
}

function readFilter({ text, params }: RequestEnvelope): Filter {
  const wanted = params && memberText(text, params, 'notifications');
  if (wanted === undefined || !wanted.startsWith('{')) {
    throw new RouterError('INVALID_PARAMS', 'subscriptions/listen needs "notifications", an object.');
  }
  let filter: Record<string, unknown>;
  try {
    filter = JSON.parse(wanted) as Record<string, unknown>;
  } catch {
    throw new RouterError('INVALID_PARAMS', '"notifications" is no JSON.');
  }
  const uris = filter['resourceSubscriptions'] ?? [];
  if (!Array.isArray(uris) || !uris.every((uri) => typeof uri === 'string')) {
    throw new RouterError('INVALID_PARAMS', '"resourceSubscriptions" must be a list of URIs.');
  }
  if (uris.length > MAX_URIS) {
    throw new RouterError('INVALID_PARAMS', `One subscription may watch ${MAX_URIS} resources.`);
  }
  return {
    tools: filter['toolsListChanged'] === true,
    prompts: filter['promptsListChanged'] === true,
    resources: filter['resourcesListChanged'] === true,
    uris: [...new Set(uris)],
  };
}
