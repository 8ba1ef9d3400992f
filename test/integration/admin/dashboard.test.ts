import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Browser, Locator } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RegisteredService } from '../../../src/model.ts';
import { startBackend, type Backend } from '../../support/backend.ts';
import { findBrowser, startBrowser } from '../../support/browser.ts';
import { accessibilityProblems, openDashboard, type DashboardPage } from '../../support/dashboard-page.ts';
import { at, registered, startHandRouter, type HandRouter } from '../../support/router.ts';

const found = findBrowser((line) => console.log(line));
if (found.kind === 'missing') console.warn(`The dashboard is not tested: ${found.why}`);

/** What is looked for can be seen, sooner or later. */
function shows(locator: Locator): Promise<void> {
  return locator.waitFor();
}

async function connectClient(url: string): Promise<Client> {
  const client = new Client({ name: 'tester', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

describe.skipIf(found.kind === 'missing')('the dashboard in a real Chromium', () => {
  let browser: Browser;
  let router: HandRouter;
  let dashboard: DashboardPage | undefined;
  const backends: Backend[] = [];

  beforeAll(async () => {
    browser = await startBrowser(found.kind === 'found' ? found.path : '');
  });
  afterAll(() => browser.close());

  beforeEach(async () => {
    router = await startHandRouter();
  });
  afterEach(async () => {
    const { wrongs = [] } = dashboard ?? {};
    await dashboard?.close();
    dashboard = undefined;
    await router.stop();
    await Promise.all(backends.splice(0).map((backend) => backend.stop()));
    // Nothing is loaded from elsewhere, nothing breaks the page's policy, no script fails.
    if (wrongs.length > 0) throw new Error(wrongs.join('\n'));
  });

  async function backend(tools?: unknown[]): Promise<Backend> {
    const one = await startBackend(tools ? { tools } : {});
    backends.push(one);
    return one;
  }

  async function open(path = '', options: Parameters<typeof openDashboard>[2] = {}) {
    dashboard = await openDashboard(browser, `${router.adminUrl}/`, options);
    if (path !== '') await dashboard.page.goto(`${router.adminUrl}/#/${path}`);
    return dashboard.page;
  }

  const row = (text: string) => ({ role: 'row', text }) as const;
  const rowOf = (page: DashboardPage['page'], { role, text }: ReturnType<typeof row>) =>
    page.getByRole(role).filter({ hasText: text });

  it('teaches what to do while Consul has no MCP server, and shows the first one without a reload', async () => {
    const page = await open();
    await shows(page.getByRole('heading', { name: 'Waiting for Consul' }));
    router.register();
    await shows(page.getByRole('heading', { name: 'Consul has no MCP server yet' }));
    const one = await backend();
    router.register(registered('weather', [['weather-1', one.port]]));
    await shows(rowOf(page, row('weather')).getByText('1 of 1'));
  });

  it('follows every change in the order in which it happens: joined, critical, recovered, gone', async () => {
    const [one, two] = [await backend(), await backend()];
    const both = (state: 'passing' | 'critical'): RegisteredService =>
      registered('weather', [['a', one.port], at('weather', 'b', two.port, { state })]);
    router.register(registered('weather', [['a', one.port]]));
    const page = await open();
    await shows(rowOf(page, row('weather')).getByText('1 of 1'));
    router.register(both('passing'));
    await shows(rowOf(page, row('weather')).getByText('2 of 2'));
    router.register(both('critical'));
    await shows(rowOf(page, row('weather')).getByText('1 of 2'));
    router.register(both('passing'));
    await shows(rowOf(page, row('weather')).getByText('2 of 2'));
    router.register();
    await shows(page.getByRole('heading', { name: 'Consul has no MCP server yet' }));

    await page.getByRole('link', { name: 'Timeline' }).click();
    const story = (await page.getByRole('listitem').allTextContents()).filter((text) =>
      text.includes('weather'),
    );
    const told = ['appeared', 'joined', 'turned critical', 'passing again', 'left Consul'];
    const places = told.map((word) => story.findIndex((text) => text.includes(word)));
    expect(places).not.toContain(-1);
    // Newest first.
    expect(places).toEqual([...places].sort((a, b) => b - a));
  });

  it('says of each instance whether it takes calls, and why not', async () => {
    const one = await backend();
    router.register(
      registered('weather', [
        ['good', one.port],
        at('weather', 'ill', one.port, {
          state: 'critical',
          checks: [
            { id: 'c', name: 'ping', status: 'critical', output: 'connection refused', ofNode: false },
          ],
        }),
        ['away', 1],
      ]),
    );
    const page = await open('services/weather');
    await shows(page.getByRole('article', { name: 'good' }).getByText('takes calls'));
    const ill = page.getByRole('article', { name: 'ill' });
    await shows(ill.getByText('takes no calls'));
    await shows(ill.getByText('Check “ping” is critical: connection refused'));
    await shows(page.getByRole('article', { name: 'away' }).getByText(/cannot|could not|refused|reach/i));
  });

  it('finds tools by words of names and descriptions and shows the definition that clients get', async () => {
    const one = await backend([
      {
        name: 'forecast',
        description: 'Tells whether to take an umbrella.',
        inputSchema: { type: 'object', properties: { city: { type: 'string' } } },
        annotations: { readOnlyHint: true },
        'x-vendor': { kept: 12 },
      },
      { name: 'other', inputSchema: { type: 'object' } },
    ]);
    router.register(registered('weather', [['a', one.port]]));
    const page = await open('catalog');
    await shows(rowOf(page, row('weather__other')));
    await page.keyboard.press('/');
    await page.keyboard.type('umbrella');
    await rowOf(page, row('weather__other')).waitFor({ state: 'detached' });
    await page.getByRole('link', { name: 'weather__forecast' }).click();
    const shown = JSON.parse(
      (await page.getByLabel('Definition', { exact: true }).textContent()) ?? '',
    ) as unknown;
    const client = await connectClient(`${router.url}/mcp`);
    const { tools } = await client.listTools();
    await client.close();
    const listed = tools.find((tool) => tool.name === 'weather__forecast');
    expect(shown).toMatchObject(listed ?? {});
    expect(shown).toMatchObject({ name: 'weather__forecast', 'x-vendor': { kept: 12 } });
  });

  it('takes a change of tools into the catalog while it is looked at', async () => {
    const one = await backend();
    router.register(registered('weather', [['a', one.port]]));
    const page = await open('catalog');
    await shows(rowOf(page, row('weather__echo')));
    one.tools = [...one.tools, { name: 'brandnew', inputSchema: { type: 'object' } }];
    one.notify({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await shows(rowOf(page, row('weather__brandnew')));
    router.register(registered('other', [['a', one.port]]));
    await shows(rowOf(page, row('other__brandnew')));
    await rowOf(page, row('weather__brandnew')).waitFor({ state: 'detached' });
  });

  it('has ready settings for each client, for all services and for one', async () => {
    const one = await backend();
    router.register(registered('weather', [['a', one.port]]));
    const page = await open('connect');
    await shows(page.getByText(`claude mcp add --transport http consul ${router.url}/mcp`));
    await page.getByLabel('Endpoint for').selectOption('weather');
    await page.getByRole('button', { name: 'Cursor', exact: true }).click();
    const link = await page.getByRole('link', { name: 'Add to Cursor' }).getAttribute('href');
    const config = new URL(link ?? '').searchParams.get('config') ?? '';
    expect(JSON.parse(atob(config))).toEqual({ url: `${router.url}/services/weather/mcp` });
    await page.getByRole('button', { name: 'VS Code', exact: true }).click();
    const code = (await page.getByRole('link', { name: 'Add to VS Code' }).getAttribute('href')) ?? '';
    expect(JSON.parse(decodeURIComponent(code.replace('vscode:mcp/install?', '')))).toEqual({
      name: 'weather',
      type: 'http',
      url: `${router.url}/services/weather/mcp`,
    });
    for (const client of ['Claude Desktop', 'Windsurf', 'Codex', 'Any other']) {
      await page.getByRole('button', { name: client, exact: true }).click();
      await shows(
        page.getByLabel(`For ${client}`, { exact: true }).getByText(`${router.url}/services/weather/mcp`),
      );
    }
    await page.getByRole('button', { name: 'Copy: URL' }).click();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(`${router.url}/services/weather/mcp`);
  });

  it('shows calls as they end, keeps them apart by a filter, and says what failed', async () => {
    const one = await backend();
    router.register(registered('weather', [['a', one.port]]));
    const page = await open('requests');
    await shows(page.getByRole('heading', { name: 'No call has ended yet' }));
    await page.getByRole('link', { name: 'Services', exact: true }).click();
    await shows(rowOf(page, row('weather')).getByText('1 of 1'));
    const client = await connectClient(`${router.url}/mcp`);
    await client.callTool({ name: 'weather__echo', arguments: {} });
    one.on['tools/call'] = ({ response }) => void response.destroy();
    await client.callTool({ name: 'weather__write', arguments: {} }).catch(() => undefined);
    await page.getByRole('link', { name: 'Requests' }).click();
    await shows(rowOf(page, row('weather.echo')).getByText(/^● ok$/));
    await shows(rowOf(page, row('weather.write')).getByText('BACKEND_FAILED'));
    await page.getByRole('button', { name: 'Not ok' }).click();
    await rowOf(page, row('weather.echo')).waitFor({ state: 'detached' });
    await rowOf(page, row('weather.write')).getByRole('link').click();
    const call = page.getByRole('region', { name: 'The chosen call' });
    await shows(call.getByText('tools/call'));
    expect(await call.textContent()).toMatch(/may have been executed|broke off/i);

    await page.getByRole('link', { name: 'Sessions' }).click();
    await shows(page.getByRole('row').filter({ hasText: 'weather: a' }));
    await client.close();
  });

  it('calls a tool from a form made of its schema, the way of every call', async () => {
    const one = await backend([
      {
        name: 'order',
        inputSchema: {
          type: 'object',
          properties: {
            dish: { type: 'string', enum: ['soup', 'pie'] },
            guests: { type: 'integer', minimum: 1 },
            outside: { type: 'boolean' },
            address: { type: 'object', properties: { street: { type: 'string' } } },
            wishes: { type: 'array', items: { type: 'string' } },
          },
          required: ['dish', 'guests'],
        },
      },
    ]);
    router.register(registered('inn', [['a', one.port]]));
    const page = await open('catalog/tools/inn.order');
    await page.getByRole('button', { name: 'Call', exact: true }).click();
    await shows(page.getByRole('alert').getByText('dish is needed.'));
    await page.getByLabel('dish').selectOption('pie');
    await page.getByLabel('guests').fill('2');
    await page.getByLabel('outside').selectOption('yes');
    await page.getByLabel('street').fill('Quay 1');
    await page.getByLabel('wishes').fill('["salt"');
    await page.getByRole('button', { name: 'Call', exact: true }).click();
    await shows(page.getByRole('alert').getByText('must be JSON'));
    await page.getByLabel('wishes').fill('["salt"]');
    await page.getByRole('button', { name: 'Call', exact: true }).click();
    await shows(page.getByLabel('Text', { exact: true }).getByText(`order by ${one.port}`));
    const sent = one.received.findLast(({ method }) => method === 'tools/call');
    expect(sent?.params).toMatchObject({
      name: 'order',
      arguments: { dish: 'pie', guests: 2, outside: true, address: { street: 'Quay 1' }, wishes: ['salt'] },
    });
    await page.getByRole('link', { name: 'Requests' }).click();
    await shows(rowOf(page, row('inn.order')).getByText('mcp-consul-router dashboard'));
  });

  it('can be worked with by keyboard alone', async () => {
    const one = await backend();
    router.register(
      ...Array.from({ length: 300 }, (_, n) =>
        registered(`service-${String(n).padStart(3, '0')}`, [['a', one.port]]),
      ),
    );
    const page = await open();
    await shows(rowOf(page, row('service-000')));
    await page.getByRole('link', { name: 'service-000' }).focus();
    await page.keyboard.press('End');
    await shows(page.locator(':focus', { hasText: 'service-299' }));
    await page.keyboard.press('ArrowUp');
    await shows(page.locator(':focus', { hasText: 'service-298' }));
    await page.keyboard.press('Enter');
    await shows(page.getByRole('heading', { name: 'service-298' }));
  });

  it('asks for the admin token where there is one, and shows nothing without it', async () => {
    await router.stop();
    router = await startHandRouter({ adminToken: 'let-me-in' });
    router.register();
    const page = await open();
    await page.getByLabel('Admin token').fill('wrong');
    await page.getByRole('button', { name: 'Unlock' }).click();
    await shows(page.getByRole('heading', { name: 'Locked' }));
    await page.getByLabel('Admin token').fill('let-me-in');
    await page.getByRole('button', { name: 'Unlock' }).click();
    await shows(page.getByRole('heading', { name: 'Consul has no MCP server yet' }));
  });

  it('says that what it shows is old while the router is away, and is right again when it is back', async () => {
    const one = await backend();
    router.register(registered('weather', [['a', one.port]]));
    const page = await open();
    await shows(rowOf(page, row('weather')));
    const port = Number(new URL(router.adminUrl).port);
    await router.stop();
    await shows(page.getByRole('status').getByText('what is shown is old'));
    router = await startHandRouter({ adminListen: `127.0.0.1:${port}` });
    router.register(registered('other', [['a', one.port]]));
    await shows(rowOf(page, row('other')));
    await rowOf(page, row('weather')).waitFor({ state: 'detached' });
  });

  describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
    const views = [
      'services',
      'services/weather',
      'catalog',
      'catalog/tools/weather.forecast',
      'requests',
      'sessions',
      'timeline',
      'connect',
    ];

    it('has no accessibility problem that axe knows, in any view, full or empty', async () => {
      const one = await backend([
        {
          name: 'forecast',
          description: 'Tells whether to take an umbrella.',
          inputSchema: { type: 'object', properties: { city: { type: 'string', description: 'Where' } } },
        },
      ]);
      router.register();
      const page = await open('', { colorScheme });
      await shows(page.getByRole('heading', { name: 'Consul has no MCP server yet' }));
      for (const view of ['services', 'requests', 'sessions']) {
        await page.goto(`${router.adminUrl}/#/${view}`);
        await shows(page.getByRole('heading', { level: 2 }).first());
        expect({ view, problems: await accessibilityProblems(page) }).toEqual({ view, problems: [] });
      }
      router.register(registered('weather', [['a', one.port], at('weather', 'b', 1, { state: 'critical' })]));
      await page.goto(`${router.adminUrl}/#/services`);
      await shows(rowOf(page, row('weather')).getByText('1 of 2'));
      const client = await connectClient(`${router.url}/mcp`);
      await client.callTool({ name: 'weather__forecast', arguments: {} });
      for (const view of views) {
        await page.goto(`${router.adminUrl}/#/${view}`);
        await shows(page.getByRole('heading', { level: 1 }));
        await shows(
          page
            .getByRole('main')
            .getByText(/weather|claude mcp add/)
            .filter({ visible: true })
            .first(),
        );
        expect({ view, problems: await accessibilityProblems(page) }).toEqual({ view, problems: [] });
      }
      await client.close();
    });
  });
});
