import { RouterError } from '../errors.ts';
import type { CatalogItem, Tool } from '../model.ts';
import { readEnvelope, replaceMember, resultResponse, type RequestEnvelope } from '../relay/envelope.ts';
import type { Answer } from '../relay/answer.ts';
import {
  isObject,
  JsonScanError,
  memberObject,
  memberString,
  memberText,
  splice,
  type ScannedObject,
} from '../relay/json-scan.ts';
import { argumentCheck, wrongArgumentsText, type ArgumentCheck } from '../shaping/argument-check.ts';
import {
  findTools,
  foundToolsJson,
  metaResult,
  nearestNames,
  nothingFoundJson,
} from '../shaping/find-tools.ts';
import { findToolsArguments, isMetaTool, type MetaToolName } from '../shaping/meta-tools.ts';
import type { Authorized } from './authorize.ts';
import type { Scope } from './scope.ts';
import type { Sight } from './sight.ts';
import { CallableTools, type ToolSearch } from './tool-search.ts';

/** Who calls one of the router's own tools. */
export interface OwnToolClient {
  readonly sight: Sight;
  readonly names: 'portable' | 'dotted';
  /** The result object in the form of the client's era. */
  readonly finish: (result: string) => string;
  /** What was found is listed from now on. */
  readonly activate: ((found: readonly CatalogItem<Tool>[]) => void) | undefined;
}

/** A call that goes on to a backend. */
export interface Onward {
  readonly request: RequestEnvelope;
  readonly to: Authorized;
}

/** The tool of the router's own that a request calls; undefined for nearly all. Other endpoints add none. */
export function ownToolCalled(
  scope: Scope,
  { method, params, text }: RequestEnvelope,
): MetaToolName | undefined {
  if (scope.kind !== 'all' || method !== 'tools/call' || !params) return undefined;
  const name = memberString(text, params, 'name');
  return name !== undefined && isMetaTool(name) ? name : undefined;
}

/** `find_tools`, `call_tool` and their fellows: for clients that are not shown the whole list. */
export class OwnTools {
  readonly #search: ToolSearch;
  readonly #checks = new WeakMap<Tool, ArgumentCheck>();

  constructor(search: ToolSearch) {
    this.#search = search;
  }

  /**
   * Answers the call, or unwraps it: then it is an ordinary call of its target, with all that belongs to one.
   * @param authorize of an unwrapped request; may throw
   * @returns what goes on to a backend; undefined where the answer is given, now or later
   * @throws {RouterError} INVALID_PARAMS, and what `authorize` throws besides UNKNOWN_TOOL
   */
  take(
    name: MetaToolName,
    client: OwnToolClient,
    request: RequestEnvelope,
    answer: Answer,
    authorize: (request: RequestEnvelope) => Authorized,
  ): Onward | undefined {
    const say = (result: string): void => answer.send(200, resultResponse(request.id, client.finish(result)));
    switch (name) {
      case 'find_tools':
        void this.#find(client, readQuestion(request)).then(say, (error: unknown) =>
          answer.fail(request.id, new RouterError('INTERNAL', 'The search failed. Try again.', {}, error)),
        );
        return undefined;
      case 'call_tool':
      case 'call_read_tool': {
        const unwrapped = this.#unwrap(name, client, request, authorize);
        if (typeof unwrapped !== 'string') return unwrapped;
        say(errorResult(unwrapped));
        return undefined;
      }
      case 'read_result':
        say(errorResult('There is no such result: nothing was cut.'));
        return undefined;
    }
  }

  async #find(client: OwnToolClient, question: Question | string): Promise<string> {
    if (typeof question === 'string') return errorResult(question);
    await this.#search.built();
    const { index } = this.#search;
    const permitted = new CallableTools(client.sight);
    const found = findTools({ index, permitted, arguments: question });
    if (found.tools.length === 0) return metaResult(nothingFoundJson(permitted));
    client.activate?.(found.tools);
    return metaResult(foundToolsJson(found, speller(client)));
  }

  /** @returns a sentence for the model where the call can't be made */
  #unwrap(
    name: 'call_tool' | 'call_read_tool',
    client: OwnToolClient,
    request: RequestEnvelope,
    authorize: (request: RequestEnvelope) => Authorized,
  ): Onward | string {
    const target = readTarget(name, request);
    if (typeof target === 'string') return target;
    const tools = new CallableTools(client.sight);
    const entry = tools.find(target.name);
    const onward = authorized(target, entry, authorize);
    if (!entry || !onward) return this.#unknown(client, tools, target.name);
    if (name === 'call_read_tool' && !entry.item.hints.readOnly) {
      return `${target.name} does not say that it only reads. Nothing was called; use call_tool for it.`;
    }
    const wrong = this.#check(entry.item)(JSON.parse(target.arguments));
    return wrong.length > 0 ? wrongArgumentsText(target.name, wrong, entry.item.json) : onward;
  }

  #unknown(client: OwnToolClient, tools: CallableTools, name: string): string {
    // Nobody waits for an index here: without one there is nothing to suggest.
    this.#search.warm();
    const near = nearestNames(this.#search.index, tools, name.slice(0, 256), speller(client));
    const hint = near.length > 0 ? `Did you mean ${near.join(', ')}?` : 'find_tools searches for tools.';
    return `Unknown tool: ${name.slice(0, 128)}. Nothing was called. ${hint}`;
  }

  #check(tool: Tool): ArgumentCheck {
    const known = this.#checks.get(tool) ?? argumentCheck(tool.json);
    this.#checks.set(tool, known);
    return known;
  }
}

interface Target {
  readonly name: string;
  /** JSON text of an object. */
  readonly arguments: string;
  /** An ordinary call of the tool. */
  readonly request: RequestEnvelope;
}

/** The rules are asked also where the tool is not there: a refusal is recorded like any other. */
function authorized(
  target: Target,
  entry: CatalogItem<Tool> | undefined,
  authorize: (request: RequestEnvelope) => Authorized,
): Onward | undefined {
  try {
    const to = authorize(target.request);
    return entry ? { request: target.request, to: { ...to, indirect: true } } : undefined;
  } catch (error) {
    if (error instanceof RouterError && error.code === 'UNKNOWN_TOOL') return undefined;
    throw error;
  }
}

/** @returns a sentence where the call names no tool */
function readTarget(own: MetaToolName, request: RequestEnvelope): Target | string {
  const { text, params } = request;
  const given = argumentsOf(request);
  const name = given && memberString(text, given, 'name');
  if (!given || name === undefined || name === '') {
    return `${own} needs {"name": "…", "arguments": {…}} with the name of a tool. find_tools searches for tools.`;
  }
  const args = objectText(memberText(text, given, 'arguments') ?? '{}');
  if (args === undefined)
    return `"arguments" of ${own} must be an object, as the input schema of ${name} has it.`;
  const edits = [
    replaceMember(params, 'name', JSON.stringify(name)),
    replaceMember(params, 'arguments', args),
  ].filter((edit) => edit !== undefined);
  const unwrapped = readEnvelope(splice(text, edits));
  return unwrapped.kind === 'request'
    ? { name, arguments: args, request: unwrapped }
    : `${own} must be a request.`;
}

function argumentsOf({ text, params }: RequestEnvelope): ScannedObject | undefined {
  try {
    return params && memberObject(text, params, 'arguments');
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    throw new RouterError('INVALID_PARAMS', `"arguments" cannot be read: ${error.message}.`);
  }
}

/** Some models write an object as text: `"{\"path\":\"/\"}"` is taken for what it means. */
function objectText(given: string): string | undefined {
  try {
    const text = given.startsWith('"') ? (JSON.parse(given) as string).trim() : given;
    return isObject(text, 0) && JSON.parse(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

type Question = ReturnType<typeof findToolsArguments.parse>;

/** @returns a sentence where there is nothing to search for */
function readQuestion({ text, params }: RequestEnvelope): Question | string {
  const given = params && memberText(text, params, 'arguments');
  const parsed = findToolsArguments.safeParse(parse(given ?? '{}'));
  return parsed.success
    ? parsed.data
    : 'find_tools needs {"query": "…"}: what you want to do, in up to 1000 characters.';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new RouterError('PARSE_ERROR', 'Parse error: "arguments" is no JSON.');
  }
}

function speller({ names }: OwnToolClient): (entry: CatalogItem<Tool>) => string {
  return (entry) => (names === 'dotted' ? entry.canonical : entry.portable);
}

/** What the model is told where it can do better with another call (2025-11-25, server/tools: error handling). */
function errorResult(sentence: string): string {
  return `{"content":[{"type":"text","text":${JSON.stringify(sentence)}}],"isError":true}`;
}
