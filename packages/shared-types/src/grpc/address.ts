/** Addresses as upstream writes them, and where a server binds. */

/** `tcp://HOST:PORT/v1` -> `HOST:PORT`; `unix://PATH` -> `unix:PATH`. */
export function dialAddress(address: string): string {
  if (address.startsWith('unix://')) return `unix:${address.slice('unix://'.length)}`;
  let text = address;
  for (const prefix of ['tcp://', 'http://']) if (text.startsWith(prefix)) text = text.slice(prefix.length);
  return text.endsWith('/v1') ? text.slice(0, -'/v1'.length) : text;
}

export interface HostPort {
  host: string;
  port: number;
}

/** Splits `HOST:PORT`, `:PORT` (host "") and `[V6]:PORT`; a `tcp://` prefix is ignored. */
export function splitHostPort(address: string): HostPort {
  const text = dialAddress(address);
  const match = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) throw new Error(`invalid address ${JSON.stringify(address)}: write HOST:PORT`);
  return { host: match[1] ?? match[2] ?? '', port };
}

/** `HOST:PORT`, with brackets around an IPv6 address. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Where a server with the listen address `address` binds: a missing host is the pod's address, so that
 * fixed ports of several nodes on one machine do not collide; without one it is all interfaces.
 */
export function bindAddress(address: string, podIp: string): HostPort {
  const { host, port } = splitHostPort(address);
  if (host !== '') return { host, port };
  return { host: podIp === '' ? '0.0.0.0' : podIp, port };
}

/** Host under which this pod's own processes are reached. */
export function probeHost(podIp: string): string {
  return podIp === '' ? 'localhost' : podIp;
}
