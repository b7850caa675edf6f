import { expect, it } from 'vitest';
import { ManagerClient } from '../api/manager-client.ts';
import type { CallScope } from '../call/scope.ts';
import { expandVolume } from './expand.ts';

/** A manager whose volume is in each of these states for one look, in the last one for ever. */
function manager(states: string[]): { client: ManagerClient; scope: CallScope } {
  let nowMs = 0;
  let looks = 0;
  const clock = {
    now: () => nowMs,
    sleep: (delayMs: number) => {
      nowMs += delayMs;
      return Promise.resolve();
    },
  };
  const fetch = (): Promise<Response> => {
    const state = states[Math.min(looks++, states.length - 1)];
    return Promise.resolve(Response.json({ id: 'vol-1', state, size: String(20 << 20) }));
  };
  const client = new ManagerClient({ baseUrl: 'http://manager/v1', clock, fetch });
  return { client, scope: { signal: new AbortController().signal, clock, warn: () => undefined } };
}

const request = {
  volume_id: 'vol-1',
  capacity_range: { required_bytes: 10n << 20n, limit_bytes: 0n },
  secrets: {},
  volume_capability: null,
};

it.each([
  ['is detached', ['detached']],
  ['has just been made', ['creating', 'detaching', 'detaching', 'detached']],
  ['is being attached', ['attaching', 'attached']],
])('a volume that %s can be expanded', async (_name, states) => {
  const { client, scope } = manager(states);
  expect(await expandVolume(client, request, scope)).toMatchObject({ capacity_bytes: 20n << 20n });
});

it.each(['detaching', 'deleting'])('a volume that stays in state %s cannot', async (state) => {
  const { client, scope } = manager([state]);
  await expect(expandVolume(client, request, scope)).rejects.toThrow(`invalid state ${state} for controller volume`);
});
