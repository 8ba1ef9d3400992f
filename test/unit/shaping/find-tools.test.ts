import { ToolSchema as LegacyTool } from '@modelcontextprotocol/sdk/types.js';
import { encode } from 'gpt-tokenizer/encoding/o200k_base';
import { describe, expect, it } from 'vitest';
import type { CatalogItem, Tool } from '../../../src/model.ts';
import { findToolsJson, metaResult, nearestNames, type FindInput } from '../../../src/shaping/find-tools.ts';
import {
  findToolsArguments,
  isMetaTool,
  metaToolJson,
  metaToolNames,
  readResultArguments,
} from '../../../src/shaping/meta-tools.ts';
import { allAtOnce } from '../../../src/shaping/slices.ts';
import { ToolIndex } from '../../../src/shaping/tool-index.ts';
import { catalogOf, realServers } from '../../bench/search/corpus.ts';
import { catalogService } from '../../support/catalog.ts';
import { tool } from '../../support/model.ts';

interface Answer {
  readonly tools: readonly {
    name: string;
    inputSchema: unknown;
    outputSchema?: unknown;
    annotations?: unknown;
  }[];
  readonly total: number;
  readonly more: readonly string[];
  readonly servers?: readonly { name: string; tools: number }[];
}

const spell = (entry: CatalogItem<Tool>): string => entry.portable;
const services = catalogOf(realServers());
const index = new ToolIndex();
allAtOnce(index.sync(services));
const everything = new Set(services.flatMap(({ tools }) => tools));

function find(query: string, more: Partial<FindInput> & { server?: string; limit?: number } = {}): Answer {
  const { server, limit, ...input } = more;
  const asked = findToolsArguments.parse({
    query,
    ...(server === undefined ? {} : { server }),
    ...(limit === undefined ? {} : { limit }),
  });
  return JSON.parse(
    findToolsJson({ index, permitted: everything, arguments: asked, ...input }, spell),
  ) as Answer;
}

describe('find_tools', () => {
  it('gives the best five whole, the next ten by name, and how many there are', () => {
    const { tools, more, total } = find('create an issue');
    expect(tools).toHaveLength(5);
    expect(more).toHaveLength(10);
    expect(total).toBeGreaterThan(15);
    for (const { name, inputSchema } of tools) {
      expect(name).toMatch(/^[\w-]+__[\w-]+$/);
      expect(inputSchema).toMatchObject({ type: 'object' });
    }
    expect(new Set([...tools.map(({ name }) => name), ...more]).size).toBe(15);
  });

  it('shows what a tool says of itself, but no output schema: call_tool promises none', () => {
    const shop = catalogService('shop', [
      tool('refund', {
        description: 'Refunds',
        annotations: { destructiveHint: true },
        inputSchema: {
          type: 'object',
          $comment: 'x',
          properties: { id: { title: 'Id', type: 'integer', maximum: 9 } },
        },
        outputSchema: { type: 'object' },
        _meta: { secret: 1 },
      }),
    ]);
    const own = new ToolIndex();
    allAtOnce(own.sync([shop]));
    expect(find('refund', { index: own, permitted: new Set(shop.tools) }).tools).toEqual([
      {
        name: 'shop__refund',
        description: 'Refunds',
        annotations: { destructiveHint: true },
        inputSchema: { type: 'object', properties: { id: { type: 'integer', maximum: 9 } } },
      },
    ]);
  });

  it('stays within one server when asked to, by any case', () => {
    const { tools, more, total } = find('create issue', { server: ' GitLab ' });
    expect([...tools.map(({ name }) => name), ...more].every((name) => name.startsWith('gitlab__'))).toBe(
      true,
    );
    expect(total).toBeLessThanOrEqual(201);
  });

  it('says which servers there are where nothing is found, and only permitted ones', () => {
    const some = services.filter(({ name }) => ['slack', 'git'].includes(name));
    const permitted = new Set(some.flatMap(({ tools }) => tools));
    const expected = {
      tools: [],
      total: 0,
      more: [],
      servers: [
        { name: 'git', tools: 12 },
        { name: 'slack', tools: 8 },
      ],
    };
    expect(find('xylophone', { permitted })).toEqual(expected);
    expect(find('create issue', { permitted, server: 'github' })).toEqual(expected);
  });

  it('keeps a denied tool out of the results, the names, the number and the suggestions', () => {
    const permitted = new Set([...everything].filter(({ service }) => service !== 'github'));
    const { tools, more, total } = find('create a github issue', { permitted, limit: 20 });
    expect(JSON.stringify([tools, more])).not.toContain('github__');
    expect(total).toBeLessThan(find('create a github issue', { limit: 20 }).total);
    expect(nearestNames(index, permitted, 'github__create_isue', spell).join(' ')).not.toContain('github__');
    expect(nearestNames(index, everything, 'github__create_isue', spell)).toContain('github__create_issue');
  });

  it('suggests at most three names, and none where nothing is near', () => {
    expect(nearestNames(index, everything, 'slack_post', spell).length).toBeLessThanOrEqual(3);
    expect(nearestNames(index, everything, 'slack_postmessage', spell)).toContain(
      'slack__slack_post_message',
    );
    expect(nearestNames(index, everything, '§§', spell)).toEqual([]);
  });

  it('answers with one text and the same as a value', () => {
    const json = '{"tools":[],"total":0,"more":[]}';
    const result = JSON.parse(metaResult(json)) as {
      content: [{ type: string; text: string }];
      structuredContent: unknown;
    };
    expect(JSON.parse(result.content[0].text)).toEqual(result.structuredContent);
  });
});

describe('arguments of the meta-tools', () => {
  it.each([
    [{ query: 'x' }, 5],
    [{ query: 'x', limit: 50 }, 20],
    [{ query: 'x', limit: 0 }, 1],
    [{ query: 'x', limit: '7' }, 7],
    [{ query: 'x', limit: 'many' }, 5],
    [{ query: 'x', limit: null }, 1],
  ])('mends a limit: %j', (asked, limit) => {
    expect(findToolsArguments.parse(asked).limit).toBe(limit);
  });

  it('refuses what can mean nothing', () => {
    expect(findToolsArguments.safeParse({}).success).toBe(false);
    expect(findToolsArguments.safeParse({ query: 'x'.repeat(1001) }).success).toBe(false);
    expect(readResultArguments.safeParse({ id: 'a', offset: -1 }).success).toBe(false);
    expect(readResultArguments.parse({ id: 'a' })).toEqual({ id: 'a', offset: 0 });
  });
});

describe('definitions of the meta-tools', () => {
  it.each(metaToolNames)('%s is a good tool in both eras', (name) => {
    const parsed = LegacyTool.parse(JSON.parse(metaToolJson(name)));
    expect(parsed.name).toBe(name);
    expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
    expect(isMetaTool(name)).toBe(true);
    expect(isMetaTool(`github__${name}`)).toBe(false);
  });

  it('leaves call_tool without hints, so that it is taken for the worst behind it', () => {
    expect(JSON.parse(metaToolJson('call_tool'))).not.toHaveProperty('annotations');
    expect(JSON.parse(metaToolJson('call_read_tool'))).toMatchObject({ annotations: { readOnlyHint: true } });
    expect(JSON.parse(metaToolJson('find_tools'))).toMatchObject({
      annotations: { readOnlyHint: true, openWorldHint: false },
    });
  });

  it('cost less than 300 tokens in any list, all together', () => {
    expect(encode(metaToolNames.map(metaToolJson).join(',')).length).toBeLessThan(300);
  });
});
