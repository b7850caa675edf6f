/** `helm upgrade` to images of another commit and other values, while a pod writes: no write fails, all is replaced. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { at } from '../../src/kube.ts';
import { buildCommit, loadImages, PREVIOUS_TAG } from '../images.ts';
import { allReady, setting, upgrade } from '../installation.ts';
import { apply, dropNamespace, list, makeNamespace, until } from '../kubectl.ts';
import { LogWriter } from '../log-writer.ts';
import { claim, deployment, podOf, podReady, volumeIs, volumeOf } from '../workloads.ts';

const SPACE = 'e2e-upgrade';
const APP = 'app';
const REPLACED = ['manager', 'csi', 'ui'] as const;
const REPLACED_MS = 420_000;
/** How long one write may wait: nothing that it passes through is replaced. */
const WRITE_MS = 5_000;

const writer = new LogWriter(SPACE);

beforeAll(async () => {
  await loadImages(await buildCommit('HEAD~1', REPLACED));
  await makeNamespace(SPACE);
  await apply(SPACE, [claim('data'), deployment(APP, { data: 'file system' }, { tolerationSeconds: 300 })]);
  const pod = await podOf(SPACE, APP);
  await podReady(SPACE, pod.metadata.name);
  await volumeIs(await volumeOf(SPACE, 'data'), { robustness: 'healthy' });
  await writer.start(pod.metadata.name);
}, 900_000);

afterAll(async () => {
  writer.stop();
  await dropNamespace(SPACE);
});

/** The pods of what is replaced, as `NAME IMAGE`, whose image has not this tag. */
async function withOtherTag(tag: string): Promise<string[]> {
  const prefixes = ['longhorn-manager-', 'longhorn-csi-plugin-', 'longhorn-driver-deployer-', 'longhorn-ui-'];
  const pods = (await list('pods')).filter(({ metadata }) => prefixes.some((each) => metadata.name.startsWith(each)));
  return pods.flatMap((pod) => {
    const containers: unknown = at(pod, 'spec.containers');
    const images = (Array.isArray(containers) ? containers : [])
      .map((each: unknown) => String(at(each, 'image')))
      .filter((image) => image.includes('/longhorn-'));
    return images.every((image) => image.endsWith(`:${tag}`)) ? [] : [`${pod.metadata.name} ${images.join(' ')}`];
  });
}

/** Answers the longest time that a write waited, in ms. */
async function replaceBy(tag: string, values: Readonly<Record<string, string>>): Promise<number> {
  const volume = await volumeOf(SPACE, 'data');
  const before = await podOf(SPACE, APP);
  await upgrade({ ...Object.fromEntries(REPLACED.map((name) => [`image.longhorn.${name}.tag`, tag])), ...values });
  let left: string[] = [];
  await until(
    `everything runs ${tag}`,
    REPLACED_MS,
    async () => (left = await withOtherTag(tag)).length === 0,
    () => Promise.resolve(left.join('\n')),
  );
  await allReady(REPLACED_MS);
  await writer.grows();
  expect(writer.isWriting).toBe(true);
  console.log(`longest write while all was replaced by ${tag}: ${writer.longestMs.toFixed(0)} ms`);
  const after = await podOf(SPACE, APP);
  expect(after.metadata['uid']).toBe(before.metadata['uid']);
  await writer.verify(after.metadata.name);
  await volumeIs(volume, { state: 'attached', robustness: 'healthy' });
  return writer.longestMs;
}

it('goes to images of another commit and to other values', async () => {
  writer.calm();
  const values = { 'defaultSettings.replicaReplenishmentWaitInterval': '601' };
  expect(await replaceBy(PREVIOUS_TAG, values)).toBeLessThan(WRITE_MS);
  expect(await setting('replica-replenishment-wait-interval')).toBe('601');
});

it('and back', async () => {
  writer.calm();
  const values = { 'defaultSettings.replicaReplenishmentWaitInterval': '600' };
  expect(await replaceBy('v1.10.1', values)).toBeLessThan(WRITE_MS);
});
