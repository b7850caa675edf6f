/** `longhorn-instance-manager process …` and `version`: clients of a running daemon, always in plain text. */
import {
  ProcessManagerService,
  type ProcessManagerServiceMethods,
  type ProcessResponse,
} from '@longhorn/shared-types/generated/nameless';
import { createClient, type ServiceClient } from '@longhorn/shared-types/grpc/client';
import { errorText } from '@longhorn/shared-types/grpc/rpc-error';
import { versionResponse } from '../version.ts';

type Processes = ServiceClient<ProcessManagerServiceMethods>;

async function withClient<T>(url: string, work: (client: Processes) => Promise<T>): Promise<T> {
  const client = createClient(ProcessManagerService, url);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** JSON as upstream prints it: indented by tabs, empty fields left out, maps sorted. */
export function printable(value: unknown): string {
  return JSON.stringify(withoutEmpty(value) ?? {}, null, '\t');
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.length > 0 ? value.map((item) => withoutEmpty(item) ?? item) : undefined;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).flatMap(([key, item]) => {
      const kept = withoutEmpty(item);
      return kept === undefined ? [] : [[key, kept] as const];
    });
    return entries.length > 0 ? Object.fromEntries(entries) : undefined;
  }
  return value === '' || value === 0 || value === false || value === null ? undefined : value;
}

export interface ProcessFlags {
  name: string;
  binary: string;
  portCount: number;
  portArgs: string[];
}

export function createProcess(url: string, flags: ProcessFlags, args: string[]): Promise<ProcessResponse> {
  const { name, binary, portCount, portArgs } = flags;
  const spec = { name, binary, args, port_count: portCount, port_args: portArgs };
  return withClient(url, (client) => client.ProcessCreate({ spec }));
}

export function replaceProcess(
  url: string,
  flags: ProcessFlags & { terminateSignal: string },
  args: string[],
): Promise<ProcessResponse> {
  const { name, binary, portCount, portArgs, terminateSignal } = flags;
  const spec = { name, binary, args, port_count: portCount, port_args: portArgs };
  return withClient(url, (client) => client.ProcessReplace({ spec, terminate_signal: terminateSignal }));
}

export function deleteProcess(url: string, name: string, uuid: string, keepDevice: boolean): Promise<ProcessResponse> {
  return withClient(url, (client) => client.ProcessDelete({ name, uuid, keepDevice }));
}

export function getProcess(url: string, name: string): Promise<ProcessResponse> {
  return withClient(url, (client) => client.ProcessGet({ name }));
}

/** All processes by name, sorted. */
export async function listProcesses(url: string): Promise<Record<string, ProcessResponse>> {
  const { processes } = await withClient(url, (client) => client.ProcessList({}));
  return Object.fromEntries(Object.entries(processes).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Versions of this program and, unless `clientOnly`, of the daemon. */
export async function versions(url: string, clientOnly: boolean): Promise<object> {
  const clientVersion = versionResponse();
  if (clientOnly) return { clientVersion, serverVersion: null };
  const serverVersion = await withClient(url, (client) => client.VersionGet({}));
  return { clientVersion, serverVersion };
}

/** The line that ends a failed command. */
export function fatalLine(command: string, error: unknown): string {
  return `level=fatal msg="Error running ${command} command" error=${JSON.stringify(errorText(error))}`;
}
