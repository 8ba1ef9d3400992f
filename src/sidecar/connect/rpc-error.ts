import { isObject, memberText, scanObject, skipSpace } from '../../relay/json-scan.ts';

/**
 * The error object of a JSON-RPC error response, as JSON text; undefined where the body is none. Servers that refuse
 * a message often name no id, or `null`: the HTTP status belongs to the request anyway.
 */
export function rpcErrorIn(body: string): string | undefined {
  try {
    const start = skipSpace(body, 0);
    if (!isObject(body, start)) return undefined;
    const error = memberText(body, scanObject(body, start), 'error');
    return error !== undefined && isRpcError(JSON.parse(error)) ? error : undefined;
  } catch {
    return undefined;
  }
}

function isRpcError(value: unknown): boolean {
  return (
    value !== null &&
    typeof value === 'object' &&
    'code' in value &&
    Number.isInteger(value.code) &&
    'message' in value &&
    typeof value.message === 'string'
  );
}
