import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newApiKey } from '../../../src/policy/inbound/api-keys.ts';
import { simpleTool, startBackend, type Backend } from '../../support/backend.ts';
import { ask, bearer, only, type Caller } from '../../support/caller.ts';
import { eventually } from '../../support/eventually.ts';
import type { Answer } from '../../support/mcp-client.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

const keys = { ann: newApiKey(), bob: newApiKey() };
const [ann, bob] = [bearer(keys.ann.key), bearer(keys.bob.key)];
const eras = ['legacy', 'modern'] as const;

let folder: string;
let router: HandRouter;
let backends: readonly Backend[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'denied-tools-'));
  writeFileSync(
    join(folder, 'keys.yaml'),
    `keys: [{ name: ann, sha256: ${keys.ann.sha256} }, { name: bob, sha256: ${keys.bob.sha256} }]`,
  );
  writeFileSync(
    join(folder, 'policy.yaml'),
    `
rules:
  - { name: ann may all, effect: allow, who: { keys: ann } }
  - { name: bob may read invoices, effect: allow, who: { keys: bob }, what: { tools: [shop.read_invoice, shop.list_orders] } }
  - name: bob may pay a little
    effect: allow
    who: { keys: bob }
    what: { tools: shop.pay_invoice }
    when: args.amount < 10
`,
  );
  backends = await Promise.all([
    startBackend({
      tools: ['read_invoice', 'delete_invoice', 'list_orders', 'pay_invoice'].map((name) => simpleTool(name)),
    }),
    startBackend({ tools: [simpleTool('wipe_ledger')] }),
  ]);
  router = await startHandRouter({
    keysFile: join(folder, 'keys.yaml'),
    policyFile: join(folder, 'policy.yaml'),
    toolsPinned: 'shop.*',
  });
  const [shop, books] = backends;
  router.register(
    registered('shop', [['s', shop?.port ?? 0]]),
    registered('books', [['b', books?.port ?? 0]]),
  );
  await eventually(async () => {
    const list = await ask('modern', ann, `${router.url}/mcp?tools=full`, 'tools/list');
    return list.text.includes('books__wipe_ledger') && list.text.includes('shop__pay_invoice');
  });
});
afterAll(async () => {
  await router.stop();
  await Promise.all(backends.map((backend) => backend.stop()));
  rmSync(folder, { recursive: true, force: true });
});

const call = (era: 'legacy' | 'modern', who: Caller, name: string, args: unknown): Promise<Answer> =>
  ask(era, who, `${router.url}/mcp?tools=search`, 'tools/call', { name, arguments: args });

describe.each(eras)('what the rules deny (%s)', (era) => {
  it('is in no search result, nor in its numbers, nor among the servers', async () => {
    const asked = { query: 'delete invoice wipe ledger' };
    const [all, few] = [await call(era, ann, 'find_tools', asked), await call(era, bob, 'find_tools', asked)];
    expect(all.text).toContain('shop__delete_invoice');
    expect(all.text).toContain('books__wipe_ledger');
    expect(few.text).toContain('shop__read_invoice');
    expect(few.text).not.toMatch(/delete_invoice|ledger|books/);
    const found = only(few).result?.['structuredContent'] as { total: number };
    expect(found.total).toBe(2);
    const nothing = await call(era, bob, 'find_tools', { query: 'ledger' });
    expect(only(nothing).result?.['structuredContent']).toEqual({
      tools: [],
      total: 0,
      more: [],
      servers: [{ name: 'shop', tools: 3 }],
    });
  });

  it('is not listed, also where it is pinned', async () => {
    const list = await ask(era, bob, `${router.url}/mcp?tools=search`, 'tools/list');
    const { tools } = only(list).result as { tools: { name: string }[] };
    expect(tools.map(({ name }) => name)).toEqual([
      'find_tools',
      'call_tool',
      'shop__list_orders',
      'shop__pay_invoice',
      'shop__read_invoice',
    ]);
  });

  it('is called by nobody, and looks like what is not there', async () => {
    const executed = (): number => backends.reduce((sum, one) => sum + one.count('tools/call'), 0);
    const before = executed();
    for (const [denied, missing] of [
      ['shop__delete_invoice', 'shop__delete_invoicf'],
      ['books__wipe_ledger', 'books__wipe_ledgex'],
      ['books.wipe_ledger', 'books.wipe_ledgex'],
    ] as const) {
      const one = await call(era, bob, 'call_tool', { name: denied, arguments: {} });
      const other = await call(era, bob, 'call_tool', { name: missing, arguments: {} });
      expect(one.text).not.toMatch(/Did you mean.*(?:delete_invoice|ledger)/);
      expect(one.text.replaceAll(denied, 'X')).toBe(other.text.replaceAll(missing, 'X'));
      expect(one.status).toBe(other.status);
    }
    expect(executed()).toBe(before);
  });

  it('counts by the arguments of the target, not by those of call_tool', async () => {
    const little = { name: 'shop__pay_invoice', arguments: { amount: 5 } };
    const much = { name: 'shop__pay_invoice', arguments: { amount: 50 } };
    expect((await call(era, bob, 'call_tool', little)).text).toContain('pay_invoice by');
    expect(only(await call(era, bob, 'call_tool', much)).error?.data?.['code']).toBe('NOT_ALLOWED');
    const twice = '{"amount":5,"amount":50}';
    const tricked = await call(era, bob, 'call_tool', { name: 'shop__pay_invoice', arguments: twice });
    expect(tricked.text).not.toContain('pay_invoice by');
  });
});
