import type { RawJson } from '../model.ts';
import type { ResponseEnvelope } from '../relay/envelope.ts';
import { memberText, scanObject } from '../relay/json-scan.ts';
import type { Member } from '../relay/modern.ts';
import type { InputRequired, Question } from './bridge.ts';

/** What a session-era backend asks a client that finds questions in results: those that are not answered yet. */
export class OpenQuestions {
  readonly #open = new Map<string, Question>();
  #asked = 0;

  add(question: Question): void {
    this.#open.set(`ask-${++this.#asked}`, question);
  }

  get size(): number {
    return this.#open.size;
  }

  /** The result that puts them to the client. */
  result(requestState: string): string {
    const requests = [...this.#open].map(([key, { request }]) => `"${key}":${request}`);
    return `{"resultType":"input_required","inputRequests":{${requests.join(',')}},"requestState":"${requestState}"}`;
  }

  /**
   * Takes the client's answers; what it leaves out stays open, what nobody asked is ignored.
   * @param responses JSON text of `inputResponses`
   */
  answer(responses: string | undefined): { readonly id: RawJson; readonly result: string }[] {
    if (responses === undefined || !responses.startsWith('{')) return [];
    const given = scanObject(responses, 0);
    return [...this.#open].flatMap(([key, { id }]) => {
      const result = memberText(responses, given, key);
      if (result === undefined) return [];
      this.#open.delete(key);
      return [{ id, result }];
    });
  }
}

/** What a modern backend asks a client that is asked on its stream: its result, played out. */
export class PlayedQuestions {
  readonly #inputs: InputRequired;
  /** Key by the id that the client is asked with. */
  readonly #open = new Map<RawJson, string>();
  readonly #answers: Member[] = [];
  readonly events: readonly string[];

  /** @param idPrefix with a number behind it, an id that is used once in the client's session */
  constructor(inputs: InputRequired, idPrefix: string) {
    this.#inputs = inputs;
    this.events = inputs.requests.map(([key, request], at) => {
      const id = JSON.stringify(`${idPrefix}-${at}`) as RawJson;
      this.#open.set(id, key);
      return `{"jsonrpc":"2.0","id":${id},${request.slice(1)}`;
    });
  }

  /** @returns `refused` where the client answers with an error, which an input can not be */
  take(response: ResponseEnvelope): 'foreign' | 'taken' | 'refused' {
    const key = this.#open.get(response.id);
    if (key === undefined) return 'foreign';
    this.#open.delete(response.id);
    const result = memberText(response.text, response.members, 'result');
    if (result !== undefined) {
      this.#answers.push([key, result]);
      return 'taken';
    }
    const request = this.#inputs.requests.find(([name]) => name === key)?.[1] ?? '';
    if (!request.includes('"elicitation/create"')) return 'refused';
    // A person who can't be asked is one who does not answer.
    this.#answers.push([key, '{"action":"cancel"}']);
    return 'taken';
  }

  get complete(): boolean {
    return this.#open.size === 0;
  }

  /** Members of `params` for the next round. */
  inputs(): Member[] {
    const { requestState } = this.#inputs;
    const answers = this.#answers.map(([key, value]) => `${JSON.stringify(key)}:${value}`);
    return [
      ...(this.#inputs.requests.length > 0 ? [['inputResponses', `{${answers.join(',')}}`] as const] : []),
      ...(requestState === undefined ? [] : [['requestState', requestState] as const]),
    ];
  }
}
