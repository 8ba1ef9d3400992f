import { createRequire } from 'node:module';
import type { BrowserContext, Browser, Page } from 'playwright-core';

/** A page of the dashboard, with everything that it must not do. */
export interface DashboardPage {
  readonly page: Page;
  /** Errors of scripts, refusals by the page's policy, requests to elsewhere. Must stay empty. */
  readonly wrongs: string[];
  /** Bytes that came over the network. */
  readonly received: () => number;
  close(): Promise<void>;
}

const WAIT_MS = 12_000;
const axeFile = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

export async function openDashboard(
  browser: Browser,
  url: string,
  options: {
    readonly colorScheme?: 'light' | 'dark';
    readonly width?: number;
    readonly height?: number;
  } = {},
): Promise<DashboardPage> {
  const context: BrowserContext = await browser.newContext({
    colorScheme: options.colorScheme ?? 'light',
    viewport: { width: options.width ?? 1280, height: options.height ?? 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  const page = await context.newPage();
  // Below a test's own limit, so that it is said what was waited for.
  page.setDefaultTimeout(WAIT_MS);
  const wrongs: string[] = [];
  let received = 0;
  const network = await context.newCDPSession(page);
  await network.send('Network.enable');
  network.on('Network.dataReceived', ({ encodedDataLength }) => (received += encodedDataLength));
  page.on('pageerror', (error) => wrongs.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // The browser itself logs every answer that is no 2xx; those are tests' own doing.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      wrongs.push(`console: ${message.text()}`);
    }
  });
  page.on('request', (request) => {
    const elsewhere = !request.url().startsWith(url) && !request.url().startsWith('data:');
    if (elsewhere) wrongs.push(`request: ${request.url()}`);
  });
  await page.goto(url);
  return { page, wrongs, received: () => received, close: () => context.close() };
}

/** What axe finds wrong on the page as it is, one line each; its rules for WCAG 2.2 AA and good practice. */
export async function accessibilityProblems(page: Page): Promise<readonly string[]> {
  // Through the debugger, which the page's policy does not bind.
  await page.evaluate(await axeSource());
  const found: unknown = await page.evaluate('axe.run(document).then((run) => run.violations)');
  return (found as { id: string; nodes: { html: string; failureSummary: string }[] }[]).flatMap(
    ({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
  );
}

let source: Promise<string> | undefined;
function axeSource(): Promise<string> {
  source ??= import('node:fs/promises').then(({ readFile }) => readFile(axeFile, 'utf8'));
  return source;
}
