import type { InstanceId, ServiceName, Target } from '../model.ts';
import type { NotificationEnvelope } from '../relay/envelope.ts';
import type { ModernIntroduction } from '../relay/modern.ts';
import type { BackendSessionsOptions } from '../upstream/backend-sessions.ts';
import { ResourceWatch } from '../upstream/resource-watch.ts';

/** Which instance a key belongs to now; undefined while nobody is there. */
export type Place = (service: ServiceName, key: string) => Target | undefined;

export interface ResourceWatchesOptions {
  readonly place: Place;
  readonly backends: BackendSessionsOptions;
  readonly introduction: () => ModernIntroduction;
  /** Spreads watchers over instances; the same key goes to the same one. */
  readonly key: string;
  /** As the backend sent it. */
  readonly onUpdated: (service: ServiceName, message: NotificationEnvelope) => void;
  /** URIs in the service's own spelling: they may have changed unseen. */
  readonly onMoved: (service: ServiceName, uris: readonly string[]) => void;
}

/** What one client watches, by service. */
export class ResourceWatches {
  readonly #options: ResourceWatchesOptions;
  readonly #watches = new Map<ServiceName, ResourceWatch>();

  constructor(options: ResourceWatchesOptions) {
    this.#options = options;
  }

  /** @returns those of the URIs that will be watched */
  add(service: ServiceName, uris: readonly string[]): Promise<readonly string[]> {
    const watch = this.#watches.get(service) ?? this.#make(service);
    return watch.add(uris);
  }

  remove(service: ServiceName, uri: string): void {
    const watch = this.#watches.get(service);
    watch?.remove(uri);
    if (watch?.size === 0) this.#watches.delete(service);
  }

  check(present: { has(instance: InstanceId): boolean }): void {
    for (const watch of this.#watches.values()) watch.check(present);
  }

  close(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
  }

  #make(service: ServiceName): ResourceWatch {
    const { backends, introduction, onUpdated, onMoved } = this.#options;
    const watch = new ResourceWatch({
      backends,
      introduction: introduction(),
      choose: () => this.#options.place(service, this.#options.key),
      onUpdated: (message) => onUpdated(service, message),
      onMoved: (uris) => onMoved(service, uris),
    });
    this.#watches.set(service, watch);
    return watch;
  }
}
