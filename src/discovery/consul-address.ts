/** One agent's address, taken apart. */
export interface ConsulAddress {
  /** As it was written, without credentials. */
  readonly text: string;
  readonly baseUrl: string;
  readonly secure: boolean;
  readonly socketPath: string | undefined;
}

/**
 * Addresses as Consul's tools take them: `host:port`, `http(s)://host:port[/prefix]`, `unix:///path`.
 * @throws {RangeError} for anything else.
 */
export function parseAddress(text: string, ssl: boolean): ConsulAddress {
  if (text.startsWith('unix://')) {
    const socketPath = text.slice('unix://'.length);
    if (!socketPath.startsWith('/'))
      throw new RangeError(`${text} is no address: write unix:///path/to/socket`);
    return { text, baseUrl: 'http://localhost/v1', secure: false, socketPath };
  }
  let url: URL;
  try {
    url = new URL(text.includes('://') ? text : `${ssl ? 'https' : 'http'}://${text}`);
  } catch {
    throw new RangeError(`${text} is no address: write host:port, http(s)://host:port or unix:///path`);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new RangeError(`${text} is no address: Consul speaks http, https and unix`);
  }
  const secure = url.protocol === 'https:';
  // Consul's tools take 8500 where no port is named; a URL takes its scheme's.
  const port = url.port === '' && !text.includes('://') ? ':8500' : url.port === '' ? '' : `:${url.port}`;
  const prefix = url.pathname.replace(/\/+$/, '');
  return {
    text,
    baseUrl: `${url.protocol}//${url.hostname}${port}${prefix}/v1`,
    secure,
    socketPath: undefined,
  };
}
