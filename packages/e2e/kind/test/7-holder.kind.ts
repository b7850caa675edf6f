/** A volume that is in use elsewhere: the pod's event says who holds it, and the pod starts when that one lets go. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { apply, dropNamespace, inPod, makeNamespace, rest, until } from '../kubectl.ts';
import { workers } from '../nodes.ts';
import { claim, DATA, deletePod, eventOf, pod, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-holder';
let nodes: string[] = [];

beforeAll(async () => {
  nodes = await workers();
  await makeNamespace(SPACE);
});
afterAll(() => dropNamespace(SPACE));

const nodeAt = (index: number): string => {
  const node = nodes[index];
  if (node === undefined) throw new Error(`${index + 1} nodes that take pods are needed`);
  return node;
};

it('lets the second of two pods on two nodes wait for the first, by name', async () => {
  await apply(SPACE, [claim('data'), pod('first', { claims: { data: 'file system' }, node: nodeAt(0) })]);
  await podReady(SPACE, 'first');
  await inPod(SPACE, 'first', `echo first > ${DATA}/who; sync`);
  await apply(SPACE, [pod('second', { claims: { data: 'file system' }, node: nodeAt(1) })]);
  await eventOf(SPACE, 'second', /FailedAttachVolume.*first/);
  await deletePod(SPACE, 'first');
  await podReady(SPACE, 'second');
  expect((await inPod(SPACE, 'second', `cat ${DATA}/who`)).trim()).toBe('first');
  await deletePod(SPACE, 'second');
});

it('names the ticket of a person who has attached the volume on another node', async () => {
  const volume = await volumeOf(SPACE, 'data');
  await volumeIs(volume, { state: 'detached' });
  const ticket = 'by-hand';
  const hold = { hostId: nodeAt(2), attacherType: 'longhorn-api', attachmentID: ticket };
  // Refused while the node's engine image is not ready, which a busy machine shows now and then.
  await until('the volume can be attached by hand', 60_000, () =>
    rest('POST', `volumes/${volume}?action=attach`, hold),
  );
  await volumeIs(volume, { state: 'attached', currentNodeID: nodeAt(2) });
  await apply(SPACE, [pod('third', { claims: { data: 'file system' }, node: nodeAt(0) })]);
  await eventOf(SPACE, 'third', new RegExp(`FailedAttachVolume.*${nodeAt(2)}`));
  await rest('POST', `volumes/${volume}?action=detach`, { attachmentID: ticket, hostId: nodeAt(2) });
  await podReady(SPACE, 'third');
  expect((await inPod(SPACE, 'third', `cat ${DATA}/who`)).trim()).toBe('first');
});
