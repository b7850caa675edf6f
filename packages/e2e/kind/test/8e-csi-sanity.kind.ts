/** The conformance suite against the plugin as it is deployed: on a node, by the socket that the kubelet uses. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  findCsiSanity,
  judge,
  runWholeSuite,
  sanityScript,
  type AccessType,
  type Finding,
} from '../../src/csi-sanity.ts';
import { run } from '../../src/shell.ts';
import { untilVolumesGone, volumeInventory, type Inventory } from '../inventory.ts';
import { onNode, workers } from '../nodes.ts';

/** Of the kubelet's folders the one that plugin and node see alike, and in which the kubelet does not tidy. */
const FOLDER = '/var/lib/kubelet/plugins/kubernetes.io/csi/e2e-csi-sanity';
const PROGRAM = `${FOLDER}/csi-sanity`;
const SOCKET = '/var/lib/kubelet/plugins/driver.longhorn.io/csi.sock';
const SUITE_MS = 1_500_000;

let before: Inventory = [];
let findings: Record<AccessType, Finding[]> = { mount: [], block: [] };
let nodes: string[] = [];

beforeAll(async () => {
  const program = findCsiSanity();
  if (program === null)
    throw new Error(
      'csi-sanity is needed on the PATH: go install github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity',
    );
  before = await volumeInventory();
  nodes = (await workers()).slice(0, 2);
  for (const node of nodes) {
    await onNode(node, `mkdir -p ${FOLDER}`);
    await run('docker', ['cp', program, `${node}:${PROGRAM}`]);
  }
  findings = await runWholeSuite(async (accessType, focus, skip) => {
    const node = nodes[accessType === 'mount' ? 0 : 1] ?? '';
    const folder = `${FOLDER}/${accessType}`;
    const { script, read } = sanityScript({ program: PROGRAM, socket: SOCKET, folder, accessType, focus, skip });
    return read(await onNode(node, script, SUITE_MS));
  });
}, SUITE_MS);

afterAll(async () => {
  for (const node of nodes) await onNode(node, `rm -rf ${FOLDER}`);
});

it.each(['mount', 'block'] as const)('passes with volumes of access type %s', (accessType) => {
  const judged = judge(findings[accessType]);
  console.log(`${accessType}: ${judged.report.join('\n  ')}`);
  expect(judged.faults).toEqual([]);
});

it('leaves nothing', async () => {
  expect(await untilVolumesGone(before)).toEqual([]);
});
