import { describe, expect, it } from 'vitest';
import { fakeNode, fakeVolume } from '../../test/fake-resources.ts';
import { applyMessage, applyRows } from './apply-event.ts';
import { decodeCollection, decodeResource, DecodeError } from './decode.ts';
import type { StreamName } from './keys.ts';
import { dataLimits } from './limits.ts';
import type { StreamState } from './live-stream.ts';
import { reconnectDelayMs } from './reconnect.ts';
import { connectionOf } from './stream-states.ts';

const message = (...volumes: object[]) => ({ type: 'collection', resourceType: 'volume', data: volumes, links: {} });
const json = (name: string) => fakeVolume(name, 2 ** 31, 2).toJson();

describe('applyMessage', () => {
  it('keeps rows that are equal, so that only what changed is drawn again', () => {
    const before = applyMessage('volumes', undefined, message(json('a'), json('b')));
    const after = applyMessage('volumes', before, message(json('a'), { ...json('b'), robustness: 'degraded' }));
    expect(after).not.toBe(before);
    expect(after[0]).toBe(before[0]);
    expect(after[1]?.robustness).toBe('degraded');
    expect(after[1]?.replicas).toBe(before[1]?.replicas);
  });

  it('keeps the list itself when nothing changed', () => {
    const before = applyMessage('volumes', undefined, message(json('a'), json('b')));
    expect(applyMessage('volumes', before, message(json('a'), json('b')))).toBe(before);
  });

  it('drops rows that are gone and takes new ones', () => {
    const before = applyMessage('volumes', undefined, message(json('a'), json('b')));
    expect(applyMessage('volumes', before, message(json('b'), json('c'))).map(({ id }) => id)).toEqual(['b', 'c']);
    expect(applyRows(before, [])).toEqual([]);
  });

  it.each([
    ['a list of something else', { ...message(), resourceType: 'node' }, /a list of node/],
    ['no list', { type: 'error', message: 'gone' }, /no list/],
    ['a row that is none', message([]), /where a volume belongs/],
  ])('refuses %s', (_name, wrong, words) => {
    expect(() => applyMessage('volumes', undefined, wrong)).toThrow(DecodeError);
    expect(() => applyMessage('volumes', undefined, wrong)).toThrow(words);
  });
});

describe('decode', () => {
  it('makes empty lists and maps of null and of what is missing', () => {
    const volume = decodeResource('volume', { id: 'a', name: 'a', purgeStatus: null });
    expect(volume).toMatchObject({ id: 'a', purgeStatus: [], replicas: [], conditions: {}, size: '', blockedBy: [] });
    expect(volume.kubernetesStatus.workloadsStatus).toEqual([]);
  });

  it('keeps numbers of maps whose schema says text', () => {
    const [node] = decodeCollection('node', { data: [fakeNode('node-a')] });
    expect(node?.disks['default-disk']?.scheduledReplica).toEqual({ 'data-r-1': 2 ** 31, 'data-r-2': 2 ** 32 });
  });
});

describe('reconnectDelayMs', () => {
  it('doubles up to the limit and never ends', () => {
    const delays = [0, 1, 2, 3, 4, 5, 1000].map((attempt) => reconnectDelayMs(attempt, 0.999_999));
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    expect(reconnectDelayMs(0, 0)).toBe(dataLimits.reconnectMsMin / 2);
  });
});

describe('connectionOf', () => {
  const open: StreamState = { state: 'open' };
  const cases: [string, StreamState[]][] = [
    ['open', [open, open]],
    ['lost', [open, { state: 'lost', attempt: 3 }]],
    ['lost', [{ state: 'connecting' }, { state: 'lost', attempt: 0 }]],
    ['connecting', [{ state: 'connecting' }, open]],
    ['open', []],
  ];
  it.each(cases)('is %s', (result, states) => {
    const names: readonly StreamName[] = ['volumes', 'nodes'];
    expect(connectionOf(new Map(states.map((state, index) => [names[index] ?? 'volumes', state])))).toBe(result);
  });
});
