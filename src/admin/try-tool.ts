import type { Response } from 'express';
import { RouterError } from '../errors.ts';
import type { TryRequest } from './shapes.ts';

/**
 * Calls a tool as a client would. `message` is told every MCP message of the answer, the result last, and may be
 * told nothing more once the function that is returned was called: that cancels the call.
 * @throws {RouterError} where it is refused at once
 */
export type CallTool = (request: TryRequest, message: (text: string) => void, done: () => void) => () => void;

/**
 * Reads what the dashboard asks for.
 * @throws {RouterError} INVALID_PARAMS
 */
export function readTryRequest(body: unknown): TryRequest {
  if (!isObject(body)) throw wrong('Send a JSON object with `name` and `arguments`.');
  const { name, arguments: args = {}, requestState, inputResponses } = body;
  if (typeof name !== 'string' || name === '') throw wrong('`name` must be the name of a tool.');
  if (!isObject(args)) throw wrong('`arguments` must be a JSON object.');
  if (requestState !== undefined && typeof requestState !== 'string')
    throw wrong('`requestState` must be the text that the tool gave.');
  if (inputResponses !== undefined && !isObject(inputResponses))
    throw wrong('`inputResponses` must be a JSON object.');
  return {
    name,
    arguments: args,
    ...(requestState !== undefined && { requestState }),
    ...(inputResponses !== undefined && { inputResponses }),
  };
}

/** The MCP messages of one call as server-sent events, each as it comes. Hanging up cancels the call. */
export function answerTry(call: CallTool, request: TryRequest, response: Response): void {
  let begun = false;
  let over = false;
  const begin = (): void => {
    if (!begun) response.writeHead(200, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    begun = true;
  };
  const cancel = call(
    request,
    (text) => {
      begin();
      response.write(`event: message\ndata: ${text.replaceAll(/[\r\n]+/g, ' ')}\n\n`);
      response.flush?.();
    },
    () => {
      over = true;
      begin();
      response.end();
    },
  );
  response.once('close', () => {
    if (!over) cancel();
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function wrong(message: string): RouterError {
  return new RouterError('INVALID_PARAMS', message);
}
