/**
 * Where a node keeps what, and by which addresses it is reached.
 */
import { join } from 'node:path';

export interface NodePaths {
  root: string;
  /** the node's disk: mount point of its own file system, or a plain folder */
  disk: string;
  diskImage: string;
  /** sockets and device state; empty after a power-cut */
  run: string;
  logs: string;
  podLogs: string;
  instanceLogs: string;
  bootId: string;
  state: string;
}

export interface NodeAddresses {
  name: string;
  index: number;
  address: string;
  podAddress: (host: number) => string;
  podRange: string;
}

/** Layout of a node's folder. */
export function nodePaths(clusterFolder: string, name: string): NodePaths {
  const root = join(clusterFolder, 'nodes', name);
  const logs = join(root, 'logs');
  return {
    root,
    disk: join(root, 'disk'),
    diskImage: join(root, 'disk.img'),
    run: join(root, 'run'),
    logs,
    podLogs: join(logs, 'pods'),
    instanceLogs: join(logs, 'instances'),
    bootId: join(root, 'boot-id'),
    state: join(root, 'node.json'),
  };
}

/**
 * Addresses of node number `index` (from 1). `instance` sets clusters on one machine apart; 0 gives 127.0.0.(N+1) for
 * nodes and 127.1.N.x for pods.
 */
export function nodeAddresses(index: number, instance: number): NodeAddresses {
  const pods = `127.${instance + 1}.${index}`;
  return {
    name: `node-${index}`,
    index,
    address: `127.0.${instance}.${index + 1}`,
    podAddress: (host) => `${pods}.${host}`,
    podRange: `${pods}.0/24`,
  };
}

/** Address of the service number `host`. */
export const serviceAddress = (instance: number, host: number): string =>
  `127.${instance + 101}.${host >> 8}.${host & 255}`;
