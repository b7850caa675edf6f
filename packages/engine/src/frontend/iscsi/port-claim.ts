/**
 * Which port a volume's target has on a node. Initiators find the next engine by it, so it outlives the engine:
 *
 *     <run dir>/iscsi/<volume>.port    the port; there while a target serves, and after the engine died
 *     <run dir>/iscsi/<volume>.lock    locked by the engine that serves the target, and by a cleaner
 *
 *     engine dies, next one takes over   the same port, which no other volume of the node has taken meanwhile
 *     orderly end (detached)             the record is removed, the port is free for others
 *
 * The run directory is empty after a start of the node.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVolumeName } from '../fuse/device-paths.ts';
import { lockVolume } from '../fuse/volume-lock.ts';
import { ISCSI_PORT, OWN_PORT_TRIES, OWN_PORTS } from './limits.ts';

export interface PortClaim {
  /** Tried one after the other; the first that is free is taken. 0 = any. */
  readonly ports: readonly number[];
  /** The target listens on this one. */
  taken(port: number): void;
  /** An orderly end: the port is anybody's. */
  release(): void;
  /** It did not come to a target: everything is as it was. */
  abandon(): void;
}

/** Ports that the caller answers for. */
export function fixedPorts(ports: readonly number[]): PortClaim {
  const nothing = (): void => undefined;
  return { ports, taken: nothing, release: nothing, abandon: nothing };
}

/**
 * Upstream's port, then those that follow from the name. Each volume has an engine of its own, and only one of a node can have the
 * first; which other one it is stays the same, so that initiators find the volume also after it was attached anew.
 */
export function portsOf(volumeName: string): number[] {
  const hash = createHash('sha256').update(volumeName).digest().readUInt32BE(0);
  const own = Array.from({ length: OWN_PORT_TRIES }, (_, i) => ISCSI_PORT + 1 + ((hash + i) % OWN_PORTS));
  return [ISCSI_PORT, ...own];
}

const RECORD = /^(.+)\.port$/;
const folderOf = (runDir: string): string => join(runDir, 'iscsi');
const recordOf = (volumeName: string, runDir: string): string => join(folderOf(runDir), `${volumeName}.port`);
const lockOf = (volumeName: string, runDir: string): string => join(folderOf(runDir), `${volumeName}.lock`);

/** The port that an engine before us left without an orderly end; null = none. */
export function iscsiPortLeft(volumeName: string, runDir: string): number | null {
  const path = recordOf(volumeName, runDir);
  const text = existsSync(path) ? readFileSync(path, 'latin1') : '';
  const port = /^\d{1,5}\n$/.test(text) ? Number(text) : 0;
  return port > 0 && port < 0x1_0000 ? port : null;
}

/** Volumes that have a record, also one that cannot be read. */
export function volumesWithIscsiPort(runDir: string): string[] {
  const folder = folderOf(runDir);
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((file) => RECORD.exec(file)?.[1] ?? '')
    .filter(isVolumeName);
}

/** Throws when another process serves the volume's target: it may be about to end, so it is worth trying again. */
export function claimPort(volumeName: string, runDir: string): PortClaim {
  if (!isVolumeName(volumeName))
    throw new Error(`volume name ${JSON.stringify(volumeName)} cannot be used for a target`);
  mkdirSync(folderOf(runDir), { recursive: true, mode: 0o700 });
  const lock = lockVolume(lockOf(volumeName, runDir));
  if ('heldBy' in lock) throw new Error(`the iSCSI target of volume ${volumeName} is served by process ${lock.heldBy}`);
  const path = recordOf(volumeName, runDir);
  const before = iscsiPortLeft(volumeName, runDir);
  const others = new Set(
    volumesWithIscsiPort(runDir)
      .filter((name) => name !== volumeName)
      .map((name) => iscsiPortLeft(name, runDir)),
  );
  const own = portsOf(volumeName);
  // A port of another volume only when there is no other: better there than not at all.
  const ports = [...own.filter((port) => !others.has(port)), ...own.filter((port) => others.has(port))];
  return {
    ports: before === null ? ports : [before, ...ports.filter((port) => port !== before)],
    taken(port) {
      writeFileSync(`${path}.new`, `${port}\n`, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
    release() {
      rmSync(path, { force: true });
      lock.release();
    },
    abandon: () => lock.release(),
  };
}

/** For a cleaner: removes what a dead engine left. Answers the pid of the process that serves the target, as text; null = gone. */
export function removeIscsiPort(volumeName: string, runDir: string): string | null {
  const lock = lockVolume(lockOf(volumeName, runDir));
  if ('heldBy' in lock) return lock.heldBy;
  rmSync(recordOf(volumeName, runDir), { force: true });
  lock.release();
  return null;
}
