/** Longer than this is no address of a server that means well. */
const MAX_LENGTH = 4096;

/**
 * The path that messages are posted to, from what the `endpoint` event says (2024-11-05, transports: HTTP with
 * SSE): relative to the stream, or absolute. Another origin is refused: a server must not make the router send
 * its clients' messages, and whatever credential goes with them, to a host that nobody registered.
 *
 * `why` ends the sentence "The server …".
 */
export function messagePath(
  said: string,
  streamUrl: string,
): { readonly path: string } | { readonly why: string } {
  const shown = said.length > 200 ? `${said.slice(0, 200)}…` : said;
  // Printable ASCII, as every URL on the wire; `URL` would quietly drop line ends and spaces.
  const url = /^[\x21-\x7e]+$/.test(said) && said.length <= MAX_LENGTH ? parse(said, streamUrl) : undefined;
  if (!url) return { why: `named an endpoint that is no URL: ${JSON.stringify(shown)}` };
  const { origin } = new URL(streamUrl);
  if (url.origin !== origin || url.username !== '' || url.password !== '') {
    return {
      why: `named the endpoint ${shown}, which is not at ${origin}; have it name a path, or register the address that it names`,
    };
  }
  return { path: url.pathname + url.search };
}

function parse(text: string, base: string): URL | undefined {
  return URL.canParse(text, base) ? new URL(text, base) : undefined;
}
