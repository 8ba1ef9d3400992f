import { describe, expect, it } from 'vitest';
import {
  EnvelopeError,
  errorResponse,
  readEnvelope,
  resultResponse,
  withParam,
} from '../../../src/relay/envelope.ts';
import type { RawJson } from '../../../src/model.ts';

describe('readEnvelope', () => {
  it('tells requests, notifications and responses apart', () => {
    expect(readEnvelope('{"jsonrpc":"2.0","id":1,"method":"ping"}')).toMatchObject({
      kind: 'request',
      id: '1',
      method: 'ping',
      params: undefined,
    });
    expect(readEnvelope('{"jsonrpc":"2.0","method":"notifications/initialized"}').kind).toBe('notification');
    expect(readEnvelope('{"jsonrpc":"2.0","id":"a","result":{}}')).toMatchObject({
      kind: 'response',
      failed: false,
    });
    expect(readEnvelope('{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}')).toMatchObject({
      kind: 'response',
      id: 'null',
      failed: true,
    });
  });

  it('keeps the spelling of ids: 1 and "1" are different clients\' requests', () => {
    const number = readEnvelope('{"jsonrpc":"2.0","id":1,"method":"x"}');
    const string = readEnvelope('{"jsonrpc":"2.0","id":"1","method":"x"}');
    expect([number.kind === 'request' && number.id, string.kind === 'request' && string.id]).toEqual([
      '1',
      '"1"',
    ]);
  });

  it.each([
    ['', 'parse'],
    ['not json', 'parse'],
    ['<html>', 'parse'],
    ['{"jsonrpc":"2.0","id":1,"method":"x"', 'parse'],
    ['{"jsonrpc":"2.0","id":1,"method":"x"} {}', 'parse'],
    ['{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}', 'parse'],
    ['[]', 'invalid'],
    ['1', 'invalid'],
    ['"x"', 'invalid'],
    ['{}', 'invalid'],
    ['{"jsonrpc":"1.0","id":1,"method":"x"}', 'invalid'],
    ['{"jsonrpc":"2.0","id":{},"method":"x"}', 'invalid'],
    ['{"jsonrpc":"2.0","id":null,"method":"x"}', 'invalid'],
    ['{"jsonrpc":"2.0","id":true,"method":"x"}', 'invalid'],
    ['{"jsonrpc":"2.0","id":1,"method":7}', 'invalid'],
    ['{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}', 'invalid'],
    ['{"jsonrpc":"2.0","id":1}', 'invalid'],
    ['{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', 'invalid'],
    ['{"jsonrpc":"2.0","result":{}}', 'invalid'],
  ])('refuses %s', (text, kind) => {
    let thrown: unknown;
    try {
      readEnvelope(text);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(EnvelopeError);
    expect((thrown as EnvelopeError).kind).toBe(kind);
  });
});

describe('withParam', () => {
  it('changes the name and nothing else: big integers, order and unknown fields stay', () => {
    const text =
      '{ "jsonrpc": "2.0", "id": 7, "params": {"arguments":{"n":12345678901234567890,"f":1.0,"name":"a"},"x-new":[1 , 2],"name":"git\\u0068ub__a"}, "method":"tools/call"}';
    const envelope = readEnvelope(text);
    if (envelope.kind !== 'request') throw new Error('no request');
    expect(withParam(envelope, 'name', '"a"')).toBe(text.replace('"git\\u0068ub__a"', '"a"'));
  });
});

describe('answers', () => {
  it('are valid JSON-RPC', () => {
    expect(JSON.parse(errorResponse('null', { code: -32700, message: 'no "JSON"' }))).toEqual({
      jsonrpc: '2.0',
      id: null,
      error: { code: -32700, message: 'no "JSON"' },
    });
    expect(JSON.parse(resultResponse('"a"' as RawJson, '{"tools":[]}'))).toEqual({
      jsonrpc: '2.0',
      id: 'a',
      result: { tools: [] },
    });
  });
});
