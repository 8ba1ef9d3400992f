import { describe, expect, it } from 'vitest';
import { challenge } from '../../../src/policy/inbound/challenge.ts';
import {
  canonicalUri,
  metadataPath,
  metadataUrl,
  resourceUri,
} from '../../../src/policy/inbound/resource.ts';

describe('the canonical URI of an endpoint', () => {
  it.each([
    ['https://mcp.example.com', '/mcp', 'https://mcp.example.com/mcp'],
    ['https://MCP.example.com:443/', '/profiles/a/mcp', 'https://mcp.example.com/profiles/a/mcp'],
    ['https://example.com/router/', '/mcp', 'https://example.com/router/mcp'],
    ['http://127.0.0.1:8080', '', 'http://127.0.0.1:8080'],
  ])('%s and %s make %s', (publicUrl, path, expected) => {
    expect(resourceUri(publicUrl, path)).toBe(expected);
  });

  it('leaves what is no URL of a host as it is', () => {
    expect(['api://Router/x', 'urn:My:API', 'plain'].map(canonicalUri)).toEqual([
      'api://Router/x',
      'urn:My:API',
      'plain',
    ]);
  });
});

describe('the metadata of an endpoint', () => {
  it.each([
    ['https://mcp.example.com', '/mcp', 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'],
    ['https://mcp.example.com', '', 'https://mcp.example.com/.well-known/oauth-protected-resource'],
    [
      'https://example.com/router',
      '/mcp',
      'https://example.com/.well-known/oauth-protected-resource/router/mcp',
    ],
  ])('of %s and %s is at %s', (publicUrl, path, expected) => {
    expect(metadataUrl(publicUrl, path)).toBe(expected);
    expect(metadataPath(publicUrl, new URL(expected).pathname)).toBe(path);
  });

  it('is found, too, where a proxy strips the path of the public URL', () => {
    const path = '/.well-known/oauth-protected-resource/mcp';
    expect(metadataPath('https://example.com/router', path)).toBe('/mcp');
  });

  it('is not at other paths', () => {
    for (const path of [
      '/mcp',
      '/.well-known/oauth-protected-resources',
      '/.well-known/openid-configuration',
    ]) {
      expect(metadataPath('https://example.com', path)).toBeUndefined();
    }
  });
});

describe('challenge', () => {
  it('quotes nothing that could end a quoted value or the header', () => {
    const text = challenge({
      metadataUrl: 'https://a/"\r\nSet-Cookie: x',
      scopes: [],
      error: 'invalid_token',
      description: 'a "quoted\\" text — é',
    });
    expect(text).toBe(
      'Bearer error="invalid_token", error_description="a ?quoted?? text ? ?", resource_metadata="https://a/???Set-Cookie: x"',
    );
  });

  it('is a plain one where there is no authorization server to name', () => {
    expect(challenge({ metadataUrl: undefined, scopes: [] })).toBe('Bearer realm="mcp-consul-router"');
  });
});
