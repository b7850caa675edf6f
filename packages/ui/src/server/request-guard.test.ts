import { describe, expect, it } from 'vitest';
import { hostName, knownHosts, refusal, type RequestOrigin } from './request-guard.ts';

const hosts = knownHosts('longhorn.example.com, storage.lan');
const request = (fields: Partial<RequestOrigin>): RequestOrigin => ({
  host: '127.0.0.1:9580',
  origin: undefined,
  fetchSite: undefined,
  isNavigation: false,
  ...fields,
});

describe('refusal', () => {
  const served: [string, Partial<RequestOrigin>][] = [
    ['the loopback address', {}],
    ['localhost', { host: 'localhost:8000' }],
    ['an IPv6 address', { host: '[::1]:8000', origin: 'http://[::1]:8000' }],
    ['an address of a node', { host: '10.0.0.7:30080', origin: 'http://10.0.0.7:30080' }],
    ['a known name', { host: 'longhorn.example.com', origin: 'https://longhorn.example.com' }],
    ['a default port that only one side names', { host: 'storage.lan:80', origin: 'http://storage.lan' }],
    ['a link from another site', { fetchSite: 'cross-site', isNavigation: true }],
  ];
  it.each(served)('serves %s', (_name, fields) => {
    expect(refusal(request(fields), hosts)).toBeNull();
  });

  const refused: [string, Partial<RequestOrigin>, RegExp][] = [
    ['a name that was pointed here', { host: 'evil.example' }, /evil\.example.*LONGHORN_UI_HOSTS/],
    ['no host', { host: undefined }, /Host header/],
    ['a host that is none', { host: 'a b' }, /Host header/],
    ['a page of another origin', { origin: 'http://evil.example' }, /evil\.example/],
    ['another port of this host', { origin: 'http://127.0.0.1:1' }, /127\.0\.0\.1:1/],
    ['a sandboxed page', { origin: 'null' }, /null/],
    ['an image of another site', { fetchSite: 'cross-site' }, /another site/],
  ];
  it.each(refused)('refuses %s', (_name, fields, reason) => {
    expect(refusal(request(fields), hosts)).toMatch(reason);
  });
});

describe('hostName', () => {
  it.each([
    ['LOCALHOST:1', 'localhost'],
    ['[2001:DB8::1]:80', '2001:db8::1'],
    ['host', 'host'],
    ['host:port', null],
    ['', null],
  ])('reads %j as %j', (text, name) => {
    expect(hostName(text)).toBe(name);
  });
});
