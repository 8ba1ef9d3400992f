import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { buildStage, until } from '../src/cli/demo/stage.ts';
import { findBrowser, startBrowser } from '../test/support/browser.ts';
import { openDashboard } from '../test/support/dashboard-page.ts';
import { buildDashboard } from '../tools/build-dashboard.ts';

/** The pictures of docs/dashboard.md, of the demo's own servers: `node docs/screenshots.ts`. */
const folder = fileURLToPath(new URL('./images/', import.meta.url));
const say = (line: string): void => void process.stderr.write(`${line}\n`);

await buildDashboard(say);
const found = findBrowser(say);
if (found.kind === 'missing') throw new Error(found.why);
const stage = await buildStage(say);
const browser = await startBrowser(found.path);
try {
  for (const id of ['everything-1', 'everything-2']) {
    const { port } = await stage.startEverything();
    await stage.registerEverything('everything', id, port);
  }
  await until('everything is served', async () => {
    const body = (await stage.admin('/api/v1/services')) as { services: { name: string; healthy: number }[] };
    const healthy = new Map(body.services.map((service) => [service.name, service.healthy]));
    return healthy.get('everything') === 2 && healthy.get('files') === 1 ? true : undefined;
  });
  const client = new Client({ name: 'demo-client', version: '1' });
  await client.connect(new StreamableHTTPClientTransport(new URL(stage.url)));
  for (let n = 0; n < 12; n++) {
    await client.callTool({ name: 'everything__echo', arguments: { message: String(n) } });
    await client.callTool({ name: 'files__list_allowed_directories', arguments: {} });
  }
  await client.callTool({ name: 'files__read_text_file', arguments: { path: '/nowhere' } });
  await stage.maintenance('everything-2', true);
  const shots = [
    ['services', 'light', 'services', 'drained'],
    ['tool', 'dark', 'catalog/tools/everything.echo', 'try'],
    ['timeline', 'light', 'timeline', ''],
  ] as const;
  for (const [name, colorScheme, view, act] of shots) {
    const dashboard = await openDashboard(browser, `${stage.adminUrl}/`, {
      colorScheme,
      width: 1000,
      height: 600,
    });
    const { page } = dashboard;
    await page.goto(`${stage.adminUrl}/#/${view}`);
    await page
      .getByRole('main')
      .getByText(/everything|claude mcp/)
      .filter({ visible: true })
      .first()
      .waitFor();
    if (act === 'drained') await page.getByText('1 in maintenance').waitFor();
    if (act === 'try') {
      await page.getByLabel('message').fill('hello');
      await page.getByRole('button', { name: 'Call', exact: true }).click();
      await page.getByLabel('Text', { exact: true }).waitFor();
    }
    await page.screenshot({ path: `${folder}${name}.png` });
    await dashboard.close();
  }
  await client.close();
} finally {
  await browser.close();
  await stage.stop();
}
