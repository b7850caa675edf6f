/**
 * Bad input by kubectl and by REST: refused with the field and the way out, or normalised as upstream does;
 * and kubectl against local-cluster as users type it.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../src/cluster.ts';
import { at } from '../src/kube.ts';
import { RestError } from '../src/rest.ts';
import { ShellError } from '../src/shell.ts';
import { deleteVolume, volumeManifest, waitState } from '../src/volumes.ts';
import { waitFor } from '../src/wait.ts';

const folder = mkdtempSync(join(tmpdir(), 'longhorn-input-'));
const cluster = new Cluster(join(folder, 'cluster'), 22);
const MIB = 2 ** 20;

beforeAll(async () => {
  await cluster.start();
});

afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** The refusal's text; fails when the manifest is taken. */
async function refusedByKubectl(manifest: unknown): Promise<string> {
  try {
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(manifest));
  } catch (error) {
    if (error instanceof ShellError) return error.message;
    throw error;
  }
  throw new Error(`kubectl took ${JSON.stringify(manifest)}`);
}

async function refusedByRest(path: string, body: unknown, method: 'post' | 'put' = 'post'): Promise<string> {
  try {
    await cluster.rest[method](path, body);
  } catch (error) {
    if (error instanceof RestError) return error.message;
    throw error;
  }
  throw new Error(`REST took ${JSON.stringify(body)}`);
}

/** name, spec changes of a good volume, what the refusal must say */
const REFUSED: [string, { name?: string; size?: string; numberOfReplicas?: number }, RegExp][] = [
  ['a size of 2^63', { size: '9223372036854775808' }, /size/i],
  ['a size that is no number', { size: 'ten' }, /size/i],
  ['a name with a slash', { name: 'a/b' }, /name/i],
  ['a name with dots up', { name: '../up' }, /name/i],
  ['a name of 300 characters', { name: 'a'.repeat(300) }, /name/i],
  ['an upper case name', { name: 'Volume' }, /name/i],
  ['21 replicas', { numberOfReplicas: 21 }, /numberOfReplicas|replica/i],
  ['a negative replica count', { numberOfReplicas: -1 }, /numberOfReplicas|replica/i],
];

describe('a volume', () => {
  for (const [title, change, pattern] of REFUSED) {
    it(`with ${title} is refused by kubectl and by REST`, async () => {
      const { name = 'bad', size = String(16 * MIB), numberOfReplicas = 3 } = change;
      const manifest = {
        ...volumeManifest(name, 0, numberOfReplicas),
        spec: { ...volumeManifest(name, 0, numberOfReplicas).spec, size },
      };
      expect(await refusedByKubectl(manifest)).toMatch(pattern);
      expect(await refusedByRest('/v1/volumes', { name, size, numberOfReplicas, frontend: 'blockdev' })).toMatch(
        pattern,
      );
    });
  }

  const NORMALISED: [string, string, number][] = [
    ['0', 'zero', 2 * MIB],
    ['-5', 'negative', 2 * MIB],
    [String(3 * MIB + 1), 'not-a-multiple', 4 * MIB],
  ];
  for (const [size, name, expected] of NORMALISED) {
    it(`of size ${size} becomes ${expected} bytes, by kubectl and by REST`, async () => {
      const manifest = volumeManifest(name, 0, 3);
      await cluster.kubectl(['create', '-f', '-'], JSON.stringify({ ...manifest, spec: { ...manifest.spec, size } }));
      expect(at(await cluster.kube.get('volumes', name), 'spec.size')).toBe(String(expected));
      await cluster.rest.post('/v1/volumes', { name: `${name}-rest`, size, numberOfReplicas: 3, frontend: 'blockdev' });
      expect(at(await cluster.kube.get('volumes', `${name}-rest`), 'spec.size')).toBe(String(expected));
      await deleteVolume(cluster, name);
      await deleteVolume(cluster, `${name}-rest`);
    });
  }

  it('with a field that nobody knows is refused, with the field in the message', async () => {
    const manifest = volumeManifest('unknown-field', 16 * MIB, 3, { numberOfReplica: 3 });
    expect(await refusedByKubectl(manifest)).toMatch(/numberOfReplica/);
  });

  it('with a field whose behaviour is not built is refused', async () => {
    const manifest = volumeManifest('not-built', 16 * MIB, 3, { iopsLimit: 100 });
    expect(await refusedByKubectl(manifest)).toMatch(/iopsLimit.*not supported yet/);
  });

  it('with more replicas than nodes says why it is not scheduled under hard anti-affinity, and is under soft', async () => {
    await cluster.kube.create('volumes', volumeManifest('four', 16 * MIB, 4));
    await waitFor('the volume says what it lacks', 30_000, async () => {
      const blocked = JSON.stringify(at(await cluster.kube.get('volumes', 'four'), 'status.blockedBy') ?? []);
      return /affinity|node|schedul/i.test(blocked);
    });
    await cluster.kube.merge('volumes', 'four', { spec: { replicaSoftAntiAffinity: 'enabled' } });
    await waitFor('all four replicas have a disk', 30_000, async () => {
      const replicas = (await cluster.kube.list('replicas')).filter((r) => at(r, 'spec.volumeName') === 'four');
      return (
        replicas.length === 4 &&
        replicas.every((r) => at(r, 'spec.diskID') !== undefined && at(r, 'spec.diskID') !== '')
      );
    });
    await deleteVolume(cluster, 'four');
  });
});

describe('what does not exist', () => {
  it('is named: node, setting, disk tag', async () => {
    await cluster.kube.create('volumes', volumeManifest('plain', 16 * MIB, 3));
    await waitState(cluster, 'plain', 'detached');
    expect(await refusedByRest('/v1/volumes/plain?action=attach', { hostId: 'node-9' })).toMatch(/node-9/);
    expect(
      await refusedByRest('/v1/volumes', {
        name: 'tagged',
        size: '2Mi',
        numberOfReplicas: 1,
        diskSelector: ['no-such-tag'],
      }),
    ).toMatch(/no-such-tag/);
    await expect(cluster.rest.get('/v1/settings/no-such-setting')).rejects.toThrow(/no-such-setting|404|not found/i);
    expect(await refusedByRest('/v1/settings/default-replica-count', { value: 'many' }, 'put')).toMatch(
      /default-replica-count/,
    );
    await deleteVolume(cluster, 'plain');
  });
});

describe('kubectl', () => {
  it("shows upstream's columns and follows changes", async () => {
    const watch = spawn('kubectl', ['-n', 'longhorn-system', 'get', 'volumes.longhorn.io', '-w'], {
      env: cluster.env(),
    });
    let output = '';
    watch.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(volumeManifest('watched', 16 * MIB, 3)));
    await waitFor(
      'the watch shows the volume',
      30_000,
      () => Promise.resolve(/watched.*detached/.test(output)),
      () => output,
    );
    watch.kill('SIGTERM');
    expect(output).toMatch(/NAME\s+DATA ENGINE\s+STATE\s+ROBUSTNESS\s+SCHEDULED\s+SIZE\s+NODE\s+AGE/);
  });

  it('explains, applies again, edits, patches, describes and deletes', async () => {
    expect(await cluster.kubectl(['explain', 'volume.spec'])).toMatch(/numberOfReplicas/);
    const kubectl = (...args: string[]): Promise<string> => cluster.kubectl(['-n', 'longhorn-system', ...args]);
    expect(await cluster.kubectl(['apply', '-f', '-'], JSON.stringify(volumeManifest('watched', 16 * MIB, 3)))).toMatch(
      /unchanged|configured/,
    );
    await kubectl(
      'patch',
      'volumes.longhorn.io',
      'watched',
      '--type=merge',
      '-p',
      '{"spec":{"staleReplicaTimeout":30}}',
    );
    const editor = join(folder, 'editor.sh');
    writeFileSync(editor, '#!/bin/sh\nsed -i "s/staleReplicaTimeout: 30/staleReplicaTimeout: 40/" "$1"\n', {
      mode: 0o755,
    });
    await cluster.kubectl(['-n', 'longhorn-system', 'edit', 'volumes.longhorn.io', 'watched'], '', { EDITOR: editor });
    expect(at(await cluster.kube.get('volumes', 'watched'), 'spec.staleReplicaTimeout')).toBe(40);
    expect(await kubectl('describe', 'volumes.longhorn.io', 'watched')).toMatch(/Stale Replica Timeout:\s+40/);
    await kubectl('delete', 'volumes.longhorn.io', 'watched', '--timeout=60s');
    expect(await cluster.kube.get('volumes', 'watched')).toBeNull();
  });
});
