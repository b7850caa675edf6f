/** What the environment says, in the words of upstream's image. */
import { isIP } from 'node:net';
import { knownHosts } from './request-guard.ts';

/** How the server is set up. */
export interface ServerSettings {
  /** where the API is: scheme, host and port */
  managerUrl: string;
  listenHost: string;
  listenPort: number;
  /** host names besides addresses in numbers and localhost under which the page may be opened */
  hosts: ReadonlySet<string>;
}

/** Reads the environment; what is wrong is said with the name of the variable. */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): ServerSettings {
  const manager = environment['LONGHORN_MANAGER_IP'] ?? 'http://localhost:9500';
  const url = URL.parse(manager);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Error(`LONGHORN_MANAGER_IP must be a URL such as http://longhorn-backend:9500, not ${manager}`);
  }
  const portText = environment['LONGHORN_UI_PORT'] ?? environment['PORT'] ?? '8000';
  const listenPort = Number(portText);
  if (!/^[0-9]{1,5}$/.test(portText) || listenPort > 65_535) {
    throw new Error(`LONGHORN_UI_PORT must be a port from 0 to 65535, not ${portText}`);
  }
  const listenHost = environment['HOST'] ?? environment['POD_IP'] ?? '127.0.0.1';
  if (isIP(listenHost) === 0 && listenHost !== 'localhost') {
    throw new Error(`HOST must be an address such as 127.0.0.1 or 0.0.0.0, not ${listenHost}`);
  }
  return { managerUrl: url.origin, listenHost, listenPort, hosts: knownHosts(environment['LONGHORN_UI_HOSTS'] ?? '') };
}
