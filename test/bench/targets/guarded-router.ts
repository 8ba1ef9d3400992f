import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { resolveSettings } from '../../../src/config/resolve.ts';
import { startRouter } from '../../../src/main.ts';
import { createLog } from '../../../src/observability/log.ts';
import type { RegistrySnapshot } from '../../../src/model.ts';
import { registered } from '../../support/router.ts';
import { report } from './report.ts';

/** This router as `this-router.ts`, and every call has a token, about which 100 rules are asked. */
const { privateKey, publicKey } = await generateKeyPair('ES256');
const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] });
const keys = createServer((_, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(jwks);
});
await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
const issuer = `http://127.0.0.1:${(keys.address() as AddressInfo).port}`;
const publicUrl = 'https://mcp.example.com';
const token = await new SignJWT({ groups: ['team-7', 'all'], scope: 'mcp:use', tenant: 't-1' })
  .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'at+jwt' })
  .setIssuer(issuer)
  .setSubject('ann')
  .setAudience(`${publicUrl}/mcp`)
  .setExpirationTime('1h')
  .sign(privateKey);

const rules = Array.from({ length: 99 }, (_, at) => ({
  name: `rule ${at}`,
  effect: at % 5 === 0 ? 'deny' : 'allow',
  who: at % 2 === 0 ? { groups: `team-${at % 20}` } : { claims: { tenant: `t-${at % 10}` } },
  what: { services: `service-${at % 30}`, tools: `*.tool_${at}*` },
  ...(at % 10 === 0 && { when: 'args.path.startsWith("/teams/")' }),
}));
const last = {
  name: 'said hello',
  effect: 'allow',
  what: { services: 'bench' },
  when: 'args.message == "hello"',
  scopes: ['mcp:use'],
};
const policyFile = join(mkdtempSync(join(tmpdir(), 'bench-')), 'policy.json');
writeFileSync(policyFile, JSON.stringify({ rules: [...rules, last] }));

const resolved = resolveSettings({
  flags: {
    listen: '127.0.0.1:0',
    adminListen: '127.0.0.1:0',
    publicUrl,
    policyFile,
    issuers: JSON.stringify([{ issuer, jwksUri: issuer }]),
  },
});
if (resolved.kind === 'wrong') throw new Error(JSON.stringify(resolved.problems));
const service = registered('bench', [['backend', Number(process.argv[2])]]);
const router = await startRouter(resolved.settings, {
  log: createLog({ level: 'warn', format: 'json' }),
  keyRing: [randomBytes(32)],
  registry: (onSnapshot) => ({
    start: () =>
      onSnapshot({
        version: 1,
        services: new Map([[service.name, service]]),
        skipped: [],
      } satisfies RegistrySnapshot),
    stop: () => undefined,
    status: () => ({ synced: true, queries: 0, datacenters: [] }),
  }),
});
report(router.data.port, `Bearer ${token}`);
