/**
 * Bad input by kubectl and by REST: refused with the field and the way out, or normalised as upstream does;
 * and kubectl against local-cluster as users type it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '@longhorn/engine/testing/wait';
import { Cluster } from '../src/cluster.ts';
import { at } from '../src/kube.ts';
import { RestError } from '../src/rest.ts';
import { ShellError } from '../src/shell.ts';
import { attach, deleteVolume, describeVolume, detach, replicasOf, volumeManifest, waitState } from '../src/volumes.ts';

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

/** Refusal of a kubectl call; fails when it is taken. */
async function refused(...args: string[]): Promise<string> {
  try {
    await cluster.kubectl(['-n', 'longhorn-system', ...args]);
  } catch (error) {
    if (error instanceof ShellError) return error.message;
    throw error;
  }
  throw new Error(`kubectl ${args.join(' ')} was taken`);
}

function patch(resource: string, name: string, change: unknown): string[] {
  return ['patch', `${resource}.longhorn.io`, name, '--type=merge', '-p', JSON.stringify(change)];
}

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

  it('of 2^60 bytes says that no disk has room, by kubectl and by REST, and holds nothing', async () => {
    const size = String(2n ** 60n);
    const manifest = volumeManifest('huge', 0, 3);
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify({ ...manifest, spec: { ...manifest.spec, size } }));
    await cluster.rest.post('/v1/volumes', { name: 'huge-rest', size, numberOfReplicas: 3, frontend: 'blockdev' });
    for (const name of ['huge', 'huge-rest']) {
      await waitFor(
        `volume ${name} says what it lacks`,
        30_000,
        async () =>
          /disk|space|room/i.test(JSON.stringify(at(await cluster.kube.get('volumes', name), 'status.blockedBy'))),
        () => describeVolume(cluster, name),
      );
      expect(at(await cluster.kube.get('volumes', name), 'spec.size')).toBe(size);
      await deleteVolume(cluster, name);
    }
  });

  it('with a field that nobody knows is refused, with the field in the message', async () => {
    const manifest = volumeManifest('unknown-field', 16 * MIB, 3, { numberOfReplica: 3 });
    expect(await refusedByKubectl(manifest)).toMatch(/numberOfReplica/);
  });

  it('with a field whose behaviour is not built is refused', async () => {
    const manifest = volumeManifest('not-built', 16 * MIB, 3, { iopsLimit: 100 });
    expect(await refusedByKubectl(manifest)).toMatch(/iopsLimit.*not supported yet/);
  });

  it('with more replicas than nodes says why it is not scheduled under hard anti-affinity, and is under soft', async () => {
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(volumeManifest('four', 16 * MIB, 4)));
    await cluster.rest.post('/v1/volumes', { name: 'four-rest', size: '16Mi', numberOfReplicas: 4 });
    for (const name of ['four', 'four-rest']) {
      await waitFor(
        `volume ${name} says what it lacks`,
        30_000,
        async () => {
          const blocked = JSON.stringify(at(await cluster.kube.get('volumes', name), 'status.blockedBy') ?? []);
          return /anti-affinity.*numberOfReplicas.*replicaSoftAntiAffinity/.test(blocked);
        },
        () => describeVolume(cluster, name),
      );
    }
    await cluster.kubectl([
      '-n',
      'longhorn-system',
      ...patch('volumes', 'four', { spec: { replicaSoftAntiAffinity: 'enabled' } }),
    ]);
    await cluster.rest.action('four-rest', 'updateReplicaSoftAntiAffinity', { replicaSoftAntiAffinity: 'enabled' });
    for (const name of ['four', 'four-rest']) {
      await waitFor(
        `all four replicas of ${name} have a disk, and nothing is blocked`,
        60_000,
        async () => {
          const replicas = await replicasOf(cluster, name);
          const placed = replicas.filter((replica) => (at(replica, 'spec.diskID') ?? '') !== '');
          const blocked = at(await cluster.kube.get('volumes', name), 'status.blockedBy');
          return replicas.length === 4 && placed.length === 4 && JSON.stringify(blocked) === '[]';
        },
        () => describeVolume(cluster, name),
      );
      await deleteVolume(cluster, name);
    }
  });

  it('with 0 replicas gets the default count, by kubectl and by REST; an existing one keeps at least one', async () => {
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(volumeManifest('none', 16 * MIB, 0)));
    await cluster.rest.post('/v1/volumes', { name: 'none-rest', size: '16Mi', numberOfReplicas: 0 });
    for (const name of ['none', 'none-rest'])
      expect(at(await cluster.kube.get('volumes', name), 'spec.numberOfReplicas')).toBe(3);
    await waitState(cluster, 'none', 'detached');
    for (const count of [0, 21]) {
      expect(await refused(...patch('volumes', 'none', { spec: { numberOfReplicas: count } }))).toMatch(
        /spec\.numberOfReplicas/,
      );
    }
    await attach(cluster, 'none', 'node-1', true);
    for (const replicaCount of [0, 21]) {
      expect(await refusedByRest('/v1/volumes/none?action=updateReplicaCount', { replicaCount })).toMatch(
        /numberOfReplicas/,
      );
    }
    expect(await refused(...patch('volumes', 'none', { spec: { size: '9223372036854775808' } }))).toMatch(
      /spec\.size.*2\^63/,
    );
    expect(await refusedByRest('/v1/volumes/none?action=expand', { size: '9223372036854775808' })).toMatch(
      /size.*2\^63/,
    );
    await detach(cluster, 'none');
    for (const name of ['none', 'none-rest']) await deleteVolume(cluster, name);
  });
});

describe('what does not exist is named', () => {
  beforeAll(async () => {
    await cluster.kube.create('volumes', volumeManifest('plain', 16 * MIB, 3));
    await waitState(cluster, 'plain', 'detached');
  });
  afterAll(() => deleteVolume(cluster, 'plain'));

  it('a node', async () => {
    const known = /node-9.*use one of node-1, node-2, node-3/;
    expect(await refusedByRest('/v1/volumes/plain?action=attach', { hostId: 'node-9' })).toMatch(known);
    expect(await refusedByRest('/v1/nodes/node-9', { allowScheduling: false }, 'put')).toMatch(/node-9.*not found/);
    expect(await refused(...patch('volumes', 'plain', { spec: { nodeID: 'node-9' } }))).toMatch(known);
    const ticket = { id: 'mine', type: 'longhorn-api', nodeID: 'node-9', parameters: {}, generation: 0 };
    expect(
      await refused(...patch('volumeattachments', 'plain', { spec: { attachmentTickets: { mine: ticket } } })),
    ).toMatch(known);
    expect(await refused('get', 'nodes.longhorn.io', 'node-9')).toMatch(/node-9.*not found/);
  });

  it('a volume', async () => {
    expect(await refusedByRest('/v1/volumes/nobody?action=attach', { hostId: 'node-1' })).toMatch(/nobody.*not found/);
    for (const kind of ['Snapshot', 'VolumeAttachment']) {
      const spec = kind === 'Snapshot' ? { volume: 'nobody' } : { volume: 'nobody', attachmentTickets: {} };
      const metadata = { name: 'part', namespace: 'longhorn-system' };
      expect(await refusedByKubectl({ apiVersion: 'longhorn.io/v1beta2', kind, metadata, spec })).toMatch(
        /spec\.volume.*volume nobody does not exist/,
      );
    }
  });

  it('a disk: its tag and its folder', async () => {
    const tagged = { name: 'tagged', size: '2Mi', numberOfReplicas: 1, diskSelector: ['no-such-tag'] };
    expect(await refusedByRest('/v1/volumes', tagged)).toMatch(/no-such-tag/);
    // Upstream's webhook takes it: the tag may come later.
    const manifest = volumeManifest('tagged', 2 * MIB, 1, { diskSelector: ['no-such-tag'] });
    await cluster.kubectl(['create', '-f', '-'], JSON.stringify(manifest));
    await waitFor('the volume says which tag', 30_000, async () =>
      JSON.stringify(at(await cluster.kube.get('volumes', 'tagged'), 'status.blockedBy')).includes('no-such-tag'),
    );
    await deleteVolume(cluster, 'tagged');

    const relative = { relative: { path: 'some/where', allowScheduling: true } };
    expect(await refused(...patch('nodes', 'node-1', { spec: { disks: relative } }))).toMatch(
      /spec\.disks\.relative\.path.*absolute/,
    );
    const path = join(folder, 'no-such-folder');
    const { disks } = await cluster.rest.get<{ disks: Record<string, unknown> }>('/v1/nodes/node-1');
    expect(await refusedByRest('/v1/nodes/node-1?action=diskUpdate', { disks: { ...disks, ...relative } })).toMatch(
      /disk relative: path must be absolute/,
    );
    await cluster.kubectl([
      '-n',
      'longhorn-system',
      ...patch('nodes', 'node-1', { spec: { disks: { missing: { path, allowScheduling: true } } } }),
    ]);
    await waitFor('the disk says that its folder is not there', 60_000, async () => {
      const status = at(await cluster.kube.get('nodes', 'node-1'), 'status.diskStatus.missing');
      return JSON.stringify(status ?? '').includes(`there is no folder ${path}`);
    });
    expect(existsSync(path)).toBe(false);
    for (const missing of [{ path, allowScheduling: false }, null])
      await cluster.kubectl(['-n', 'longhorn-system', ...patch('nodes', 'node-1', { spec: { disks: { missing } } })]);
  });

  it('a setting, and a value that a setting does not take', async () => {
    await expect(cluster.rest.get('/v1/settings/no-such-setting')).rejects.toThrow(/no-such-setting/);
    expect(await refusedByRest('/v1/settings/no-such-setting', { value: '1' }, 'put')).toMatch(/no-such-setting/);
    const metadata = { name: 'no-such-setting', namespace: 'longhorn-system' };
    expect(
      await refusedByKubectl({ apiVersion: 'longhorn.io/v1beta2', kind: 'Setting', metadata, value: '1' }),
    ).toMatch(/no-such-setting does not exist/);
    const wrong = /default-replica-count.*must be an integer/;
    expect(await refusedByRest('/v1/settings/default-replica-count', { value: 'many' }, 'put')).toMatch(wrong);
    expect(await refused(...patch('settings', 'default-replica-count', { value: 'many' }))).toMatch(wrong);
  });

  it('a field', async () => {
    // As against a real API server: `patch` warns, here turned into an error; `create` and `apply` refuse. REST ignores
    // what it does not know, as upstream does, and names a field of the wrong type.
    expect(
      await refused('--warnings-as-errors', ...patch('volumes', 'plain', { spec: { numberOfReplica: 2 } })),
    ).toMatch(/unknown field "spec\.numberOfReplica"/);
    expect(await refusedByRest('/v1/volumes', { name: 'typed', size: 5, numberOfReplicas: 1 })).toMatch(/field size/);
    expect(await refusedByRest('/v1/volumes', { name: 'typed', numberOfReplicas: '1' })).toMatch(
      /field numberOfReplicas/,
    );
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
