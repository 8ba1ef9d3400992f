import { describe, expect, it } from 'vitest';
import { messagePath } from '../../../src/upstream/sse-endpoint.ts';

const stream = 'http://10.0.0.7:8000/base/sse?x=1';

describe('the address that an endpoint event names', () => {
  it.each<[string, string]>([
    ['/messages?sessionId=1', '/messages?sessionId=1'],
    ['messages/?session_id=ab', '/base/messages/?session_id=ab'],
    ['?sessionId=1', '/base/sse?sessionId=1'],
    ['../post#fragment', '/post'],
    ['http://10.0.0.7:8000/m', '/m'],
    ['HTTP://10.0.0.7:8000/m', '/m'],
    ['//10.0.0.7:8000/m', '/m'],
    ['/a/%2e%2e/b?q=%20', '/b?q=%20'],
  ])('%s is %s at the same origin', (said, path) => {
    expect(messagePath(said, stream)).toEqual({ path });
  });

  it.each([
    'http://10.0.0.8:8000/m',
    'http://10.0.0.7/m',
    'https://10.0.0.7:8000/m',
    '//169.254.169.254/latest/meta-data',
    '\\\\169.254.169.254/latest',
    'http://10.0.0.7:8000@169.254.169.254/',
    'http://user:secret@10.0.0.7:8000/m',
    'http://10.0.0.7.evil.example:8000/m',
    'file:///etc/passwd',
    'data:text/plain,x',
    'javascript:alert(1)',
  ])('%s is refused: it is not at the address that was registered', (said) => {
    expect(messagePath(said, stream)).toEqual({
      why: expect.stringContaining('not at http://10.0.0.7:8000') as string,
    });
  });

  it.each([
    ' /m',
    '/m\n/n',
    '/m\r\nhost: x',
    '/m\u0000',
    '/mé',
    'http://[',
    'http://10.0.0.7:99999/m',
    '',
    `/${'x'.repeat(5000)}`,
  ])('%j is no URL', (said) => {
    const read = messagePath(said, stream);
    expect(read).toEqual({ why: expect.stringContaining('no URL') as string });
    expect(JSON.stringify(read).length).toBeLessThan(400);
  });

  it('default ports and IPv6 compare as what they mean', () => {
    expect(messagePath('http://[::1]/m', 'http://[0:0::1]:80/sse')).toEqual({ path: '/m' });
    expect(messagePath('https://a.example/m', 'https://a.example:443/sse')).toEqual({ path: '/m' });
  });
});
