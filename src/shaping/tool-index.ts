import type { CatalogItem, CatalogService, ServiceName, Tool } from '../model.ts';
import { fieldNames, fieldTerms, serviceTerms, type FieldName, type FieldTerms } from './searchable-tool.ts';

/**
 * What a field's words count, how much its length takes away (0…1), and the length that is usual. The usual
 * lengths are constants and no averages: what a tool is worth then depends on nothing but itself, so a tool that
 * comes, goes or is hidden changes no other one.
 */
export interface FieldRule {
  readonly weight: number;
  readonly lengthPenalty: number;
  readonly usualLength: number;
}

export type FieldRules = Readonly<Record<FieldName, FieldRule>>;

/** Found on the tuning half of test/bench/search; see docs/token-thrift.md. */
export const fieldRules: FieldRules = {
  name: { weight: 5, lengthPenalty: 0.5, usualLength: 3 },
  service: { weight: 1.5, lengthPenalty: 0, usualLength: 1 },
  title: { weight: 1.5, lengthPenalty: 0.3, usualLength: 3 },
  description: { weight: 0.8, lengthPenalty: 0.5, usualLength: 20 },
  arguments: { weight: 0.5, lengthPenalty: 0.5, usualLength: 8 },
  argumentTexts: { weight: 0.1, lengthPenalty: 0.5, usualLength: 30 },
};

/** Where a term stands: `docs[i]` has it with `weights[i]` (its frequency over the fields, weighted). */
export interface Posting {
  readonly term: string;
  readonly docs: number[];
  readonly weights: number[];
}

/** One tool in the index. */
export interface IndexedTool {
  readonly entry: CatalogItem<Tool>;
  readonly postings: readonly Posting[];
  /** Terms of its name, each once. */
  readonly nameTerms: readonly string[];
}

export interface IndexedService {
  /** Terms of its name, each once: a question that has them all means this service. */
  readonly terms: readonly string[];
  readonly docs: readonly number[];
}

/** A service as it stands, also when a `sync` is left off in the middle. */
interface Holding extends IndexedService {
  readonly service: CatalogService;
  readonly docs: number[];
  /** Tools of its last version, on their way out. */
  readonly stale: number[];
  complete: boolean;
}

/**
 * The tools of all services by the terms under which they are found. A service's tools come and go without the
 * rest being touched. Tools that only their app's page may call are not in it.
 *
 * It holds what `sync` gave it and knows nothing of callers: who may see what is said with each search.
 */
export class ToolIndex {
  readonly #rules: FieldRules;
  readonly #terms = new Map<string, Posting>();
  readonly #docs: (IndexedTool | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #services = new Map<ServiceName, Holding>();

  constructor(rules: FieldRules = fieldRules) {
    this.#rules = rules;
  }

  /** Numbers of tools are below this. */
  get capacity(): number {
    return this.#docs.length;
  }

  get size(): number {
    return this.#docs.length - this.#free.length;
  }

  get termCount(): number {
    return this.#terms.size;
  }

  get services(): Iterable<IndexedService> {
    return this.#services.values();
  }

  posting(term: string): Posting | undefined {
    return this.#terms.get(term);
  }

  terms(): Iterable<string> {
    return this.#terms.keys();
  }

  tool(doc: number): IndexedTool | undefined {
    return this.#docs[doc];
  }

  /**
   * Brings the index to these services, one tool a step: whoever drives it decides how long a turn lasts
   * (`inSlices`). A service that is still the same object is left alone.
   */
  *sync(services: readonly CatalogService[]): Generator<void, void, void> {
    const wanted = new Set(services.map(({ name }) => name));
    for (const [name, held] of this.#services) {
      if (wanted.has(name)) continue;
      held.complete = false;
      yield* this.#removeAll(held.docs);
      yield* this.#removeAll(held.stale);
      this.#services.delete(name);
    }
    for (const service of services) {
      const held = this.#services.get(service.name);
      if (held?.service === service && held.complete) continue;
      yield* this.#add(service, held);
    }
  }

  /** The new tools before the old ones go: a search meanwhile finds whichever of them its caller may see. */
  *#add(service: CatalogService, last: Holding | undefined): Generator<void, void, void> {
    const held: Holding = {
      service,
      terms: [...new Set(serviceTerms(service.namespace))],
      docs: [],
      stale: [...(last?.docs ?? []), ...(last?.stale ?? [])],
      complete: false,
    };
    this.#services.set(service.name, held);
    for (const entry of service.tools) {
      if (entry.item.appOnly) continue;
      held.docs.push(this.#addTool(entry, service.namespace));
      yield;
    }
    yield* this.#removeAll(held.stale);
    held.complete = true;
  }

  #addTool(entry: CatalogItem<Tool>, namespace: string): number {
    const doc = this.#free.pop() ?? this.#docs.length;
    const fields = fieldTerms(entry, namespace);
    const postings: Posting[] = [];
    for (const [term, weight] of termWeights(fields, this.#rules)) {
      let posting = this.#terms.get(term);
      if (!posting) {
        posting = { term, docs: [], weights: [] };
        this.#terms.set(term, posting);
      }
      posting.docs.push(doc);
      posting.weights.push(weight);
      postings.push(posting);
    }
    this.#docs[doc] = { entry, postings, nameTerms: [...new Set(fields.name)] };
    return doc;
  }

  /** Takes the numbers off the list as it goes, so that none is removed twice. */
  *#removeAll(docs: number[]): Generator<void, void, void> {
    for (let doc = docs.pop(); doc !== undefined; doc = docs.pop()) {
      this.#removeTool(doc);
      yield;
    }
  }

  #removeTool(doc: number): void {
    const known = this.#docs[doc];
    if (!known) return;
    for (const posting of known.postings) {
      const at = posting.docs.indexOf(doc);
      const lastDoc = posting.docs.pop();
      const lastWeight = posting.weights.pop();
      if (at < posting.docs.length && lastDoc !== undefined && lastWeight !== undefined) {
        posting.docs[at] = lastDoc;
        posting.weights[at] = lastWeight;
      }
      if (posting.docs.length === 0) this.#terms.delete(posting.term);
    }
    this.#docs[doc] = undefined;
    this.#free.push(doc);
  }
}

/** BM25F: the frequency of each term, each field's share damped by the field's length. */
export function termWeights(fields: FieldTerms, rules: FieldRules): Map<string, number> {
  const weights = new Map<string, number>();
  for (const field of fieldNames) {
    const terms = fields[field];
    const { weight, lengthPenalty, usualLength } = rules[field];
    const share = weight / (1 - lengthPenalty + (lengthPenalty * terms.length) / usualLength);
    for (const term of terms) weights.set(term, (weights.get(term) ?? 0) + share);
  }
  return weights;
}
