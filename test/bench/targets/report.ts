import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a measured process tells its parent: its port once, and its CPU time whenever it is asked. */
export type Report = { readonly port: number } | { readonly cpuMicros: number; readonly rssBytes: number };

export function report(server: Pick<Server, 'address'> | number): void {
  const port = typeof server === 'number' ? server : (server.address() as AddressInfo).port;
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() } satisfies Report);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({ port } satisfies Report);
}
