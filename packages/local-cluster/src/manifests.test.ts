import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fixture, type Fixture } from '../test/fixture.ts';
import { applyManifests, parseManifests, readManifests } from './manifests.ts';

const widget = (size: string): string => `
# a comment
apiVersion: example.io/v1
kind: Widget
metadata: {name: w, namespace: test}
spec: {size: "${size}"}
---
`;

describe('manifests', () => {
  let f: Fixture;
  beforeEach(async () => {
    f = await fixture();
  });
  afterEach(() => f.close());

  const apply = (text: string): Promise<void> => applyManifests(f.operations, f.registry, parseManifests(text, 'test'));
  const size = (): unknown => (f.operations.get(f.widget, 'test', 'w')['spec'] as { size: string }).size;

  it('that are only for what is missing leave an object that is there alone, whoever made it', async () => {
    const onlyMissing = (text: string): string =>
      text.replace('namespace: test', "namespace: test, annotations: {local-cluster/only-when-missing: 'true'}");
    await apply(onlyMissing(widget('1')));
    expect(size()).toBe('1');
    await apply(onlyMissing(widget('2')));
    expect(size()).toBe('1');
  });

  it('are written when they are new or changed, and leave what people changed alone', async () => {
    await apply(widget('1'));
    await f.operations.update(f.widget, 'test', 'w', '', (w) => ({ ...w, spec: { size: 'mine' } }));
    await apply(widget('1'));
    expect(size()).toBe('mine');
    await apply(widget('2'));
    expect(size()).toBe('2');
    const version = f.store.version;
    await apply(widget('2'));
    expect(f.store.version).toBe(version);
  });

  it('are refused with their place when they cannot be read', async () => {
    expect(() => parseManifests('a: [', 'file.yaml')).toThrow(/file\.yaml/);
    expect(() => parseManifests('- 1', 'file.yaml')).toThrow('file.yaml: each document must be one object');
    await expect(apply('apiVersion: no/v1\nkind: Such\nmetadata: {name: x}')).rejects.toThrow('no/v1 Such');
  });

  it('of Longhorn fit together', async () => {
    const folder = join(dirname(fileURLToPath(import.meta.url)), '..', 'manifests');
    await applyManifests(f.operations, f.registry, readManifests(folder));
    expect(f.store.list('apps/daemonsets').map((set) => set.metadata.name)).toEqual(['longhorn-manager']);
    expect(f.store.list('/services').map((service) => service.metadata.name)).toEqual([
      'longhorn-admission-webhook',
      'longhorn-backend',
      'longhorn-frontend',
      'longhorn-recovery-backend',
    ]);
  });
});
