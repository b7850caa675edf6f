/** The examples that users apply as they stand: a class by the chart's own name, and a database whose rows survive its pod. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { upgrade } from '../installation.ts';
import { apply, dropNamespace, get, kubectl, list, makeNamespace, until, type KubeObject } from '../kubectl.ts';
import { events, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-database';
const example = (name: string): string => readFileSync(join(import.meta.dirname, '../examples', name), 'utf8');

beforeAll(() => makeNamespace(SPACE));

afterAll(async () => {
  await kubectl(['uncordon', '--selector', '!node-role.kubernetes.io/control-plane']);
  await dropNamespace(SPACE);
  await kubectl(['delete', 'storageclass', 'longhorn', '--ignore-not-found']);
  await upgrade({ 'persistence.createStorageClass': 'true' });
  await until("the chart's own class is back", 60_000, () => get('storageclass', 'longhorn', null));
});

async function database(): Promise<KubeObject> {
  const pods = (await list('pods', SPACE)).filter((pod) => at(pod, 'metadata.deletionTimestamp') === undefined);
  const [pod] = pods;
  if (pod === undefined) throw new Error('the deployment has no pod');
  return pod;
}

/** Runs SQL in the database's pod, once it answers. */
async function sql(statement: string): Promise<string> {
  let name = '';
  return until(
    `the database answers ${statement}`,
    240_000,
    async () => {
      name = (await database()).metadata.name;
      return kubectl(['exec', '-n', SPACE, name, '--', 'mariadb', '-uroot', '-p123456', '-N', '-e', statement]);
    },
    () => events(SPACE, name),
  );
}

it("takes a class of the chart's own name, as an administrator writes it", async () => {
  await upgrade({ 'persistence.createStorageClass': 'false' });
  await kubectl(['delete', 'storageclass', 'longhorn', '--ignore-not-found']);
  await apply('default', example('storageclass.yaml'));
  expect(at(await get('storageclass', 'longhorn', null), 'parameters.numberOfReplicas')).toBe('2');
});

it('runs a database on it, with as many replicas as the class says', async () => {
  await apply(SPACE, example('mysql.yaml'));
  await sql(
    'CREATE DATABASE IF NOT EXISTS shop; CREATE TABLE IF NOT EXISTS shop.orders (id INT PRIMARY KEY, item VARCHAR(20))',
  );
  await sql("REPLACE INTO shop.orders SELECT seq, CONCAT('item ', seq) FROM shop.seq_1_to_1000");
  const volume = await volumeIs(await volumeOf(SPACE, 'mysql-pvc'), { state: 'attached', robustness: 'healthy' });
  expect(at(volume, 'spec.numberOfReplicas')).toBe(2);
});

it('has its rows again after the pod moved to another node', async () => {
  const before = await database();
  const node = String(at(before, 'spec.nodeName'));
  await kubectl(['cordon', node]);
  await kubectl(['delete', 'pod', before.metadata.name, '--namespace', SPACE, '--timeout=120s'], '', 130_000);
  const count = await sql('SELECT COUNT(*), MIN(item), MAX(id) FROM shop.orders');
  expect(count.trim().split('\t')).toEqual(['1000', 'item 1', '1000']);
  expect(at(await database(), 'spec.nodeName')).not.toBe(node);
});
