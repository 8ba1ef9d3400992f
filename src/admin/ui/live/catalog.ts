import { computed, effect, signal } from '@preact/signals';
import type { CatalogEntry, EntriesBody } from '../../shapes.ts';
import { askJson } from './access.ts';
import { connection, services } from './state.ts';

/** An entry with what is searched in it. */
export interface FoundEntry extends CatalogEntry {
  readonly service: string;
  readonly words: string;
}

/** More services than this that changed at once: all are asked for. */
const MANY = 50;

const byService = signal<ReadonlyMap<string, readonly FoundEntry[]>>(new Map());
/** Undefined until the catalog was read once. */
export const catalogRead = signal(false);
export const catalogTrouble = signal<string | undefined>(undefined);
/** The edition in which each service was read. */
const read = new Map<string, string | null>();
let reading = false;
let following = false;

export const entries = computed(() =>
  [...byService.value.keys()].sort().flatMap((service) => byService.value.get(service) ?? []),
);

/** From now on the catalog is kept as it is: what changes is read again. Reads nothing before somebody looks. */
export function followCatalog(): void {
  if (following) return;
  following = true;
  effect(() => {
    if (connection.value === 'live' && services.value) void readChanged();
  });
}

async function readChanged(): Promise<void> {
  if (reading) return;
  reading = true;
  try {
    for (let due = changed(); due.length > 0 || !catalogRead.value; due = changed()) await readServices(due);
    catalogTrouble.value = undefined;
  } catch (error) {
    catalogTrouble.value = error instanceof Error ? error.message : String(error);
  } finally {
    reading = false;
  }
}

function changed(): readonly string[] {
  const now = [...services.value.values()];
  const gone = [...read.keys()].filter((name) => !services.value.has(name));
  return [...now.filter(({ name, edition }) => read.get(name) !== edition).map(({ name }) => name), ...gone];
}

async function readServices(due: readonly string[]): Promise<void> {
  const editions = new Map(due.map((name) => [name, services.value.get(name)?.edition]));
  const all = due.length === 0 || due.length > MANY;
  const query = due.map((name) => `service=${encodeURIComponent(name)}`).join('&');
  const body = await askJson<EntriesBody>(`catalog/entries${all ? '' : `?${query}`}`);
  const next = new Map(all ? [] : byService.value);
  for (const [name, edition] of editions) {
    next.delete(name);
    if (edition === undefined) read.delete(name);
    else read.set(name, edition);
  }
  for (const [service, list] of Object.entries(body.services)) {
    next.set(
      service,
      list.map((entry) => ({ ...entry, service, words: wordsOf(entry, service) })),
    );
  }
  byService.value = next;
  catalogRead.value = true;
}

function wordsOf({ name, canonical, title = '', about = '' }: CatalogEntry, service: string): string {
  return `${name} ${canonical} ${title} ${service} ${about}`.toLowerCase();
}

/** Entries in which every word of `text` stands; those that have it in their name come first. */
export function searchEntries(all: readonly FoundEntry[], text: string): readonly FoundEntry[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return all;
  const found = all.filter((entry) => words.every((word) => entry.words.includes(word)));
  const rank = ({ name, canonical }: FoundEntry): number => {
    const names = `${name} ${canonical}`.toLowerCase();
    return words.every((word) => names.includes(word)) ? 0 : 1;
  };
  return found.toSorted((a, b) => rank(a) - rank(b));
}
