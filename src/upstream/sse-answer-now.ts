import { JSON_TYPE } from '../relay/headers.ts';
import type { Receiver, Sending } from './exchange.ts';

/** An answer of the router's own in the server's place; like any other it comes after the caller has sent. */
export function answerNow(receiver: Receiver, status: number, text: string): Sending {
  let over = false;
  queueMicrotask(() => {
    if (over) return;
    over = true;
    const body = Buffer.from(text);
    receiver.head({ status, mediaType: JSON_TYPE, contentLength: body.length, headers: {} });
    if (body.length > 0) receiver.data(body);
    receiver.end();
  });
  return {
    resume: () => undefined,
    abort() {
      if (over) return;
      over = true;
      abandoned(receiver);
    },
  };
}

/** Tells the receiver, after whatever it is doing now, that its request was abandoned from our side. */
export function abandoned(receiver: Receiver): void {
  queueMicrotask(() => receiver.fail({ kind: 'aborted', sent: true, cause: new Error('abandoned') }));
}
