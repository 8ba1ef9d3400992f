import type { CatalogItem, CatalogResource, CatalogService, ItemKind } from '../model.ts';
import { canSlim, slimTool, type SlimToolOptions } from '../shaping/slim-tool.ts';
import { uriRewriter } from './uri-rewriter.ts';

/** How names are spelled in a list: two public spellings, or the service's own. */
export type Spelling = 'portable' | 'dotted' | 'own';

/** Which part of the catalog a list shows, and how. */
export interface ListView {
  readonly kind: ItemKind;
  readonly spelling: Spelling;
  /** Only this one; undefined for all. */
  readonly only?: CatalogService;
  /** What clients of one era would refuse is not for them: it would cost them the whole list. */
  readonly era: 'legacy' | 'modern';
  /** Tools without what says nothing; undefined: as their server wrote them. */
  readonly slim?: Slimming | undefined;
}

/** How tools are slimmed. One object for one way: lists are kept by it. */
export type Slimming = Omit<SlimToolOptions, 'as'>;

/** Services in the order of a list. */
export interface Listed {
  readonly services: readonly CatalogService[];
}

/** A page, ready for the wire: the items with commas between them. */
export interface Page {
  readonly items: Buffer;
  /** Where the next page begins; undefined on the last one. */
  readonly next: Position | undefined;
}

/** Behind which item a page begins. Names, not numbers: it stays right while services come and go. */
export interface Position {
  readonly service: string;
  readonly key: string;
}

const COMMA = Buffer.from(',');
const EMPTY = Buffer.alloc(0);

/** A list or a part of one. Its bytes are joined when they are first asked for: a list in pages never is. */
interface Whole {
  readonly count: number;
  readonly joined: () => Buffer;
}

interface Fragment extends Whole {
  readonly keys: readonly string[];
  readonly chunks: readonly Buffer[];
}

/**
 * Lists as bytes, made once for each service that changed and kept as long as its catalog entry lives; a whole
 * list is made once for each catalog or part of one.
 */
export class ListBytes {
  readonly #fragments = new WeakMap<CatalogService, Map<string, Fragment>>();
  readonly #whole = new WeakMap<Listed, Map<string, Whole>>();
  readonly #slimmings = new Map<Slimming, number>();

  page(catalog: Listed, view: ListView, after: Position | undefined, size: number): Page {
    const services = view.only ? [view.only] : catalog.services;
    if (after === undefined) {
      const whole = view.only ? this.#fragment(view.only, view) : this.#wholeOf(catalog, view);
      if (whole.count <= size) return { items: whole.joined(), next: undefined };
    }
    return this.#part(services, view, after, size);
  }

  #wholeOf(catalog: Listed, view: ListView): Whole {
    const known = this.#whole.get(catalog) ?? new Map<string, Whole>();
    this.#whole.set(catalog, known);
    const name = this.#name(view);
    let whole = known.get(name);
    if (whole === undefined) {
      const fragments = catalog.services.map((service) => this.#fragment(service, view));
      const count = fragments.reduce((sum, fragment) => sum + fragment.count, 0);
      whole = { count, joined: once(() => join(fragments.map((fragment) => fragment.joined()))) };
      known.set(name, whole);
    }
    return whole;
  }

  #name({ kind, spelling, era, slim }: ListView): string {
    if (!slim) return `${kind} ${spelling} ${era}`;
    const known = this.#slimmings.get(slim) ?? this.#slimmings.size + 1;
    this.#slimmings.set(slim, known);
    return `${kind} ${spelling} ${era} ${known}`;
  }

  #part(
    services: readonly CatalogService[],
    view: ListView,
    after: Position | undefined,
    size: number,
  ): Page {
    const chunks: Buffer[] = [];
    let last: Position | undefined;
    for (const service of services) {
      if (after && service.name < after.service) continue;
      const { keys, chunks: own } = this.#fragment(service, view);
      for (const [at, key] of keys.entries()) {
        if (after && service.name === after.service && key <= after.key) continue;
        if (chunks.length === size) return { items: join(chunks), next: last };
        chunks.push(own[at] ?? EMPTY);
        last = { service: service.name, key };
      }
    }
    return { items: join(chunks), next: undefined };
  }

  #fragment(service: CatalogService, view: ListView): Fragment {
    const known = this.#fragments.get(service) ?? new Map<string, Fragment>();
    this.#fragments.set(service, known);
    const name = this.#name(view);
    let fragment = known.get(name);
    if (fragment === undefined) {
      const items = service[view.kind].filter(({ item }) => item.eras === 'both' || item.eras === view.era);
      const chunks = items.map((entry) => Buffer.from(shown(entry, view, service)));
      fragment = {
        keys: items.map((entry) => entry.item.key),
        chunks,
        count: chunks.length,
        joined: once(() => join(chunks)),
      };
      known.set(name, fragment);
    }
    return fragment;
  }
}

function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined;
  return () => (made ??= { value: make() }).value;
}

/** The item's own text with only its name changed, and the URIs in it where another service owns them. */
export function shown(
  entry: CatalogItem | CatalogResource,
  { spelling, kind, slim }: ListView,
  service: CatalogService,
): string {
  const { json, keySpan, key } = entry.item;
  if (spelling === 'own') return json;
  const name = 'uri' in entry ? entry.uri : publicName(entry, spelling);
  const renamed =
    kind === 'tools' && slim && canSlim(json, slim)
      ? slimTool(json, { ...slim, as: name })
      : name === (key as string)
        ? json
        : json.slice(0, keySpan[0]) + JSON.stringify(name) + json.slice(keySpan[1]);
  // A tool points to the page of its app: `_meta.ui.resourceUri`.
  const rewriter = json.includes('resourceUri') ? uriRewriter(service) : undefined;
  return rewriter ? rewriter.message(renamed) : renamed;
}

function publicName(entry: CatalogItem, spelling: Spelling): string {
  return entry.own ?? (spelling === 'dotted' ? entry.canonical : entry.portable);
}

function join(chunks: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  for (const chunk of chunks) {
    if (chunk.length === 0) continue;
    if (parts.length > 0) parts.push(COMMA);
    parts.push(chunk);
  }
  return parts.length === 1 ? (parts[0] ?? EMPTY) : Buffer.concat(parts);
}

/** Opaque to clients; says which item the page before ended with. */
export function encodeCursor(position: Position): string {
  return Buffer.from(JSON.stringify([1, position.service, position.key])).toString('base64url');
}

/** Undefined for anything that `encodeCursor` did not make. */
export function decodeCursor(cursor: string): Position | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (!Array.isArray(parsed) || parsed.length !== 3 || parsed[0] !== 1) return undefined;
    const [, service, key] = parsed as unknown[];
    return typeof service === 'string' && typeof key === 'string' ? { service, key } : undefined;
  } catch {
    return undefined;
  }
}
