import type { CatalogItem, Digest, Tool } from '../model.ts';

/**
 * Turns texts into vectors of one length, in their order. Implemented over an OpenAI-compatible `/v1/embeddings`
 * URL; it may fail at any time.
 */
export type Embed = (texts: readonly string[]) => Promise<readonly Float32Array[]>;

const BATCH = 64;
const MAX_QUESTIONS = 500;
const MAX_TEXT = 600;

/**
 * The vectors of definitions, by digest, so that a definition is embedded once, whoever has it and however often it
 * comes back; and those of the last questions. Whatever fails is simply not there: search goes on by words.
 */
export class VectorStore {
  readonly #embed: Embed;
  readonly #tools = new Map<Digest, Float32Array>();
  readonly #questions = new Map<string, Float32Array>();

  constructor(embed: Embed) {
    this.#embed = embed;
  }

  get size(): number {
    return this.#tools.size;
  }

  /** Embeds what is new among these tools and forgets what is not among them. */
  async sync(entries: readonly CatalogItem<Tool>[]): Promise<void> {
    const wanted = new Map(entries.map((entry) => [entry.item.digest, entry]));
    for (const digest of this.#tools.keys()) if (!wanted.has(digest)) this.#tools.delete(digest);
    const missing = [...wanted].filter(([digest]) => !this.#tools.has(digest));
    for (let at = 0; at < missing.length; at += BATCH) {
      const batch = missing.slice(at, at + BATCH);
      const vectors = await this.#tryEmbed(batch.map(([, entry]) => toolText(entry)));
      for (const [index, [digest]] of batch.entries()) {
        const vector = vectors?.[index];
        if (vector) this.#tools.set(digest, vector);
      }
    }
  }

  /** The vector of a question; undefined where there is none to be had. */
  async question(text: string): Promise<Float32Array | undefined> {
    const known = this.#questions.get(text);
    if (known) return known;
    const vector = (await this.#tryEmbed([text]))?.[0];
    if (!vector) return undefined;
    const oldest = this.#questions.size >= MAX_QUESTIONS ? this.#questions.keys().next().value : undefined;
    if (oldest !== undefined) this.#questions.delete(oldest);
    this.#questions.set(text, vector);
    return vector;
  }

  tool(digest: Digest): Float32Array | undefined {
    return this.#tools.get(digest);
  }

  async #tryEmbed(texts: readonly string[]): Promise<readonly Float32Array[] | undefined> {
    try {
      const vectors = await this.#embed(texts);
      const length = vectors[0]?.length ?? 0;
      const whole = vectors.length === texts.length && length > 0;
      return whole && vectors.every((vector) => vector.length === length) ? vectors.map(unit) : undefined;
    } catch {
      return undefined;
    }
  }
}

/** What of a tool is embedded: where it is, what it is called, what it says. */
export function toolText({ service, item }: CatalogItem<Tool>): string {
  const { description } = JSON.parse(item.json) as { description?: unknown };
  const said = typeof description === 'string' ? description : '';
  return `${service}: ${item.key.replaceAll(/[_-]+/g, ' ')}. ${said}`.slice(0, MAX_TEXT);
}

function unit(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return length === 0 ? vector : vector.map((value) => value / length);
}

/** Cosine of two vectors of length one; 0 where they can't be compared. */
export function cosine(a: Float32Array, b: Float32Array): number {
  if (a.length !== b.length) return 0;
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += (a[at] ?? 0) * (b[at] ?? 0);
  return sum;
}
