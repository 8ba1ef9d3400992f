import { expect, it } from 'vitest';
import { runProgram } from '../support/program.ts';

it('the demo tells its whole story with a real Consul and real servers, and leaves nothing running', async () => {
  const { status, output } = await runProgram(['demo', '--exit']);
  expect(output).toMatch(/registered → listed \d+ ms → first call answered \d+ ms/);
  expect(output).toMatch(/32 calls at once, right after: all answered, now by everything-[12]/);
  expect(output).toMatch(/the running call finished at everything-\d/);
  expect(output).toContain('nothing is left running');
  expect(status).toBe(0);
}, 180_000);
