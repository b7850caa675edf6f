/** `longhorn frontend cleanup`: removes what a dead engine left of ours on this node. */
import { cleanupFrontends } from '../frontend/cleanup.ts';
import { deviceLogger } from './device-log.ts';
import { stderrLog } from './stderr-log.ts';

/** Exit code 0 when nothing is left. */
export async function cleanup(options: { volume?: string; all: boolean }): Promise<number> {
  if ((options.volume === undefined) !== options.all) throw new Error('give either --volume NAME or --all');
  const runDir = process.env['LONGHORN_RUN_DIR'] ?? '/var/run/longhorn';
  const volume = options.volume === undefined ? {} : { volume: options.volume };
  const { removed, remaining } = await cleanupFrontends({ ...volume, runDir, logger: deviceLogger() });
  for (const what of removed) stderrLog.info('removed', { what });
  for (const what of remaining) stderrLog.error('cannot remove', { what });
  return remaining.length === 0 ? 0 : 1;
}
