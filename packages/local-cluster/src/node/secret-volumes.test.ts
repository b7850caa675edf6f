import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fixture, metadata, type Fixture } from '../../test/fixture.ts';
import { STORAGE, builtinType } from '../api/builtin-kinds.ts';
import { plainDelete } from '../api/operations.ts';
import { podFrom, type Pod } from './pod.ts';
import { mountedVariables, SecretVolumes } from './secret-volumes.ts';

let f: Fixture;
let root: string;
let volumes: SecretVolumes;
let notes: string[];
beforeEach(async () => {
  f = await fixture();
  root = join(mkdtempSync(join(tmpdir(), 'secret-volumes-')), 'pod');
  notes = [];
  volumes = new SecretVolumes(f.store, (text) => notes.push(text));
});
afterEach(async () => {
  volumes.close();
  await f.close();
  rmSync(join(root, '..'), { recursive: true });
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function podWith(optional: boolean): Pod {
  return podFrom({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata('p', 'test'), uid: 'u' },
    spec: {
      nodeName: 'node-1',
      containers: [
        { name: 'c', image: 'i', volumeMounts: [{ name: 'accounts', mountPath: '/accounts/' }] },
        { name: 'd', image: 'i' },
      ],
      volumes: [
        { name: 'accounts', secret: { secretName: 's', optional } },
        { name: 'other', emptyDir: {} },
      ],
    },
  });
}

function put(data: Record<string, string>): Promise<unknown> {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadata('s', 'test'),
    data: Object.fromEntries(Object.entries(data).map(([name, text]) => [name, base64(text)])),
  };
  return f.store.get(STORAGE.secrets, 'test', 's') === null
    ? f.create(secret)
    : f.operations.update(builtinType(STORAGE.secrets), 'test', 's', '', (current) => ({
        ...current,
        data: secret.data,
      }));
}

const content = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(root, 'accounts')).map((name) => [name, readFileSync(join(root, 'accounts', name), 'utf8')]),
  );

it('has the files of a Secret, which follow it until the pod is gone', async () => {
  await put({ user: 'joe', secret: 'first' });
  expect(volumes.mount(podWith(false), root)).toEqual(new Map([['accounts', join(root, 'accounts')]]));
  expect(content()).toEqual({ user: 'joe', secret: 'first' });
  expect(statSync(join(root, 'accounts')).mode & 0o777).toBe(0o700);
  expect(statSync(join(root, 'accounts', 'secret')).mode & 0o777).toBe(0o600);
  await put({ user: 'joe', secret: 'second', more: 'x' });
  expect(content()).toEqual({ user: 'joe', secret: 'second', more: 'x' });
  await f.operations.remove(builtinType(STORAGE.secrets), 'test', 's', plainDelete);
  expect(content()).toEqual({});
  volumes.unmount('u');
  expect(existsSync(root)).toBe(false);
  await put({ user: 'jim' });
  expect(existsSync(root)).toBe(false);
  expect(notes).toEqual([]);
});

it('has an empty folder for an optional Secret until it is there, and refuses a pod without one that must be', async () => {
  expect(() => volumes.mount(podWith(false), root)).toThrow('secret "s" of the volume accounts is not there');
  volumes.mount(podWith(true), root);
  expect(content()).toEqual({});
  await put({ user: 'joe' });
  expect(content()).toEqual({ user: 'joe' });
});

it('tells the folder by the variables that name the mount path', () => {
  const mounts = podWith(true).containers[0]?.mounts ?? [];
  const environment = new Map([
    ['DIR', '/accounts'],
    ['SLASH', '/accounts/'],
    ['FILE', '/accounts/user'],
    ['WORD', 'accounts'],
  ]);
  expect(mountedVariables(environment, mounts, new Map([['accounts', '/run/a']]))).toEqual([
    ['DIR', '/run/a'],
    ['SLASH', '/run/a'],
  ]);
  expect(mountedVariables(environment, mounts, new Map())).toEqual([]);
});
