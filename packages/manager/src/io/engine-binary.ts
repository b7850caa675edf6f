/** Asks an engine binary on this node for its versions. */
import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';

/** What `longhorn version --client-only` tells. */
export interface EngineVersions {
  version: string;
  gitCommit: string;
  buildDate: string;
  cliAPIVersion: number;
  cliAPIMinVersion: number;
  controllerAPIVersion: number;
  controllerAPIMinVersion: number;
  dataFormatVersion: number;
  dataFormatMinVersion: number;
}

const run = promisify(execFile);
const TIMEOUT_MS = 20_000;

function field(record: object, name: string): unknown {
  return Reflect.get(record, name);
}

function textOf(record: object, name: string): string {
  const value = field(record, name);
  return typeof value === 'string' ? value : '';
}

function numberOf(record: object, name: string): number {
  const value = field(record, name);
  return typeof value === 'number' ? value : 0;
}

/** Null if the binary is not there. */
export async function engineVersions(path: string): Promise<EngineVersions | null> {
  try {
    await access(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
  const { stdout } = await run(path, ['version', '--client-only'], { timeout: TIMEOUT_MS });
  const parsed: unknown = JSON.parse(stdout);
  const client = typeof parsed === 'object' && parsed !== null ? field(parsed, 'clientVersion') : null;
  if (typeof client !== 'object' || client === null) throw new Error(`${path} version answers no clientVersion`);
  return {
    version: textOf(client, 'version'),
    gitCommit: textOf(client, 'gitCommit'),
    buildDate: textOf(client, 'buildDate'),
    cliAPIVersion: numberOf(client, 'cliAPIVersion'),
    cliAPIMinVersion: numberOf(client, 'cliAPIMinVersion'),
    controllerAPIVersion: numberOf(client, 'controllerAPIVersion'),
    controllerAPIMinVersion: numberOf(client, 'controllerAPIMinVersion'),
    dataFormatVersion: numberOf(client, 'dataFormatVersion'),
    dataFormatMinVersion: numberOf(client, 'dataFormatMinVersion'),
  };
}
