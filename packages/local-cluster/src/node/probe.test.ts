import { expect, it } from 'vitest';
import type { JsonObject } from '../api/json.ts';
import { podFrom } from './pod.ts';
import { metadata } from '../../test/fixture.ts';
import { probeFrom, type ProbeTarget } from './probe.ts';

const spec = { containers: [{ name: 'c', image: 'i', ports: [{ name: 'web', containerPort: 9502 }] }] };
const [container] = podFrom({ apiVersion: 'v1', kind: 'Pod', metadata: metadata('p', 'n'), spec }).containers;

it.each<[string, JsonObject, ProbeTarget]>([
  [
    'HTTP by the name of a port',
    { httpGet: { path: '/v1/healthz', port: 'web', scheme: 'HTTPS' } },
    { target: 'http', secure: true, port: 9502, path: '/v1/healthz' },
  ],
  ['TCP by number', { tcpSocket: { port: 80 } }, { target: 'tcp', ports: [80] }],
  [
    'shell probes of ports as connections',
    { exec: { command: ['/bin/sh', '-c', 'nc -zv localhost 8500 && nc -zv ${POD_IP:-localhost} 8501'] } },
    { target: 'tcp', ports: [8500, 8501] },
  ],
  ['other shell probes as passed', { exec: { command: ['ls', '/data/longhorn'] } }, { target: 'none' }],
])('reads %s', (_name, definition, target) => {
  if (container === undefined) throw new Error('no container');
  expect(probeFrom(definition, container)).toEqual({
    timing: { initialDelayMs: 0, periodMs: 10_000, timeoutMs: 1_000, failureThreshold: 3, successThreshold: 1 },
    target,
  });
});
