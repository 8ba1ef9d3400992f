import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CatalogService } from '../../../src/model.ts';
import { catalogService } from '../../support/catalog.ts';
import { tool } from '../../support/model.ts';

/** One real server's answer to tools/list; `from` says which package and version gave it. */
export interface RealServer {
  readonly service: string;
  readonly from: string;
  readonly tools: readonly RealTool[];
}

export interface RealTool {
  readonly name: string;
  readonly [member: string]: unknown;
}

/** A question, and the tools of which any would be right, as `service/tool`. */
export interface Question {
  readonly text: string;
  readonly right: ReadonlySet<string>;
  readonly half: 'tuning' | 'hold-out';
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export function realServers(): RealServer[] {
  return readdirSync(here('./servers'))
    .sort()
    .map((file) => JSON.parse(readFileSync(here(`./servers/${file}`), 'utf8')) as RealServer);
}

/** The servers as the router's catalog would have them. */
export function catalogOf(servers: readonly RealServer[]): CatalogService[] {
  return servers.map(({ service, tools }) =>
    catalogService(
      service,
      tools.map(({ name, ...rest }) => tool(name, rest)),
    ),
  );
}

/** Which half a question is in was fixed before anything was tuned: the parity of a hash of its text. */
export function questions(): Question[] {
  const lines = readFileSync(here('./queries.tsv'), 'utf8').trim().split('\n');
  return lines.map((line) => {
    const [text = '', right = ''] = line.split('\t');
    return { text, right: new Set(right.split(' ')), half: hash(text) % 2 === 0 ? 'tuning' : 'hold-out' };
  });
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const character of text) value = Math.imul(value ^ (character.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return value;
}
