import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildCatalog, type ShownService } from '../../../src/catalog/build.ts';
import type { Catalog } from '../../../src/model.ts';
import { definition, item, service, tool } from '../../support/model.ts';

const shown = (name: string, tools: readonly string[], more: Partial<ShownService> = {}): ShownService => ({
  name: service(name),
  namespace: name,
  toolsAllow: [],
  toolsDeny: [],
  definition: definition(tools.map((key) => tool(key))),
  ...more,
});

const names = (catalog: Catalog, of?: string): string[] =>
  catalog.services
    .filter((entry) => of === undefined || entry.name === of)
    .flatMap((entry) => entry.tools.map((listed) => listed.portable));

describe('buildCatalog', () => {
  it('lists every tool under its namespace, services and tools sorted', () => {
    const catalog = buildCatalog([shown('web', ['b', 'a']), shown('db', ['query'])]);
    expect(names(catalog)).toEqual(['db__query', 'web__a', 'web__b']);
    expect(catalog.tools.get('web.a')).toBe(catalog.tools.get('web__a'));
    expect(catalog.tools.get('web__a')).toMatchObject({ service: 'web', item: { key: 'a' } });
    expect(catalog.tools.get('a')).toBeUndefined();
    expect(catalog.problems.size).toBe(0);
  });

  it('keeps tools and prompts of the same name apart', () => {
    const both = definition([tool('fetch')], { prompts: [item('fetch')] });
    const catalog = buildCatalog([shown('web', [], { definition: both })]);
    expect(catalog.tools.get('web__fetch')?.item).toBe(both.tools[0]);
    expect(catalog.prompts.get('web__fetch')?.item).toBe(both.prompts[0]);
  });

  it('shows only what mcp-tools-allow and -deny let through', () => {
    const tools = ['read_file', 'write_file', 'read_dir', 'admin'];
    expect(names(buildCatalog([shown('fs', tools, { toolsAllow: ['read_*'] })]))).toEqual([
      'fs__read_dir',
      'fs__read_file',
    ]);
    expect(names(buildCatalog([shown('fs', tools, { toolsDeny: ['*_file', 'admi?'] })]))).toEqual([
      'fs__read_dir',
    ]);
    expect(names(buildCatalog([shown('fs', tools, { toolsAllow: ['*'], toolsDeny: ['*'] })]))).toEqual([]);
  });

  describe('two claims on one name', () => {
    const own = shown('github', ['search']);
    const borrowed = shown('a-fork', ['search', 'extra'], { namespace: 'github' });

    it('goes to the service that bears the name, not to one that borrows it', () => {
      const catalog = buildCatalog([borrowed, own]);
      expect(catalog.tools.get('github__search')?.service).toBe('github');
      expect(catalog.tools.get('github.search')?.service).toBe('github');
      expect(names(catalog, 'a-fork')).toEqual([
        'github__extra',
        expect.stringMatching(/^github__search-.{8}$/),
      ]);
    });

    it('is reported at both services, with a mend', () => {
      const problems = buildCatalog([borrowed, own]).problems;
      expect(problems.get(service('a-fork'))?.[0]).toMatchObject({
        code: 'NAME_CONFLICT',
        subject: 'tools/search',
      });
      expect(problems.get(service('a-fork'))?.[0]?.message).toMatch(
        /belongs to search of service github.*mcp-namespace/,
      );
      expect(problems.get(service('github'))?.[0]?.message).toMatch(/a-fork claims the name/);
    });

    it('is undone when the other service leaves', () => {
      const before = buildCatalog([borrowed, own]);
      const after = buildCatalog([borrowed], before);
      expect(names(after)).toEqual(['github__extra', 'github__search']);
      expect(after.tools.get('github__search')?.service).toBe('a-fork');
      expect(after.problems.size).toBe(0);
      expect(names(buildCatalog([borrowed, own], after))).toEqual(names(before));
    });

    it('leads each name, old and new spelling, to the same entry that is listed', () => {
      const catalog = buildCatalog([borrowed, own]);
      for (const entry of catalog.services.flatMap((listed) => listed.tools)) {
        expect(catalog.tools.get(entry.portable)).toBe(entry);
        expect(catalog.tools.get(entry.canonical)).toBe(entry);
      }
    });
  });

  describe('structural sharing', () => {
    it('keeps a service whose content is equal, also when another instance said it', () => {
      const first = buildCatalog([shown('a', ['x']), shown('b', ['y'])]);
      const second = buildCatalog([shown('a', ['x']), shown('b', ['y', 'z'])], first);
      expect(second.services[0]).toBe(first.services[0]);
      expect(second.services[1]).not.toBe(first.services[1]);
    });

    it('keeps services in conflict, too', () => {
      const input = [shown('a', ['x'], { namespace: 'n' }), shown('b', ['x'], { namespace: 'n' })];
      const first = buildCatalog(input);
      const second = buildCatalog([...input, shown('c', [])], first);
      expect(second.services.slice(0, 2)).toEqual(first.services);
      expect(second.services[0]).toBe(first.services[0]);
      expect(second.services[1]).toBe(first.services[1]);
    });

    it('notices a changed filter or namespace', () => {
      const first = buildCatalog([shown('a', ['x', 'y'])]);
      expect(names(buildCatalog([shown('a', ['x', 'y'], { toolsDeny: ['x'] })], first))).toEqual(['a__y']);
      expect(names(buildCatalog([shown('a', ['x', 'y'], { namespace: 'n' })], first))).toEqual([
        'n__x',
        'n__y',
      ]);
    });
  });
});

describe('properties', () => {
  const word = fc.oneof(
    fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom('a', 'b', '_', '.', '-') }),
    fc.string({ minLength: 1, maxLength: 80, unit: 'grapheme' }),
  );
  const anyService = fc.record({
    name: word,
    namespace: fc.option(word, { nil: undefined }),
    tools: fc.uniqueArray(word, { maxLength: 6 }),
  });
  const fleet = fc
    .uniqueArray(anyService, { maxLength: 8, selector: (entry) => entry.name })
    .map((services) =>
      services.map(({ name, namespace, tools }) =>
        shown(name, tools, namespace === undefined ? {} : { namespace }),
      ),
    );

  it('no two tools share a public name, and each name leads to its tool', () => {
    fc.assert(
      fc.property(fleet, (services) => {
        const catalog = buildCatalog(services);
        const entries = catalog.services.flatMap((entry) => entry.tools);
        expect(entries).toHaveLength(services.reduce((sum, entry) => sum + entry.definition.tools.length, 0));
        const all = entries.flatMap((entry) => [entry.portable, entry.canonical]);
        expect(new Set(all).size).toBe(all.length);
        for (const entry of entries) {
          expect(catalog.tools.get(entry.portable)).toBe(entry);
          expect(catalog.tools.get(entry.canonical)).toBe(entry);
          expect(entry.portable).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
        }
      }),
    );
  });

  it('a name does not change when unrelated services come and go', () => {
    fc.assert(
      fc.property(fleet, fleet, (mine, others) => {
        const namespaces = new Set(mine.map((entry) => entry.namespace));
        const taken = new Set(mine.map((entry) => entry.name));
        const unrelated = others.filter(
          (entry) => !taken.has(entry.name) && !namespaces.has(entry.namespace),
        );
        const alone = buildCatalog(mine);
        const together = buildCatalog([...unrelated, ...mine], alone);
        for (const entry of mine) expect(names(together, entry.name)).toEqual(names(alone, entry.name));
        expect(names(buildCatalog(mine, together))).toEqual(names(alone));
      }),
    );
  });

  it('is the same for every replica, whatever it saw before and in whatever order', () => {
    fc.assert(
      fc.property(fleet, fleet, fc.boolean(), (services, earlier, reversed) => {
        const fresh = buildCatalog(services);
        const later = buildCatalog(reversed ? services.toReversed() : services, buildCatalog(earlier));
        expect(later.services).toEqual(fresh.services);
        expect([...later.tools.keys()].sort()).toEqual([...fresh.tools.keys()].sort());
        expect(later.problems).toEqual(fresh.problems);
      }),
    );
  });

  it('holds 10 000 tools', () => {
    const services = Array.from({ length: 1000 }, (_, s) =>
      shown(
        `service-${s}`,
        Array.from({ length: 10 }, (_, t) => `tool_${t}`),
      ),
    );
    const catalog = buildCatalog(services);
    expect(catalog.tools.size).toBe(20_000);
    const changed = [...services.slice(1), shown('service-0', ['other'])];
    const next = buildCatalog(changed, catalog);
    expect(next.services.filter((entry, at) => entry !== catalog.services[at])).toHaveLength(1);
    expect(next.tools.has('service-0__tool_0')).toBe(false);
    expect(next.tools.get('service-0__other')?.service).toBe('service-0');
  });
});
