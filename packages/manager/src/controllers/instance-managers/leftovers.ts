/**
 * Engine processes that were left behind: their node was away when the engine was ended or started elsewhere. They
 * serve nobody (the replicas are fenced or stopped), but keep their node from being drained. Pure.
 *
 *   the Engine object                                     its process here
 *   is gone                                               is left over
 *   names a running instance manager of another node      is left over
 *   names none, is stopped, and its volume is detached    is left over
 *   anything else                                         is not, or in doubt: stays
 */
import type { Engine, InstanceManager, Volume } from '@longhorn/shared-types';

export interface EngineProcess {
  name: string;
  uuid: string;
  /** The one that runs it. */
  manager: InstanceManager;
}

export interface EngineFacts {
  /** The object of that name. */
  engine: Engine | null;
  /** All engines of the volume that the name tells. */
  siblings: readonly Engine[];
  /** Null if there is none, and while the engine is gone. */
  volume: Volume | null;
  /** The instance manager that the engine names. */
  named: InstanceManager | null;
}

export function isLeftOver(
  { uuid, manager }: EngineProcess,
  { engine, siblings, volume, named }: EngineFacts,
): boolean {
  const { nodeID } = manager.spec;
  // Without it not even the right process could be ended; and the end of one would take the device of the other.
  if (uuid === '' || siblings.some(({ spec }) => spec.nodeID === nodeID)) return false;
  if (engine === null) return true;
  const { status, spec } = engine;
  if (engine.metadata.deletionTimestamp !== null || spec.nodeID === nodeID || status.uuid === uuid) return false;
  if (status.instanceManagerName !== '')
    return named !== null && named.status.currentState === 'running' && named.spec.nodeID !== nodeID;
  const isStopped = ['', 'stopped'].includes(status.currentState) && !status.started && !status.starting;
  const isDetached = volume === null || (volume.spec.nodeID === '' && volume.status.currentNodeID === '');
  return spec.desireState === 'stopped' && spec.nodeID === '' && isStopped && isDetached;
}
