/** The URL by which a client sees the API, from which all links are made; behind proxies it is in the headers. */

/** Headers as Node.js gives them. */
export type Headers = Record<string, string | string[] | undefined>;

/** Where a request came in, as the client sees it. */
export interface RequestUrl {
  /** Scheme, host and prefix, without a trailing slash. */
  base: string;
  /** Without the query. */
  current: string;
}

function header(headers: Headers, name: string): string {
  const value = headers[name];
  return ((Array.isArray(value) ? value[0] : value) ?? '').split(',', 1)[0]?.trim() ?? '';
}

function withPort(host: string, port: string): string {
  if (port === '') return host;
  const bare = host.replace(/:[0-9]+$/, '');
  const unported = host.startsWith('[') ? host.replace(/\]:[0-9]+$/, ']') : bare;
  return port === '80' || port === '443' ? unported : `${unported}:${port}`;
}

/** Finds the base URL: `X-API-request-url`, else the forwarding headers, else the request itself. */
export function requestUrl(headers: Headers, path: string): RequestUrl {
  const given = header(headers, 'x-api-request-url').split('?', 1)[0] ?? '';
  if (URL.canParse(given)) {
    const at = given.lastIndexOf(path);
    const base = path !== '/' && at > 0 ? given.slice(0, at) : new URL(given).origin;
    return { base: base.replace(/\/$/, ''), current: given };
  }
  const scheme = header(headers, 'x-forwarded-proto');
  const host = header(headers, 'host');
  const base =
    scheme === 'http' || scheme === 'https'
      ? `${scheme}://${withPort(header(headers, 'x-forwarded-host') || host, header(headers, 'x-forwarded-port'))}`
      : `http://${host}`;
  return { base, current: `${base}${path}` };
}

const LOOPBACK = /^(127\.[0-9.]+|localhost|\[::1\])$/;

/** Whether an address to listen on can only be reached from this machine. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address) || address === '::1';
}

function hostName(host: string): string {
  return host.replace(/:[0-9]+$/, '').toLowerCase();
}

/**
 * Why a request to a loopback address is refused; null when it is not. A page of some web site must not reach the API
 * through the browser of the person who runs it: neither by a name that resolves to loopback, nor from its origin.
 */
export function foreignRequest(headers: Headers): string | null {
  const host = hostName(header(headers, 'host'));
  const isIp = /^([0-9.]+|\[[0-9a-f:]+\])$/.test(host);
  // Not longhorn-backend.NAMESPACE: with a top level domain as the namespace anybody could own that name.
  const isService = host === 'localhost' || /^longhorn-[a-z-]+(\.[a-z0-9-]+\.svc(\.cluster\.local)?)?$/.test(host);
  if (!isIp && !isService) return `Host ${JSON.stringify(host)} is not this server; use its IP address or localhost`;
  const origin = header(headers, 'origin');
  if (origin === '') return null;
  const originHost = URL.canParse(origin) ? hostName(new URL(origin).host) : '';
  return LOOPBACK.test(originHost) || originHost === host
    ? null
    : `Origin ${JSON.stringify(origin)} may not use this server`;
}
