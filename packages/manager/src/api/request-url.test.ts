import { describe, expect, it } from 'vitest';
import { foreignRequest, isLoopback, requestUrl } from './request-url.ts';

describe('requestUrl', () => {
  it.each([
    [{ host: 'h:9500' }, '/v1/volumes', 'http://h:9500', 'http://h:9500/v1/volumes'],
    [{ host: 'h:9500', 'x-forwarded-proto': 'https' }, '/v1', 'https://h:9500', 'https://h:9500/v1'],
    [
      { host: 'h', 'x-forwarded-proto': 'https', 'x-forwarded-host': 'ui.example, other' },
      '/v1',
      'https://ui.example',
      'https://ui.example/v1',
    ],
    [
      { host: 'h:1', 'x-forwarded-proto': 'http', 'x-forwarded-port': '8080' },
      '/v1',
      'http://h:8080',
      'http://h:8080/v1',
    ],
    [
      { host: '[::1]:1', 'x-forwarded-proto': 'https', 'x-forwarded-port': '443' },
      '/v1',
      'https://[::1]',
      'https://[::1]/v1',
    ],
    [
      { host: 'h', 'x-api-request-url': 'https://r/k8s/proxy/v1/volumes/v1?x=1' },
      '/v1/volumes/v1',
      'https://r/k8s/proxy',
      'https://r/k8s/proxy/v1/volumes/v1',
    ],
    [{ host: 'h', 'x-api-request-url': 'https://r/elsewhere' }, '/v1', 'https://r', 'https://r/elsewhere'],
    [{ host: 'h', 'x-api-request-url': 'nonsense' }, '/v1', 'http://h', 'http://h/v1'],
    [{ host: 'h', 'x-forwarded-proto': 'gopher' }, '/v1', 'http://h', 'http://h/v1'],
  ])('%j with path %s', (headers, path, base, current) => {
    expect(requestUrl(headers, path)).toEqual({ base, current });
  });
});

describe('foreignRequest', () => {
  it.each([
    { host: '127.0.0.2:9500' },
    { host: '[::1]:9500' },
    { host: 'localhost:9500', origin: 'http://localhost:3000' },
    { host: 'longhorn-backend:9500' },
    { host: 'longhorn-backend.longhorn-system.svc:9500' },
    { host: '10.42.0.7:9500', origin: 'http://10.42.0.7' },
  ])('lets %j in', (headers) => {
    expect(foreignRequest(headers)).toBeNull();
  });

  it.each([
    { host: 'evil.example:9500' },
    { host: 'longhorn-backend.evil.example' },
    { host: 'longhorn-backend.app' },
    { host: '' },
    { host: '127.0.0.2:9500', origin: 'http://evil.example' },
    { host: '127.0.0.2:9500', origin: 'http://127.0.0.2.evil.example' },
    { host: '127.0.0.2:9500', origin: 'null' },
  ])('keeps %j out', (headers) => {
    expect(foreignRequest(headers)).not.toBeNull();
  });

  it('is asked on loopback addresses only', () => {
    expect(['127.0.0.2', '127.1.3.4', 'localhost', '::1'].every(isLoopback)).toBe(true);
    expect(['10.0.0.1', '', '127.evil.example', '0.0.0.0'].some(isLoopback)).toBe(false);
  });
});
