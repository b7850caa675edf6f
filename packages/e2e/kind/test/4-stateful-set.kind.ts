/** A StatefulSet with a claim each: up, larger, smaller, deleted; nothing leaks. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { untilVolumesGone, volumeInventory, type Inventory } from '../inventory.ts';
import { apply, dropNamespace, inPod, kubectl, list, makeNamespace, until } from '../kubectl.ts';
import { claim, DATA, podReady, podSpec } from '../workloads.ts';

const SPACE = 'e2e-stateful-set';
const ROLLOUT_MS = 240_000;
let before: Inventory = [];

beforeAll(async () => {
  before = await volumeInventory();
  await makeNamespace(SPACE);
});

afterAll(() => dropNamespace(SPACE));

const statefulSet = (replicas: number): object => {
  const { volumes: _claimed, ...spec } = podSpec({ data: 'file system' }) as { volumes: unknown };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'set' },
    spec: {
      replicas,
      serviceName: 'set',
      podManagementPolicy: 'Parallel',
      selector: { matchLabels: { app: 'set' } },
      template: { metadata: { labels: { app: 'set' } }, spec },
      volumeClaimTemplates: [claim('data', { size: '256Mi' })],
    },
  };
};

async function scaleTo(replicas: number): Promise<void> {
  await kubectl(['scale', 'statefulset', 'set', `--replicas=${replicas}`, '--namespace', SPACE]);
  await until(`${replicas} pods are there`, ROLLOUT_MS, async () => (await list('pods', SPACE)).length === replicas);
  for (let index = 0; index < replicas; index++) await podReady(SPACE, `set-${index}`);
}

it('gives each of three pods a volume of its own', async () => {
  await apply(SPACE, [statefulSet(3)]);
  for (const index of [0, 1, 2]) {
    await podReady(SPACE, `set-${index}`);
    expect(await inPod(SPACE, `set-${index}`, `echo ${index} > ${DATA}/index; sync; ls ${DATA}`)).toContain('index');
  }
});

it('keeps the data of pods that went and came again', async () => {
  await scaleTo(1);
  await scaleTo(4);
  for (const index of [0, 1, 2])
    expect((await inPod(SPACE, `set-${index}`, `cat ${DATA}/index`)).trim()).toBe(`${index}`);
  expect(await inPod(SPACE, 'set-3', `ls ${DATA}`)).not.toContain('index');
});

it('leaves nothing when it is deleted with its claims', async () => {
  await kubectl(['delete', 'statefulset', 'set', '--namespace', SPACE, '--timeout=120s'], '', 130_000);
  await kubectl(['delete', 'pvc', '--all', '--namespace', SPACE, '--timeout=120s'], '', 130_000);
  expect(await untilVolumesGone(before)).toEqual([]);
});
