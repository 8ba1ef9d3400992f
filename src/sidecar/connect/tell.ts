import type { RouterError } from '../../errors.ts';
import type { FromServer, Hear } from './from-server.ts';
import type { Link } from './link.ts';
import type { Output } from './output.ts';
import { failed, silent, type Refusal } from './problems.ts';
import { Transfer, type Outcome } from './transfer.ts';

export interface TellParts {
  readonly link: Link;
  readonly output: Output;
  readonly fromServer: FromServer;
}

/** What became of a message that gets no response. */
export type Told =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'failed'; readonly error: RouterError };

/** Posts a notification or a response. A server that takes its time is not waited for. */
export function tell(parts: TellParts, headers: readonly string[], body: string, hear: Hear): Promise<Told> {
  const { link, output, fromServer } = parts;
  const { tellTimeoutMs } = link.limits;
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      resolve({ kind: 'failed', error: silent(link.url, tellTimeoutMs) });
    }, tellTimeoutMs);
    const over = (outcome: Outcome): void => {
      clearTimeout(late);
      resolve(toldBy(outcome, link));
    };
    void new Transfer(
      link,
      output,
      { method: 'POST', headers, body },
      { message: (text) => fromServer.relay(text, hear), over },
    );
  });
}

function toldBy(outcome: Outcome, link: Link): Told {
  switch (outcome.kind) {
    // Any 2xx says that it was taken, whatever stands in the body.
    case 'complete':
    case 'unreadable':
      return { kind: 'accepted' };
    case 'refused':
      return outcome;
    case 'failed':
      return { kind: 'failed', error: failed(link.url, outcome.failure, link.timeoutMs) };
  }
}
