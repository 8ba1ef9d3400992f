import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startBackend, type Backend } from '../support/backend.ts';
import { findBrowser, startBrowser } from '../support/browser.ts';
import {
  deregisterService,
  registerService,
  setCheck,
  setMaintenance,
  startConsul,
  type ConsulAgent,
} from '../support/consul.ts';
import { openDashboard } from '../support/dashboard-page.ts';
import { eventually } from '../support/eventually.ts';
import { startProgram, type Program } from '../support/program.ts';

const found = findBrowser((line) => console.log(line));

describe('the dashboard of the built program before a real Consul', () => {
  let consul: ConsulAgent;
  let backend: Backend;
  let program: Program;
  let admin = '';

  beforeAll(async () => {
    consul = await startConsul();
    backend = await startBackend();
    program = startProgram(['serve', '--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'], {
      CONSUL_HTTP_ADDR: consul.httpAddr,
    });
    const started = await eventually(() =>
      program.logs().find(({ message }) => message === 'router started'),
    );
    admin = `http://${String(started['admin'])}/`;
  });
  afterAll(async () => {
    program.signal('SIGTERM');
    await program.ended;
    await backend.stop();
    await consul.stop();
  });

  it('is served with a policy that allows nothing inline and nothing from elsewhere', async () => {
    const response = await fetch(admin);
    expect(response.status).toBe(200);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe');
    expect(policy).not.toContain('http');
    const page = await response.text();
    expect(page).not.toMatch(/<script(?![^>]*src=)|<style|style=|https?:\/\//);
  });

  it.skipIf(found.kind === 'missing')('follows what happens in Consul, without a reload', async () => {
    const browser: Browser = await startBrowser(found.kind === 'found' ? found.path : '');
    try {
      const { page, wrongs } = await openDashboard(browser, admin);
      const row = page.getByRole('row').filter({ hasText: 'weather' });
      await page.getByRole('heading', { name: 'Consul has no MCP server yet' }).waitFor();
      await registerService(consul, { name: 'weather', id: 'weather-1', port: backend.port });
      await row.getByText('1 of 1').waitFor();
      await registerService(consul, { name: 'weather', id: 'weather-2', port: backend.port });
      await row.getByText('2 of 2').waitFor();
      await setCheck(consul, 'weather-2', 'fail');
      await row.getByText('1 of 2').waitFor();
      await setMaintenance(consul, 'weather-1', true);
      await row.getByText('1 in maintenance').waitFor();
      await row.getByText('0 of 2').waitFor();
      await deregisterService(consul, 'weather-1');
      await deregisterService(consul, 'weather-2');
      await page.getByRole('heading', { name: 'Consul has no MCP server yet' }).waitFor();
      expect(wrongs).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
