import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../../support/backend.ts';
import { findBrowser, startBrowser } from '../../support/browser.ts';
import { openDashboard } from '../../support/dashboard-page.ts';
import { eventually } from '../../support/eventually.ts';
import { registered, startHandRouter, type HandRouter } from '../../support/router.ts';

const SERVICES = 1000;
const TOOLS = 10;
const MAX_FIRST_VIEW = 150 * 1024;

const found = findBrowser((line) => console.log(line));

describe.skipIf(found.kind === 'missing')('the dashboard of 1 000 services with 10 000 tools', () => {
  let browser: Browser;
  let router: HandRouter;
  let backend: Backend;

  const services = (count: number) =>
    Array.from({ length: count }, (_, n) =>
      registered(`service-${String(n).padStart(4, '0')}`, [['a', backend.port]]),
    );

  beforeAll(async () => {
    browser = await startBrowser(found.kind === 'found' ? found.path : '');
    backend = await startBackend({
      sessionless: true,
      tools: Array.from({ length: TOOLS }, (_, n) => ({
        name: `tool_${n}`,
        description: `Does the thing of number ${n}, with care and as often as wanted.`,
        inputSchema: { type: 'object', properties: { message: { type: 'string' } } },
      })),
    });
    router = await startHandRouter({ probeConcurrency: 64, logLevel: 'error' });
    router.register(...services(SERVICES));
    await eventually(
      async () => {
        const response = await fetch(`${router.adminUrl}/api/v1/catalog/entries`);
        const { services: known } = (await response.json()) as { services: Record<string, unknown[]> };
        return Object.keys(known).length === SERVICES;
      },
      { withinMs: 90_000, everyMs: 500 },
    );
  });
  afterAll(async () => {
    await browser.close();
    await router.stop();
    await backend.stop();
  });

  it('needs at most 150 kB over the network for its first view, and draws only what is in sight', async () => {
    const dashboard = await openDashboard(browser, `${router.adminUrl}/`);
    const { page } = dashboard;
    await page.getByRole('row').filter({ hasText: 'service-0000' }).waitFor();
    const rows = page.getByRole('table', { name: 'Services' });
    expect(await rows.getAttribute('aria-rowcount')).toBe(String(SERVICES + 1));
    expect(await page.getByRole('row').count()).toBeLessThan(60);
    expect(dashboard.received()).toBeGreaterThan(10_000);
    expect(dashboard.received()).toBeLessThanOrEqual(MAX_FIRST_VIEW);

    await page.getByRole('link', { name: 'Catalog' }).click();
    const catalog = page.getByRole('table', { name: 'Catalog' });
    await catalog.getByText('service-0000__tool_0').waitFor();
    expect(await catalog.getAttribute('aria-rowcount')).toBe(String(SERVICES * TOOLS + 1));
    expect(await page.getByRole('row').count()).toBeLessThan(60);
    await page.getByRole('searchbox').fill('0777 tool_3');
    await catalog.getByText('service-0777__tool_3').waitFor();
    expect(await catalog.getAttribute('aria-rowcount')).toBe('2');
    expect(dashboard.wrongs).toEqual([]);
    await dashboard.close();
  });

  it('is told of one change alone, not of everything again', async () => {
    const dashboard = await openDashboard(browser, `${router.adminUrl}/`);
    const { page } = dashboard;
    await page.getByRole('row').filter({ hasText: 'service-0000' }).waitFor();
    await eventually(() => dashboard.received() > 10_000);
    const before = dashboard.received();
    router.register(...services(SERVICES), registered('a-newcomer', [['a', backend.port]]));
    await page.getByRole('row').filter({ hasText: 'a-newcomer' }).getByText('1 of 1').waitFor();
    expect(dashboard.received() - before).toBeLessThan(before / 4);
    await dashboard.close();
  });
});
