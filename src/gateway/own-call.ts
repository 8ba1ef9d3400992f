import { describeError, RouterError } from '../errors.ts';
import type { Identity, Log, RawJson } from '../model.ts';
import { readEnvelope } from '../relay/envelope.ts';
import { EventAnswer } from '../relay/event-answer.ts';
import { VERSION_HEADER } from '../relay/headers.ts';
import { encodeHeader, meta, METHOD_HEADER, MODERN_VERSION, NAME_HEADER } from '../relay/modern.ts';
import { handleModernRequest, type ModernPorts } from './modern-methods.ts';
import { paramHeaders } from './modern-request.ts';
import { toolDestination } from './tools.ts';

/** A call of a tool that does not come over the data plane. */
export interface OwnCall {
  readonly identity: Identity;
  readonly clientInfo: { readonly name: string; readonly version: string };
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly requestState?: string | undefined;
  readonly inputResponses?: Readonly<Record<string, unknown>> | undefined;
}

const ID = 1;
const scope = { kind: 'all' } as const;
const path = '/mcp';
/** Whoever asks can fill in a form, and nothing else. */
const capabilities = { elicitation: { form: {} } };

/**
 * The router as its own client, in the stateless era: the same checks, pick, attempts and records as for anybody
 * else's request at `/mcp`.
 * @param message told every message of the answer; the last one is the response
 * @returns what cancels the call
 */
export function makeOwnCall(
  ports: ModernPorts,
  call: OwnCall,
  log: Log,
  message: (text: string) => void,
  done: () => void,
): () => void {
  const gone = new Set<() => void>();
  const stream = {
    send(text: string): boolean {
      message(text);
      return true;
    },
    gone: false,
    onGone(leave: () => void): () => void {
      gone.add(leave);
      return () => gone.delete(leave);
    },
    onceDrained: (resume: () => void) => resume(),
  };
  const answer = new EventAnswer(stream, [], done);
  answer.era = 'modern';
  try {
    const { request, headers } = modernRequest(ports, call);
    const { identity } = call;
    const client = { identity, headers, scope, path, names: 'portable', tools: 'full' } as const;
    handleModernRequest(ports, client, request, answer);
  } catch (error) {
    answer.fail(String(ID) as RawJson, asRouterError(error, log));
  }
  return () => {
    stream.gone = true;
    for (const leave of gone) leave();
  };
}

/** As it would have come over HTTP. */
function modernRequest(ports: ModernPorts, call: OwnCall) {
  const { name, clientInfo, requestState, inputResponses } = call;
  const text = JSON.stringify({
    jsonrpc: '2.0',
    id: ID,
    method: 'tools/call',
    params: {
      name,
      arguments: call.arguments,
      ...(requestState !== undefined && { requestState }),
      ...(inputResponses !== undefined && { inputResponses }),
      _meta: {
        progressToken: ID,
        [meta.protocolVersion]: MODERN_VERSION,
        [meta.clientInfo]: clientInfo,
        [meta.clientCapabilities]: capabilities,
      },
    },
  });
  const request = readEnvelope(text);
  if (request.kind !== 'request') throw new TypeError('tools/call is a request');
  const { mirrored = [] } = toolDestination(ports.sights.of(call.identity, scope), scope, request, 'never');
  const pairs = paramHeaders(request, mirrored, encodeHeader);
  return {
    request,
    headers: {
      [VERSION_HEADER]: MODERN_VERSION,
      [METHOD_HEADER]: 'tools/call',
      [NAME_HEADER]: encodeHeader(name),
      ...Object.fromEntries(
        pairs.flatMap((header, at) => (at % 2 === 0 ? [[header.toLowerCase(), pairs[at + 1] ?? '']] : [])),
      ),
    },
  };
}

function asRouterError(error: unknown, log: Log): RouterError {
  if (error instanceof RouterError) return error;
  log.error('request failed inside the router', { error: describeError(error) });
  return new RouterError('INTERNAL', 'The router failed on this request. Its log says why.');
}
