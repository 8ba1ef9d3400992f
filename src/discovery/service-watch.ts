import type { DoubtReason, ServiceName } from '../model.ts';
import { doubtInstances } from './doubts.ts';
import { Judgement, type Discovered } from './judgement.ts';
import type { ParsedInstance, ParsedService } from './parse-answers.ts';

const nothing: ParsedService = { instances: [], skipped: [] };

/** What is known of one service in one datacenter, however it is asked for. */
export class ServiceWatch {
  readonly name: ServiceName;
  readonly judgement: Judgement<ParsedService>;
  readonly #onChange: () => void;
  #known: ParsedService = nothing;
  #doubt: DoubtReason | undefined = 'not-synced';

  constructor(name: ServiceName, holdMs: number, onChange: () => void) {
    this.name = name;
    this.#onChange = onChange;
    this.judgement = new Judgement({
      same: sameService,
      doubt: doubtInstances,
      holdMs,
      onChange: (discovered) => this.#take(discovered),
    });
  }

  get known(): ParsedService {
    return this.#known;
  }

  /** Set while `known` is not what Consul says now; `not-synced` before the first answer. */
  get doubt(): DoubtReason | undefined {
    return this.#doubt;
  }

  close(): void {
    this.judgement.close();
  }

  #take(discovered: Discovered<ParsedService>): void {
    switch (discovered.kind) {
      case 'believed':
        this.#doubt = undefined;
        this.#known = reuse(discovered.value, this.#known);
        break;
      case 'doubted':
        this.#doubt = discovered.reason;
        this.#known = reuse(merge(discovered.value, this.#known), this.#known);
        break;
      case 'failed':
        this.#doubt = discovered.error.reason;
    }
    this.#onChange();
  }
}

/** What is said now, and what is missing from it as it was before: only the vanishing is in doubt. */
function merge(said: ParsedService, known: ParsedService): ParsedService {
  const ids = new Set(said.instances.map(({ instance }) => instance.id));
  const kept = known.instances.filter(({ instance }) => !ids.has(instance.id));
  return {
    instances: [...said.instances, ...kept].sort((a, b) => (a.instance.id < b.instance.id ? -1 : 1)),
    skipped: said.skipped,
  };
}

/** Instances that did not change keep their identity, and so does the whole where none did. */
function reuse(next: ParsedService, known: ParsedService): ParsedService {
  const before = new Map(known.instances.map((parsed) => [parsed.instance.id, parsed]));
  const instances = next.instances.map((parsed) => {
    const old = before.get(parsed.instance.id);
    return old && sameInstance(old, parsed) ? old : parsed;
  });
  const same =
    instances.length === known.instances.length &&
    instances.every((parsed, at) => parsed === known.instances[at]) &&
    JSON.stringify(next.skipped) === JSON.stringify(known.skipped);
  return same ? known : { instances, skipped: next.skipped };
}

function sameInstance(a: ParsedInstance, b: ParsedInstance): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

function sameService(a: ParsedService, b: ParsedService): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
