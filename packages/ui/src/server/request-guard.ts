/**
 * Who may talk to the server. The API behind it has no login, so a web page of somebody else must not reach it through
 * a visitor's browser:
 *
 * - a host name that is not ours is refused: it may have been pointed at this address by its owner (DNS rebinding).
 *   Addresses in numbers cannot be pointed anywhere and are let through;
 * - a request that a page of another origin makes is refused, reading or writing.
 */
import { isIP } from 'node:net';

/** What of a request decides. */
export interface RequestOrigin {
  host: string | undefined;
  origin: string | undefined;
  /** `Sec-Fetch-Site` */
  fetchSite: string | undefined;
  /** A top level navigation: a link to the page from elsewhere is fine. */
  isNavigation: boolean;
}

/** Host name of a `Host` header, without port and brackets, in lower case; null when it is none. */
export function hostName(host: string): string | null {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?$/.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase() ?? null;
}

/** Why a request is refused; null: it is served. */
export function refusal(request: RequestOrigin, knownHosts: ReadonlySet<string>): string | null {
  const { host = '', origin, fetchSite, isNavigation } = request;
  const name = hostName(host);
  if (name === null) return 'the request has no valid Host header';
  if (isIP(name) === 0 && name !== 'localhost' && !name.endsWith('.localhost') && !knownHosts.has(name)) {
    return `host ${JSON.stringify(name)} is not known here: use the address in numbers, or add the name to LONGHORN_UI_HOSTS`;
  }
  if (origin !== undefined && !sameHost(origin, host)) {
    return `a page of ${JSON.stringify(origin.slice(0, 200))} may not use this address`;
  }
  if (fetchSite === 'cross-site' && !isNavigation) return 'a page of another site may not use this address';
  return null;
}

function sameHost(origin: string, host: string): boolean {
  const url = URL.parse(origin);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  // URL drops the default port, so it is dropped from the Host header in the same way.
  return url.host === URL.parse(`${url.protocol}//${host}`)?.host;
}

/** Names from `LONGHORN_UI_HOSTS`: comma separated; `''` gives none. */
export function knownHosts(text: string): Set<string> {
  return new Set(
    text
      .split(',')
      .map((one) => one.trim().toLowerCase())
      .filter((one) => one !== ''),
  );
}
