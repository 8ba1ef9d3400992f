import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a measured process tells its parent: its port once, and its CPU time whenever it is asked. */
export type Report =
  | { readonly port: number; readonly authorization?: string }
  | { readonly cpuMicros: number; readonly rssBytes: number };

/** @param authorization what calls have to bring along */
export function report(server: Pick<Server, 'address'> | number, authorization?: string): void {
  const port = typeof server === 'number' ? server : (server.address() as AddressInfo).port;
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicros: user + system, rssBytes: process.memoryUsage.rss() } satisfies Report);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({ port, ...(authorization !== undefined && { authorization }) } satisfies Report);
}
