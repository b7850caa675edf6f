/** Online growth from 1 to 3 GiB under writes: ext4, xfs, raw block. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { apply, dropNamespace, get, inPod, kubectl, makeNamespace, until } from '../kubectl.ts';
import { onNode } from '../nodes.ts';
import { claim, DATA, deletePod, DEVICE, events, pod, podReady } from '../workloads.ts';

const SPACE = 'e2e-expansion';
const GIB = 2 ** 30;

beforeAll(async () => {
  await makeNamespace(SPACE);
  const own = (fsType: string): object => ({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: `e2e-${fsType}` },
    provisioner: 'driver.longhorn.io',
    allowVolumeExpansion: true,
    parameters: { numberOfReplicas: '2', fsType },
  });
  await apply(SPACE, [own('ext4'), own('xfs')]);
});

afterAll(async () => {
  await dropNamespace(SPACE);
  await kubectl(['delete', 'storageclass', 'e2e-ext4', 'e2e-xfs', '--ignore-not-found']);
});

const CAP_SYS_RESOURCE = 24n;

/** Only ext4 asks for this capability to grow while it is mounted; some machines have it in no container. */
async function mayGrowMounted(namespace: string, name: string): Promise<boolean> {
  const node = String(at(await get('pod', name, namespace), 'spec.nodeName'));
  const bounds = await onNode(node, "awk '/^CapBnd:/ {print $2}' /proc/1/status");
  return ((BigInt(`0x${bounds.trim()}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

const CASES = [
  { name: 'ext4', storageClass: 'e2e-ext4', isBlock: false },
  { name: 'xfs', storageClass: 'e2e-xfs', isBlock: false },
  { name: 'block', storageClass: 'e2e-ext4', isBlock: true },
];

it.concurrent.each(CASES)('grows $name under writes', async ({ name, storageClass, isBlock }) => {
  const volume = isBlock ? 'block' : 'file system';
  await apply(SPACE, [claim(name, { storageClass, isBlock }), pod(name, { claims: { [name]: volume } })]);
  await podReady(SPACE, name);
  const file = isBlock ? DEVICE : `${DATA}/load`;
  const job = `fio --name=load --filename=${file} --direct=1 --ioengine=libaio --iodepth=4 --bs=16k --size=256M --rw=randwrite --rate=4m --time_based --runtime=40 --verify=crc32c --do_verify=1 --verify_backlog=512 --verify_fatal=1`;
  const load = inPod(SPACE, name, job);
  await kubectl([
    'patch',
    'pvc',
    name,
    '--namespace',
    SPACE,
    '--type=merge',
    '-p',
    JSON.stringify({ spec: { resources: { requests: { storage: '3Gi' } } } }),
  ]);
  const sizeOf = isBlock ? `blockdev --getsize64 ${DEVICE}` : `df --block-size=1 --output=size ${DATA} | tail -1`;
  const isLarge = async (): Promise<boolean> => Number(await inPod(SPACE, name, sizeOf)) > 2.5 * GIB;
  const mustRemount = name === 'ext4' && !(await mayGrowMounted(SPACE, name));
  await until(
    `${name} has 3 GiB in its pod`,
    120_000,
    async () => mustRemount || isLarge(),
    () => events(SPACE, name),
  );
  await load;
  if (mustRemount) {
    console.warn('ext4 grows with the next mount: this machine has no CAP_SYS_RESOURCE in containers');
    await deletePod(SPACE, name);
    await apply(SPACE, [pod(name, { claims: { [name]: volume } })]);
    await podReady(SPACE, name);
  }
  expect(await isLarge()).toBe(true);
  await until(
    'the claim says so',
    60_000,
    async () => at(await get('pvc', name, SPACE), 'status.capacity.storage') === '3Gi',
  );
  const end = isBlock
    ? `dd if=/dev/urandom of=${DEVICE} bs=1M count=4 seek=3068 oflag=direct status=none`
    : `fallocate -l 1400M ${DATA}/more; head -c 4M /dev/urandom | dd of=${DATA}/more bs=1M seek=1396 conv=notrunc,fsync status=none`;
  expect(await inPod(SPACE, name, `${end} && echo written beyond the old end`)).toContain('written');
});
