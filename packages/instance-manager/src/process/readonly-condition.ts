/** Keeps the condition `FilesystemReadOnly` of running engines as the mount table has it. */
import { stagingMounts, volumeHash, type Mount } from '../node/mounts.ts';
import type { ManagedProcess } from './managed-process.ts';

const CONDITION = 'FilesystemReadOnly';

/** Sets, changes or takes away the condition of every process. */
export function refreshReadOnlyConditions(processes: readonly ManagedProcess[], mounts: readonly Mount[]): void {
  const staged = stagingMounts(mounts);
  for (const process of processes) {
    if (process.kind !== 'engine') continue;
    const mount = process.state === 'running' ? staged.get(volumeHash(volumeOf(process))) : undefined;
    process.setCondition(CONDITION, mount ? mount.options.includes('ro') : null);
  }
}

function volumeOf(process: ManagedProcess): string {
  return process.device?.volume ?? process.spec.name.split('-').slice(0, -2).join('-');
}
