import { replaceMember, type RequestEnvelope, type ResponseEnvelope } from '../relay/envelope.ts';
import { memberObject, memberString, splice } from '../relay/json-scan.ts';
import { LATEST_LEGACY_VERSION, LEGACY_VERSIONS, negotiate } from '../relay/versions.ts';

export interface ClientInfo {
  readonly name: string;
  readonly version: string;
}

/** Our own `initialize`: no capabilities, since nobody stands behind us who could be asked. */
export function ownInitialize(id: number, clientInfo: ClientInfo): string {
  const params = { protocolVersion: LATEST_LEGACY_VERSION, capabilities: {}, clientInfo };
  return JSON.stringify({ jsonrpc: '2.0', id, method: 'initialize', params });
}

/** The child's answer to our `initialize` as the answer to a client's. */
export function introduce(child: ResponseEnvelope, request: RequestEnvelope): string {
  const { text, members } = child;
  const result = memberObject(text, members, 'result');
  const own = result && memberString(text, result, 'protocolVersion');
  const asked = request.params && memberString(request.text, request.params, 'protocolVersion');
  return splice(
    text,
    [
      replaceMember(members, 'id', request.id),
      replaceMember(result, 'protocolVersion', JSON.stringify(older(own, asked))),
    ].filter((edit) => edit !== undefined),
  );
}

/** The revision that a client asks for, but none newer than the child speaks. */
function older(own: string | undefined, asked: string | undefined): string {
  const offered = negotiate(asked ?? own ?? LATEST_LEGACY_VERSION);
  const newestFirst: readonly string[] = LEGACY_VERSIONS;
  return own !== undefined && newestFirst.indexOf(own) > newestFirst.indexOf(offered) ? own : offered;
}

/** The lists that the server has. */
export function listsOf(child: ResponseEnvelope): readonly string[] {
  const result = memberObject(child.text, child.members, 'result');
  const capabilities = result && memberObject(child.text, result, 'capabilities');
  return ['tools', 'prompts', 'resources'].filter((list) => capabilities?.keys.includes(list));
}
