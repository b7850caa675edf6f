/** What a volume resource says that several calls ask. */
import type { Resource } from './rest-decoder.ts';

export type VolumeResource = Resource<'volume'>;

/** Bytes of a size as the API writes it; 0 when it is none. */
export function bytesOf(size: string): bigint {
  return /^[0-9]{1,19}$/.test(size) ? BigInt(size) : 0n;
}

/** Nodes on which the volume can be used now. */
export function publishedNodes(volume: VolumeResource): string[] {
  if (volume.state !== 'attached') return [];
  const nodes = volume.controllers.filter(({ endpoint }) => endpoint !== '').map(({ hostId }) => hostId);
  return [...new Set(nodes)].toSorted();
}

/** The sentences of what keeps the volume from being healthy. */
export function blockers(volume: VolumeResource): string {
  return volume.blockedBy.map(({ kind, name, reason }) => `${kind} ${name}: ${reason}`).join('; ');
}

/** Whether people should look after the volume, and why. */
export function volumeCondition(volume: VolumeResource): { abnormal: boolean; message: string } {
  const why = blockers(volume);
  const withReason = (text: string): string => (why === '' ? text : `${text}: ${why}`);
  const waiting = volume.controllers.find(({ ioState }) => ['held', 'failed', 'waiting'].includes(ioState));
  if (waiting !== undefined) {
    return { abnormal: true, message: `I/O of volume ${volume.id} is ${waiting.ioState}: ${waiting.ioReason}` };
  }
  if (volume.robustness === 'faulted' || volume.robustness === 'degraded') {
    return { abnormal: true, message: withReason(`volume ${volume.id} is ${volume.robustness}`) };
  }
  return { abnormal: false, message: `volume ${volume.id} is ${volume.state}` };
}
