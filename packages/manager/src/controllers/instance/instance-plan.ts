/**
 * What to do about the process of an engine or a replica, and how its status reads: a pure function of the object, its
 * instance manager and the process that this one lists.
 *
 *   instance manager      process      was started          was not started
 *   none, unknown         -            unknown              stopped
 *   stopped, error        -            error                stopped
 *   starting              -            error                as it was
 *   running               not listed   error                stopped
 *   running               starting     starting             starting
 *   running               running      running              running
 *   running               stopping     error                stopping
 *   running               stopped      error                stopped
 *   running               error        error                error
 */
import type { Engine, InstanceManager, Replica } from '@longhorn/shared-types';
import { setCondition } from '../conditions.ts';

export type InstanceState = 'running' | 'stopped' | 'error' | 'starting' | 'stopping' | 'unknown';
export type InstanceStatus = Engine['status'] | Replica['status'];
type Process = InstanceManager['status']['instanceEngines'][string];

export interface InstanceQuestion {
  name: string;
  desireState: string;
  nodeId: string;
  image: string;
  status: InstanceStatus;
  /** The one that runs it, or the default one of its node; null if there is none. */
  instanceManager: InstanceManager | null;
  nodeIsDown: boolean;
  /** An engine that ended although it is wanted is started again by its own controller. */
  restarts: boolean;
  nowMs: number;
}

export type InstanceAction =
  | { kind: 'none' }
  | { kind: 'create' }
  /** `keepDevice`: the next engine takes the device over. */
  | { kind: 'delete'; keepDevice: boolean };

function processOf(question: InstanceQuestion): Process | null {
  const manager = question.instanceManager;
  if (manager === null) return null;
  const { instanceEngines, instanceReplicas, instances } = manager.status;
  return instanceEngines[question.name] ?? instanceReplicas[question.name] ?? instances[question.name] ?? null;
}

/** Changes the status in place and says what is to be done; a create or delete is carried out after the status is stored. */
export function planInstance(question: InstanceQuestion): InstanceAction {
  const { status, desireState, instanceManager } = question;
  const process = processOf(question);
  if (process !== null && instanceManager !== null) status.instanceManagerName = instanceManager.metadata.name;
  const action = desireState === 'running' ? planStart(question, process) : planStop(question, process);
  mapState(question, process);
  if (desireState === 'running' && status.currentState === 'error' && process !== null) {
    const message = process.status.errorMsg;
    setCondition(
      status.conditions,
      { type: 'InstanceCreation', status: 'False', reason: 'InstanceCreationFailure', message },
      question.nowMs,
    );
  } else if (status.currentState === 'running' || desireState !== 'running') {
    setCondition(status.conditions, { type: 'InstanceCreation', status: 'True' }, question.nowMs);
  }
  return action;
}

function planStart(question: InstanceQuestion, process: Process | null): InstanceAction {
  const { status, instanceManager, nodeIsDown, restarts } = question;
  if (process?.status.state === 'running') {
    status.started = true;
    status.starting = false;
    return { kind: 'none' };
  }
  if (instanceManager === null || nodeIsDown || instanceManager.status.currentState !== 'running')
    return { kind: 'none' };
  const ended = process === null ? status.started : ['stopped', 'error'].includes(process.status.state);
  if (ended && restarts) {
    status.started = false;
    status.starting = false;
    return process === null ? { kind: 'none' } : { kind: 'delete', keepDevice: true };
  }
  // One of another node is left first.
  if (instanceManager.spec.nodeID !== question.nodeId) return { kind: 'none' };
  if (process === null && !status.started && ['', 'stopped'].includes(status.currentState)) return { kind: 'create' };
  return { kind: 'none' };
}

function planStop({ status, instanceManager }: InstanceQuestion, process: Process | null): InstanceAction {
  const mayRun = process !== null || status.starting;
  const reachable = instanceManager !== null && instanceManager.metadata.deletionTimestamp === null;
  status.started = false;
  if (mayRun && reachable && instanceManager.status.currentState === 'running')
    return { kind: 'delete', keepDevice: false };
  status.starting = false;
  return { kind: 'none' };
}

function mapState(question: InstanceQuestion, process: Process | null): void {
  const { status, instanceManager, nodeId, desireState } = question;
  const state = stateOf(question, process);
  status.currentState = state;
  if (state === 'running' && process !== null && instanceManager !== null) {
    if (nodeId !== instanceManager.spec.nodeID && desireState === 'running') {
      status.currentState = 'error';
      clearAddress(status, true);
      return;
    }
    status.ip = instanceManager.status.ip;
    status.storageIP = instanceManager.status.ip;
    status.port = process.status.portStart;
    status.uuid = process.status.uuid;
    if (status.currentImage === '') status.currentImage = question.image;
    return;
  }
  clearAddress(status, !(state === 'unknown' && status.started));
  if (state === 'stopped' && !keepsInstanceManager(question)) status.instanceManagerName = '';
}

/**
 * Whether an instance without a process stays where it was. What holds the block device of an engine ended by itself
 * lives in that engine's instance manager and cannot be seen from a newer one beside it, which would remove the device.
 */
function keepsInstanceManager({ status, restarts, desireState, nodeId, instanceManager }: InstanceQuestion): boolean {
  if (!restarts || desireState !== 'running') return status.starting;
  return (
    instanceManager !== null &&
    instanceManager.metadata.name === status.instanceManagerName &&
    instanceManager.metadata.deletionTimestamp === null &&
    instanceManager.spec.nodeID === nodeId &&
    ['running', 'unknown'].includes(instanceManager.status.currentState)
  );
}

function stateOf({ instanceManager, status }: InstanceQuestion, process: Process | null): InstanceState {
  const { started } = status;
  const managerState = instanceManager?.status.currentState ?? 'unknown';
  if (instanceManager === null || managerState === 'unknown') return started ? 'unknown' : 'stopped';
  if (managerState === 'stopped' || managerState === 'error' || instanceManager.metadata.deletionTimestamp !== null)
    return started ? 'error' : 'stopped';
  if (managerState !== 'running') return started ? 'error' : asState(status.currentState);
  if (process === null) return started ? 'error' : 'stopped';
  switch (process.status.state) {
    case 'running':
      return 'running';
    case 'starting':
      return 'starting';
    case 'stopping':
      return started ? 'error' : 'stopping';
    case 'stopped':
      return started ? 'error' : 'stopped';
    default:
      return 'error';
  }
}

function asState(text: string): InstanceState {
  switch (text) {
    case 'running':
    case 'error':
    case 'starting':
    case 'stopping':
    case 'unknown':
      return text;
    default:
      return 'stopped';
  }
}

function clearAddress(status: InstanceStatus, withImage: boolean): void {
  status.ip = '';
  status.storageIP = '';
  status.port = 0;
  status.ublkID = 0;
  status.uuid = '';
  if (withImage) status.currentImage = '';
}
