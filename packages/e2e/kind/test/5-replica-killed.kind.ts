/** A raw block volume that is written and verified while one of its replicas is killed, and after it was rebuilt. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { apply, dropNamespace, inPod, list, makeNamespace, until } from '../kubectl.ts';
import { onNode, processesOf } from '../nodes.ts';
import { claim, DEVICE, pod, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-replica-killed';
const LOAD_S = 120;
const SIZE = '512M';

beforeAll(() => makeNamespace(SPACE));
afterAll(() => dropNamespace(SPACE));

const fio = (options: string): string =>
  `fio --name=verify --filename=${DEVICE} --direct=1 --ioengine=libaio --iodepth=8 --bs=16k --size=${SIZE} --verify=crc32c --verify_fatal=1 ${options}`;

it('serves every read and write while a replica process is killed, and is healthy afterwards', async () => {
  await apply(SPACE, [claim('block', { isBlock: true }), pod('load', { claims: { block: 'block' } })]);
  await podReady(SPACE, 'load');
  const volume = await volumeOf(SPACE, 'block');
  await volumeIs(volume, { state: 'attached', robustness: 'healthy' });
  const load = inPod(
    SPACE,
    'load',
    fio(`--rw=randwrite --time_based --runtime=${LOAD_S} --rate=8m --do_verify=1 --verify_backlog=1024`),
    (LOAD_S + 120) * 1000,
  );
  const [replica] = (await list('replicas.longhorn.io')).filter((each) => at(each, 'spec.volumeName') === volume);
  if (replica === undefined) throw new Error(`volume ${volume} has no replica`);
  const node = String(at(replica, 'spec.nodeID'));
  await until(
    'the load runs',
    60_000,
    async () => (await inPod(SPACE, 'load', 'grep -lx fio /proc/[0-9]*/comm || true')) !== '',
  );
  const [pid] = await processesOf(node, '--replica-instance-name', replica.metadata.name);
  if (pid === undefined) throw new Error(`no process of replica ${replica.metadata.name} on ${node}`);
  await onNode(node, `kill -9 ${pid}`);
  await volumeIs(volume, { robustness: 'degraded' }, 30_000);
  await load;
  expect(at(await volumeIs(volume, { robustness: 'healthy' }, 180_000), 'status.state')).toBe('attached');
});

it('takes and gives back data with the rebuilt replica as one of three', async () => {
  await inPod(SPACE, 'load', fio('--rw=write --do_verify=1'));
  const volume = await volumeOf(SPACE, 'block');
  const running = (await list('replicas.longhorn.io')).filter(
    (each) => at(each, 'spec.volumeName') === volume && at(each, 'status.currentState') === 'running',
  );
  expect(running.length).toBe(3);
});
