/**
 * How far a volume has come that is a copy of another one. Pure; everything that depends on it asks here: where it and its
 * source are attached, how many replicas it gets, whether a workload may have it, whether its snapshot may go.
 *
 *     copying ──► awaiting (its replicas) ──► completed
 *        │  ▲
 *        ▼  └─ the time of the next try has come
 *     resting ──► given-up, after the last try, or when there is nothing to copy from
 */
import { deterministicUuid, parseDataSource, type Volume } from '@longhorn/shared-types';
import { parseTime } from './clock.ts';
import { limits } from './limits.ts';

export type CloneStage = 'none' | 'copying' | 'resting' | 'awaiting' | 'completed' | 'given-up';

export function cloneStage({ spec, status }: Volume, nowMs: number): CloneStage {
  if (spec.dataSource === '') return 'none';
  switch (status.cloneStatus.state) {
    case 'completed':
      return 'completed';
    case 'copy-completed-awaiting-healthy':
      return 'awaiting';
    case 'failed': {
      const nextMs = parseTime(status.cloneStatus.nextAllowedAttemptAt);
      if (nextMs === null || status.cloneStatus.attemptCount >= limits.cloneAttemptsMax) return 'given-up';
      return nextMs > nowMs ? 'resting' : 'copying';
    }
    case '':
    case 'initiated':
    default:
      return 'copying';
  }
}

/** The first replica gets the data; the others are made from it. */
export function hasOneReplica(stage: CloneStage): boolean {
  return stage === 'copying' || stage === 'resting' || stage === 'given-up';
}

/** It is attached for the copy, and nobody else may have it. */
export function isAttachedForClone(stage: CloneStage): boolean {
  return stage === 'copying' || stage === 'awaiting';
}

/** Nobody may have it as its content is not there. */
export function isIncomplete(stage: CloneStage): boolean {
  return stage !== 'none' && stage !== 'completed';
}

/** The source's data is still needed. */
export function needsSource(stage: CloneStage): boolean {
  return stage === 'copying' || stage === 'resting';
}

/** When a resting copy goes on; null for others. */
export function cloneResumesAtMs(volume: Volume, nowMs: number): number | null {
  return cloneStage(volume, nowMs) === 'resting' ? parseTime(volume.status.cloneStatus.nextAllowedAttemptAt) : null;
}

/** Name of the volume that a copy, as long as it is not complete, is made from; '' for none. */
export function sourceOfCopy({ spec, status }: Volume): string {
  if (spec.dataSource === '' || status.cloneStatus.state === 'completed') return '';
  return parseDataSource(spec.dataSource)?.volume ?? '';
}

/** Snapshot that is taken of a whole volume for a copy of it. */
export function cloneSnapshotName(source: Volume, target: Volume): string {
  return deterministicUuid(`${source.metadata.uid}${target.metadata.uid}`);
}
