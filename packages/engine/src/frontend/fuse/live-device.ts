/** Finds a device that outlived the engine that served it. Looks at /proc and /sys only, so it never waits for the device. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type DevicePaths, devicePaths } from './device-paths.ts';
import { type DeviceRecord, kernelBootId, nodeBootId, readRecord } from './device-record.ts';
import { heldConnectionId, isHolder } from './holder.ts';
import { isAttached } from './loop-device.ts';

/** A device session without, or soon without, an engine. */
export interface LiveDevice {
  volumeName: string;
  sizeBytes: number;
  /** what users have open, or will open again */
  endpoint: string;
  holderPid: number;
}

/** Why a record's device cannot be taken over; null = it can. */
export const whyNotLive = (record: DeviceRecord, recordPath: string): string | null => {
  if (record.kernelBootId !== kernelBootId()) return 'the machine was started anew since';
  if (record.nodeBootId !== nodeBootId()) return 'the node was started anew since';
  if (!record.canResend) return 'this kernel cannot hand out unanswered requests again (needs Linux 6.9)';
  if (!isHolder(record.holder, recordPath)) return `its holder process ${record.holder.pid} is gone`;
  const held = heldConnectionId(record.holder.pid);
  if (held !== 0 && held !== record.connectionId) return `its holder keeps another connection (${held})`;
  if (!isAttached(record.loop)) return `loop device ${record.loop.number} is detached or another's`;
  return null;
};

/** The live record at a volume's paths, or null. */
export const readLiveRecord = (paths: DevicePaths): DeviceRecord | null => {
  const record = readRecord(paths.record);
  if (record === null || record === 'damaged') return null;
  return whyNotLive(record, paths.record) === null ? record : null;
};

/**
 * The device session of a volume on this node that the next engine would take over, or null. It does not say whether an
 * engine serves it now: opening the frontend finds that out.
 */
export const findLiveDevice = (volumeName: string, runDir: string): LiveDevice | null => {
  if (!existsSync(join(runDir, 'devices'))) return null;
  const paths = devicePaths(volumeName, runDir);
  const record = readLiveRecord(paths);
  if (record === null) return null;
  return {
    volumeName,
    sizeBytes: record.sizeBytes,
    endpoint: record.node?.path ?? paths.node,
    holderPid: record.holder.pid,
  };
};
