/** A snapshot by the example, a claim from it, and a claim from a claim that is being written. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { apply, dropNamespace, get, inPod, kubectl, list, makeNamespace, NAMESPACE, until } from '../kubectl.ts';
import { untilVolumesGone, volumeInventory, type Inventory } from '../inventory.ts';
import { claim, DATA, events, pod, podReady, volumeIs } from '../workloads.ts';

const SPACE = 'e2e-snapshot';
const CLASS = 'longhorn-snapshot-class';
const SOURCE = 'app-data-pvc';
const SNAPSHOT = 'app-daily-snapshot';
let before: Inventory = [];

beforeAll(async () => {
  before = await volumeInventory();
  await makeNamespace(SPACE);
  const snapshotClass = {
    apiVersion: 'snapshot.storage.k8s.io/v1',
    kind: 'VolumeSnapshotClass',
    metadata: { name: CLASS },
    driver: 'driver.longhorn.io',
    deletionPolicy: 'Delete',
    parameters: { type: 'snap' },
  };
  await apply(SPACE, [snapshotClass]);
});

afterAll(async () => {
  await dropNamespace(SPACE);
  await kubectl(['delete', 'volumesnapshotclass', CLASS, '--ignore-not-found']);
});

/** A claim whose content is that of another object. */
const claimFrom = (name: string, source: object, size: string): object => {
  const empty = claim(name, { size }) as { spec: object };
  return { ...empty, spec: { ...empty.spec, dataSource: source } };
};

/** Appends a number a line, each on the disk before it is printed to `log.shown`, until the pod ends. */
const COUNT = `i=0; while :; do i=$((i + 1)); echo $i >> ${DATA}/log; sync ${DATA}/log; echo $i > /tmp/shown.new; mv /tmp/shown.new /tmp/shown; sleep 0.02; done`;

const shown = async (): Promise<number> => Number(await inPod(SPACE, 'source', 'cat /tmp/shown 2>/dev/null || echo 0'));

/** The last number of a log that must be without gaps. */
async function lastOfLog(name: string): Promise<number> {
  const script = `awk '$1 != NR {print "line " NR " is " $1; exit 1} END {print NR}' ${DATA}/log`;
  return Number(await inPod(SPACE, name, script));
}

it('takes the snapshot of the example', async () => {
  await apply(SPACE, [claim(SOURCE), pod('source', { claims: { [SOURCE]: 'file system' } })]);
  await podReady(SPACE, 'source');
  await inPod(
    SPACE,
    'source',
    `head -c 48M /dev/urandom > ${DATA}/content; sync; sha256sum ${DATA}/content > /tmp/sum`,
  );
  await apply(SPACE, readFileSync(join(import.meta.dirname, '../examples/6-csi-snapshot.yaml'), 'utf8'));
  await until(
    'the snapshot is ready to use',
    90_000,
    async () => at(await get('volumesnapshot', SNAPSHOT, SPACE), 'status.readyToUse') === true,
    () => events(SPACE, SNAPSHOT),
  );
  expect(at(await get('volumesnapshot', SNAPSHOT, SPACE), 'status.restoreSize')).toBe('1Gi');
});

it("takes the snapshots of the example's CronJob, by lhctl", async () => {
  await apply(NAMESPACE, [
    {
      apiVersion: 'longhorn.io/v1beta2',
      kind: 'Volume',
      metadata: { name: 'app-data' },
      spec: { size: '67108864', numberOfReplicas: 2 },
    },
  ]);
  await volumeIs('app-data', { state: 'detached' });
  await kubectl(['create', 'job', '--from=cronjob/snapshot-job', 'now', '--namespace', SPACE]);
  await kubectl(['wait', 'job/now', '--for=condition=Complete', '-n', SPACE, '--timeout=120s'], '', 130_000);
  expect(await kubectl(['logs', 'job/now', '--namespace', SPACE])).toMatch(/^snapshot \S+ of volume app-data\n$/);
  const taken = (await list('snapshots.longhorn.io')).filter((each) => at(each, 'spec.volume') === 'app-data');
  expect(taken.map((each) => at(each, 'status.readyToUse'))).toEqual([true]);
  await kubectl(['delete', 'volumes.longhorn.io', 'app-data', '-n', NAMESPACE, '--timeout=60s'], '', 70_000);
});

it('gives a larger claim the content of the snapshot, whatever was written since', async () => {
  await inPod(SPACE, 'source', `head -c 48M /dev/urandom > ${DATA}/content; echo later > ${DATA}/later; sync`);
  const source = { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: SNAPSHOT };
  await apply(SPACE, [claimFrom('restored', source, '2Gi'), pod('restored', { claims: { restored: 'file system' } })]);
  await podReady(SPACE, 'restored');
  const sum = (await inPod(SPACE, 'source', 'cat /tmp/sum')).split(' ')[0];
  const found = await inPod(
    SPACE,
    'restored',
    `sha256sum ${DATA}/content; ls ${DATA}; df --block-size=1 --output=size ${DATA} | tail -1`,
  );
  expect(found.split(' ')[0]).toBe(sum);
  expect(found).not.toContain('later');
  expect(Number(found.trim().split('\n').at(-1))).toBeGreaterThan(1.5 * 2 ** 30);
});

it('copies a claim that is being written: all that was on the disk when the copy was asked for, in order', async () => {
  await inPod(SPACE, 'source', `setsid bash -c '${COUNT}' > /dev/null 2>&1 < /dev/null &`);
  await until('the log grows', 30_000, async () => (await shown()) > 20);
  const atRequest = await shown();
  await apply(SPACE, [
    claimFrom('copy', { kind: 'PersistentVolumeClaim', name: SOURCE }, '1Gi'),
    pod('copy', { claims: { copy: 'file system' } }),
  ]);
  await podReady(SPACE, 'copy');
  const copied = await lastOfLog('copy');
  const written = await shown();
  expect(copied).toBeGreaterThanOrEqual(atRequest);
  expect(copied).toBeLessThan(written);
  expect(await inPod(SPACE, 'copy', `cat ${DATA}/later`)).toBe('later\n');
});

it('leaves nothing when all are deleted', async () => {
  await kubectl(['delete', 'pods,volumesnapshots,pvc', '--all', '-n', SPACE, '--timeout=180s'], '', 200_000);
  expect(await untilVolumesGone(before)).toEqual([]);
});
