/** Ports for tests and benchmarks that start servers. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

const FIRST_PORT = 20_000;
const RUN_PORTS = 100;
/** Linux gives outgoing connections the ports from 32768: one of these may be taken at any time. */
const RUNS = 127;
/** Processes that start one after the other look at runs far from each other first. */
const RUNS_PER_PROCESS = 7;

/**
 * The first of `count` ports (at most 100) that are free on all of `hosts`; nobody else should take them until they are used.
 * @throws when there are none
 */
export async function freePorts(count: number, hosts: readonly string[] = ['127.0.0.1']): Promise<number> {
  for (let attempt = 0; attempt < RUNS; attempt++) {
    const first = FIRST_PORT + ((process.pid * RUNS_PER_PROCESS + attempt) % RUNS) * RUN_PORTS;
    const ports = Array.from({ length: count }, (_, i) => first + i);
    const servers = await Promise.all(hosts.flatMap((host) => ports.map((port) => listen(host, port))));
    await Promise.all(
      servers.map(async (server) => {
        if (server !== null) await once(server.close(), 'close');
      }),
    );
    if (servers.every((server) => server !== null)) return first;
  }
  throw new Error(`no ${count} free ports on ${hosts.join(', ')}`);
}

/** null: it is taken */
async function listen(host: string, port: number): Promise<Server | null> {
  const server = createServer();
  server.listen(port, host);
  try {
    await once(server, 'listening');
    return server;
  } catch {
    return null;
  }
}
