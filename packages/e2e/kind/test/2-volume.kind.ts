/** One volume of the default class: written in one pod, read in another on another node; a raw block volume; nothing is left. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { untilVolumesGone, volumeInventory, type Inventory } from '../inventory.ts';
import { apply, dropNamespace, inPod, kubectl, makeNamespace } from '../kubectl.ts';
import { workers } from '../nodes.ts';
import { claim, DATA, deletePod, DEVICE, pod, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-volume';
let before: Inventory = [];
let nodes: string[] = [];

beforeAll(async () => {
  before = await volumeInventory();
  nodes = await workers();
  await makeNamespace(SPACE);
});

afterAll(() => dropNamespace(SPACE));

it('keeps what a pod wrote for a pod on another node', async () => {
  const [first, second] = nodes;
  if (first === undefined || second === undefined) throw new Error('two nodes that take pods are needed');
  await apply(SPACE, [claim('data'), pod('writer', { claims: { data: 'file system' }, node: first })]);
  await podReady(SPACE, 'writer');
  const sums = await inPod(
    SPACE,
    'writer',
    `head -c 64M /dev/urandom > ${DATA}/content; sync; sha256sum ${DATA}/content; mount | grep ' ${DATA} '`,
  );
  expect(sums).toContain('type ext4');
  await deletePod(SPACE, 'writer');
  await apply(SPACE, [pod('reader', { claims: { data: 'file system' }, node: second })]);
  await podReady(SPACE, 'reader');
  const read = await inPod(SPACE, 'reader', `sha256sum ${DATA}/content`);
  expect(read.split(' ')[0]).toBe(sums.split(' ')[0]);
  await volumeIs(await volumeOf(SPACE, 'data'), { state: 'attached', robustness: 'healthy', currentNodeID: second });
});

it('gives a pod a raw block device', async () => {
  await apply(SPACE, [claim('block', { isBlock: true }), pod('block', { claims: { block: 'block' } })]);
  await podReady(SPACE, 'block');
  const job = `fio --name=verify --filename=${DEVICE} --direct=1 --rw=randwrite --bs=16k --iodepth=8 --ioengine=libaio --size=256M --verify=crc32c --do_verify=1 --verify_fatal=1`;
  expect(await inPod(SPACE, 'block', `blockdev --getsize64 ${DEVICE}; ${job}`)).toMatch(/^1073741824\n/);
});

it('leaves nothing when pods and claims are deleted', async () => {
  await kubectl(['delete', 'pods,pvc', '--all', '--namespace', SPACE, '--timeout=180s'], '', 200_000);
  expect(await untilVolumesGone(before)).toEqual([]);
});
