import type { NotificationEnvelope, RequestEnvelope, ResponseEnvelope } from '../../relay/envelope.ts';
import { memberText } from '../../relay/json-scan.ts';
import { meta } from '../../relay/modern.ts';
import type { Hear, Heard } from './from-server.ts';
import type { Credentials, Sending } from './link.ts';
import type { Manner } from './manner.ts';
import type { Refusal } from './problems.ts';

const ACKNOWLEDGED = 'notifications/subscriptions/acknowledged';

/** What announces each kind of change (2026-07-28, basic/patterns/subscriptions). */
const announcements = {
  toolsListChanged: 'tools/list_changed',
  promptsListChanged: 'prompts/list_changed',
  resourcesListChanged: 'resources/list_changed',
} as const;

/**
 * `subscriptions/listen`: a request whose answer does not end. For a client on stdio it lasts as long as its server,
 * so it is opened again whenever its stream breaks; what changed meanwhile is reported as changed.
 */
export class Listening implements Manner {
  readonly endless = true;
  readonly #request: RequestEnvelope;
  readonly #headers: readonly string[];
  readonly #hear: Hear;
  readonly #credentials: Credentials;
  /** What the server agreed to, as it said it. */
  #agreed: string | undefined;

  constructor(request: RequestEnvelope, headers: readonly string[], hear: Hear, credentials: Credentials) {
    this.#request = request;
    this.#headers = headers;
    this.#hear = hear;
    this.#credentials = credentials;
  }

  headers(): readonly string[] {
    return this.#headers;
  }

  mend(refusal: Refusal): Promise<boolean> {
    return Promise.resolve(refusal.head.status === 401 && this.#credentials.renew());
  }

  resume(): Omit<Sending, 'body'> {
    return { method: 'POST', headers: this.#headers, endless: true };
  }

  hear(message: RequestEnvelope | NotificationEnvelope): Heard {
    if (message.kind === 'request' || message.method !== ACKNOWLEDGED) return this.#hear(message);
    const honoured = message.params && memberText(message.text, message.params, 'notifications');
    const agreed = honoured?.startsWith('{') ? honoured : '{}';
    const before = this.#agreed;
    this.#agreed = agreed;
    if (before === undefined) return message.text;
    const again = agreed === before ? [] : [message.text];
    return [...again, ...this.#changes(agreed)];
  }

  answered(response: ResponseEnvelope): string {
    return response.text;
  }

  cancel(): undefined {
    return undefined;
  }

  /** The graceful end of a subscription. */
  farewell(): string {
    const { id } = this.#request;
    return `{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete","_meta":{"${meta.subscriptionId}":${id}}}}`;
  }

  /** Everything that the subscription is about may have changed while it was not open. */
  #changes(agreed: string): readonly string[] {
    const filter = JSON.parse(agreed) as Readonly<Record<string, unknown>>;
    const stamp = `"_meta":{"${meta.subscriptionId}":${this.#request.id}}`;
    const notification = (method: string, more = ''): string =>
      `{"jsonrpc":"2.0","method":"notifications/${method}","params":{${more}${stamp}}}`;
    const lists = Object.entries(announcements).filter(([kind]) => filter[kind] === true);
    const { resourceSubscriptions: uris } = filter;
    return [
      ...lists.map(([, method]) => notification(method)),
      ...(Array.isArray(uris) ? uris : []).map((uri) =>
        notification('resources/updated', `"uri":${JSON.stringify(uri)},`),
      ),
    ];
  }
}
