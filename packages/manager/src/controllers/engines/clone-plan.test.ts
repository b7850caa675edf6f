import { describe, expect, it } from 'vitest';
import { planClone, type CloneStatuses, type CloneWorld } from './clone-plan.ts';

const A = 'tcp://10.0.0.1:10000';

function said(state: string, progress = 0, snapshot = 's'): NonNullable<CloneWorld['observed']> {
  const error = state === 'error' ? 'old' : '';
  const is_cloning = state === 'in_progress';
  return { [A]: { state, progress, error, is_cloning, from_replica_address: 'f', snapshot_name: snapshot } };
}

function stored(state: string, progress = 0, error = ''): CloneStatuses {
  const isCloning = state === 'in_progress';
  return { [A]: { state, progress, error, isCloning, fromReplicaAddress: 'f', snapshotName: 's' } };
}

const WORLD: CloneWorld = {
  requested: 'snap://v/s',
  stored: {},
  observed: said(''),
  canCopy: true,
  hasSource: true,
  isRunning: false,
  failure: null,
};

describe('the copy that an engine is asked for', () => {
  const complete = stored('complete', 100);
  const going = stored('in_progress', 40);
  const failed = stored('error', 40, 'no space');
  const cases: [string, Partial<CloneWorld>, CloneStatuses, boolean][] = [
    ['is not asked for', { requested: '' }, {}, false],
    ['is not asked for any more after it failed', { requested: '', stored: failed }, {}, false],
    ['is not asked for any more while it went on', { requested: '', stored: going }, {}, false],
    ['is not asked for any more when it is complete', { requested: '', stored: complete }, complete, false],
    ['of an engine that was not heard yet', { observed: null, stored: going }, going, false],
    ['is started', {}, {}, true],
    ['is started over what an earlier try left', { observed: said('error') }, {}, true],
    ['waits for its engine to serve', { canCopy: false }, {}, false],
    ['waits for its source', { hasSource: false }, {}, false],
    ['goes on', { isRunning: true, observed: said('in_progress', 40) }, going, false],
    ['has been started, and no replica says so yet', { isRunning: true, observed: said('error') }, {}, false],
    ['of a manager that is gone is taken over', { observed: said('in_progress', 40), stored: going }, going, true],
    ['of a replica that was started anew is started again', { stored: going }, {}, true],
    ['fails', { failure: 'no space', observed: said('error', 40) }, failed, false],
    ['fails for a reason that no replica knows', { failure: 'no space' }, stored('error', 0, 'no space'), false],
    ['has failed, and is not started before it is asked for anew', { stored: failed }, failed, false],
    ['does not fail with its engine', { failure: 'gone', canCopy: false, stored: going }, going, false],
    ['is complete', { observed: said('complete', 100), stored: going }, complete, false],
    ['is complete, whatever became of the call', { observed: said('complete', 100), failure: 'x' }, complete, false],
    ['of another snapshot does not count', { observed: said('complete', 100, 'other') }, {}, true],
  ];
  it.each(cases)('%s', (_name, change, status, starts) => {
    expect(planClone({ ...WORLD, ...change })).toEqual({ status, starts });
  });
});
