import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** What papi needs of `node:http` or `node:https`. */
export interface Transport {
  request(options: RequestOptions): ClientRequest;
}

export interface GuardLimits {
  /** From the start of the name look-up to the end of the TLS handshake. */
  readonly connectMs: number;
  /** Longest silence within a body; Consul has all of it before it sends the head. */
  readonly silenceMs: number;
  readonly maxBodyBytes: number;
}

/** The largest answer that is asked for, all checks of a thousand services with two instances, is 1 MB. */
const usual: GuardLimits = { connectMs: 5000, silenceMs: 10_000, maxBodyBytes: 64 * 1024 * 1024 };

/**
 * A transport whose requests end soon where nothing more is to be expected. papi knows one absolute timeout, and
 * that of a blocking query is longer than a minute: a body that is cut in the middle would not settle before.
 */
export function guarded(transport: Transport, limits: GuardLimits = usual): Transport {
  return {
    request(options) {
      const request = transport.request(options);
      const fail = (message: string): void => {
        request.destroy();
        // papi settles a request on its 'error'; destroying one that is being answered emits none.
        request.emit('error', new Error(message));
      };
      request.once('socket', (socket) => limitConnect(socket, limits, fail));
      request.once('response', (response) => limitBody(response, limits, fail));
      return request;
    },
  };
}

function limitConnect(socket: Socket, { connectMs }: GuardLimits, fail: (message: string) => void): void {
  // One that is kept alive is connected.
  if (!socket.connecting) return;
  const timer = setTimeout(() => fail(`no connection within ${connectMs} ms`), connectMs);
  const settled = (): void => clearTimeout(timer);
  socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', settled);
  socket.once('close', settled);
}

function limitBody(response: IncomingMessage, limits: GuardLimits, fail: (message: string) => void): void {
  const { silenceMs, maxBodyBytes } = limits;
  const silence = setTimeout(() => fail(`its body stopped for ${silenceMs} ms`), silenceMs);
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    silence.refresh();
    bytes += chunk.length;
    if (bytes > maxBodyBytes) fail(`its body is longer than ${maxBodyBytes} bytes`);
  });
  response.once('close', () => {
    clearTimeout(silence);
    if (!response.complete) fail('its body was cut');
  });
}
