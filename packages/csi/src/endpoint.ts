/** Where the plugin listens, and making room for its socket. */
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Identity } from '@longhorn/shared-types/generated/csi-v1';
import { splitHostPort } from '@longhorn/shared-types/grpc/address';
import { createClient } from '@longhorn/shared-types/grpc/client';
import type { RpcServer } from '@longhorn/shared-types/grpc/server';

export type Endpoint = Parameters<RpcServer['listen']>[0];

const OTHER_ANSWERS_WITHIN_MS = 2_000;

/** `unix://PATH` or `tcp://HOST:PORT`, in any case of the scheme. */
export function parseEndpoint(text: string): Endpoint {
  const [, scheme = '', rest = ''] = /^(unix|tcp):\/\/(.+)$/is.exec(text) ?? [];
  if (scheme.toLowerCase() === 'unix') return { socketPath: resolve(`/${rest}`) };
  if (scheme.toLowerCase() === 'tcp') return splitHostPort(rest);
  throw new Error(`invalid endpoint: ${text}: write unix:///PATH or tcp://HOST:PORT`);
}

async function driverBehind(socketPath: string): Promise<string | null> {
  const client = createClient(Identity, `unix://${socketPath}`, { timeoutMs: OTHER_ANSWERS_WITHIN_MS });
  try {
    return (await client.GetPluginInfo({})).name;
  } catch {
    // Nobody listens, or a process that is dying or hangs: its socket can be taken over.
    return null;
  } finally {
    client.close();
  }
}

/** Removes what a dead plugin left. A living one keeps its socket: two plugins must not change the same mounts. */
export async function makeRoom(endpoint: Endpoint): Promise<void> {
  if (!('socketPath' in endpoint)) return;
  const { socketPath } = endpoint;
  mkdirSync(dirname(socketPath), { recursive: true });
  const stat = lstatSync(socketPath, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw new Error(`${socketPath} exists and is not a socket: move it away`);
  const driver = await driverBehind(socketPath);
  if (driver !== null) {
    throw new Error(`another plugin (${driver}) serves ${socketPath}: stop it first, or use another --endpoint`);
  }
  rmSync(socketPath);
}
