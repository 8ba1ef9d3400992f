import { z } from 'zod';

/** What replicas share. */
export type StoreAddress = { readonly kind: 'memory' } | RedisAddress;

export interface RedisAddress {
  readonly kind: 'redis';
  readonly at:
    { readonly host: string; readonly port: number; readonly tls: boolean } | { readonly socketPath: string };
  readonly username?: string;
  readonly password?: string;
  readonly database: number;
  /** PEM files, with TLS. */
  readonly caCert?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
}

const forms =
  'must be memory, redis://user:password@host:6379/0, rediss://… (TLS; ?cacert=, ?cert= and ?key= name PEM files) ' +
  'or unix:///path/of/the/socket?db=0, with what is special in a URL percent-encoded';

/** `memory`, or the URL of a Valkey or Redis (the provisional schemes `redis` and `rediss` of IANA's registry). */
export const storeAddress = () =>
  z.string().transform((value, context): StoreAddress => {
    const word = value.trim();
    const address = word === 'memory' ? ({ kind: 'memory' } as const) : redisAddress(word);
    if (address) return address;
    // The value itself must not be shown: it may hold a password.
    context.issues.push({ code: 'custom', input: '(secret)', message: forms });
    return z.NEVER;
  });

const options: Record<string, readonly string[]> = {
  'redis:': ['db'],
  'rediss:': ['db', 'cacert', 'cert', 'key'],
  'unix:': ['db'],
};

function redisAddress(value: string): RedisAddress | undefined {
  // A socket has no host, and a URL without host can't have a user: one is put in.
  const url = URL.parse(value.replace(/^unix:\/\/([^/]*@)?(?=\/.)/, 'unix://$1socket'));
  const known = url && options[url.protocol];
  if (!known || url.hostname === '' || url.hash !== '') return undefined;
  const unix = url.protocol === 'unix:';
  if (unix && (url.hostname !== 'socket' || url.port !== '')) return undefined;
  const given = [...url.searchParams];
  if (given.some(([name, text]) => !known.includes(name) || text === '')) return undefined;
  const { db, cacert, cert, key }: Record<string, string | undefined> = Object.fromEntries(given);
  const database = (unix ? '' : url.pathname.slice(1)) || (db ?? '0');
  if (!/^\d{1,5}$/.test(database) || (cert === undefined) !== (key === undefined)) return undefined;
  try {
    return {
      kind: 'redis',
      at: unix
        ? { socketPath: decodeURIComponent(url.pathname) }
        : {
            host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
            port: Number(url.port || 6379),
            tls: url.protocol === 'rediss:',
          },
      ...(url.username !== '' && { username: decodeURIComponent(url.username) }),
      ...(url.password !== '' && { password: decodeURIComponent(url.password) }),
      database: Number(database),
      ...(cacert !== undefined && { caCert: cacert }),
      ...(cert !== undefined && { clientCert: cert }),
      ...(key !== undefined && { clientKey: key }),
    };
  } catch {
    // Not percent-encoded as it should be.
    return undefined;
  }
}

/** As it was set, the password masked. */
export function showStore(address: StoreAddress): string {
  if (address.kind === 'memory') return 'memory';
  const { at, username = '', password, database } = address;
  const credentials =
    username === '' && password === undefined ? '' : `${username}${password === undefined ? '' : ':***'}@`;
  if ('socketPath' in at) return `unix://${credentials}${at.socketPath}?db=${database}`;
  const host = at.host.includes(':') ? `[${at.host}]` : at.host;
  return `redis${at.tls ? 's' : ''}://${credentials}${host}:${at.port}/${database}`;
}
