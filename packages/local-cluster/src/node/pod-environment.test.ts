import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fixture, metadata, type Fixture } from '../../test/fixture.ts';
import type { JsonObject } from '../api/json.ts';
import { podFrom } from './pod.ts';
import { containerEnvironment, expand } from './pod-environment.ts';

describe('expand', () => {
  it.each([
    ['http://$(HOST):1', 'http://h:1'],
    ['$(NONE)', '$(NONE)'],
    ['$$(HOST)', '$(HOST)'],
    ['$HOST', '$HOST'],
  ])('%s becomes %s', (text, wanted) => {
    expect(expand(text, new Map([['HOST', 'h']]))).toBe(wanted);
  });
});

describe('containerEnvironment', () => {
  let f: Fixture;
  beforeEach(async () => {
    f = await fixture();
  });
  afterEach(() => f.close());

  const environment = (container: JsonObject): Map<string, string> => {
    const spec = {
      nodeName: 'node-1',
      serviceAccountName: 'sa',
      containers: [{ name: 'c', image: 'i', ...container }],
    };
    const pod = podFrom({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata('p', 'test'), uid: 'u', labels: { a: 'b' } },
      spec,
    });
    const [first] = pod.containers;
    if (first === undefined) throw new Error('no container');
    return containerEnvironment(
      { store: f.store, podIp: '127.1.1.2', hostIp: '127.0.0.2', node: { LONGHORN_NODE_MARK: 'id/node-1', X: 'node' } },
      pod,
      first,
    );
  };
  const entry = (name: string, valueFrom: JsonObject): JsonObject => ({ name, valueFrom });

  it('has the pod, fields, maps, secrets and services, and cannot lose its marks', async () => {
    await f.create({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'm', namespace: 'test' },
      data: { k: 'from map' },
    });
    await f.create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 's', namespace: 'test' },
      stringData: { k: 'secret' },
    });
    await f.create({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'my-svc', namespace: 'test' },
      spec: { clusterIP: '127.101.0.9', ports: [{ port: 80 }] },
    });
    const found = environment({
      envFrom: [{ configMapRef: { name: 'm' }, prefix: 'P_' }],
      env: [
        entry('LABEL', { fieldRef: { fieldPath: "metadata.labels['a']" } }),
        entry('ACCOUNT', { fieldRef: { fieldPath: 'spec.serviceAccountName' } }),
        entry('SECRET', { secretKeyRef: { name: 's', key: 'k' } }),
        entry('MISSING', { configMapKeyRef: { name: 'm', key: 'no', optional: true } }),
        { name: 'URL', value: 'http://$(MY_SVC_SERVICE_HOST):$(MY_SVC_SERVICE_PORT)' },
        { name: 'X', value: 'own' },
        { name: 'LONGHORN_NODE_MARK', value: 'stolen' },
      ],
    });
    expect(Object.fromEntries(found)).toEqual({
      MY_SVC_SERVICE_HOST: '127.101.0.9',
      MY_SVC_SERVICE_PORT: '80',
      LONGHORN_NODE_MARK: 'id/node-1',
      LONGHORN_POD_MARK: 'u/c',
      NODE_NAME: 'node-1',
      POD_NAME: 'p',
      POD_NAMESPACE: 'test',
      POD_IP: '127.1.1.2',
      HOSTNAME: 'p',
      P_k: 'from map',
      LABEL: 'b',
      ACCOUNT: 'sa',
      SECRET: 'secret',
      URL: 'http://127.101.0.9:80',
      X: 'own',
    });
  });

  it('says what is missing', () => {
    expect(() => environment({ env: [entry('A', { secretKeyRef: { name: 'none', key: 'k' } })] })).toThrow(
      'secret "none" with the key "k" is not there',
    );
    expect(() => environment({ envFrom: [{ configMapRef: { name: 'none' } }] })).toThrow(
      'configMap "none" is not there',
    );
    expect(() => environment({ env: [entry('A', { fieldRef: { fieldPath: 'spec.other' } })] })).toThrow(
      'fieldRef spec.other',
    );
  });
});
