const MAX_BYTES = 1024 * 1024;

/** What the libraries for tokens ask for. */
export interface FetchOptions {
  readonly method?: string | undefined;
  readonly headers?: RequestInit['headers'] | undefined;
  readonly body?: RequestInit['body'] | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type Fetch = (url: string, options?: FetchOptions) => Promise<Response>;

/**
 * `fetch` for authorization servers and secret stores: in time, in size, and without following redirects, which
 * could lead anywhere.
 * @param timeoutMs for the whole exchange
 */
export function boundedFetch(timeoutMs: number): Fetch {
  return async (url, options = {}) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
    const response = await fetch(url, {
      method: options.method ?? 'GET',
      headers: options.headers ?? {},
      body: options.body ?? null,
      redirect: 'manual',
      signal,
    });
    if (response.status >= 300 && response.status < 400) {
      await response.body?.cancel();
      throw new Error(`${url} redirects, and redirects are not followed`);
    }
    const body = await bounded(response, url);
    return new Response(response.status === 204 ? null : body, {
      status: response.status,
      statusText: response.statusText,
      headers: response.headers,
    });
  };
}

async function bounded(response: Response, url: string): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    // Leaving the loop cancels the body.
    if (size > MAX_BYTES) throw new Error(`${url} answered with more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Uint8Array.from(Buffer.concat(chunks));
}

/** Plain http only within this machine: tokens and secrets go over it. */
export function isSafeUrl(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:') return true;
  // Not every name that begins with 127. is an address.
  const loopback = /^(?:localhost|\[::1\]|127(?:\.\d{1,3}){3})$/;
  return protocol === 'http:' && loopback.test(hostname);
}
