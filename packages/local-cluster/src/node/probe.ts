/**
 * Probes of containers. Shell probes cannot run where containers are plain processes: those that test ports with
 * `nc -z` are done as connections, others count as passed.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { listAt, objectAt, stringAt, type Json, type JsonObject } from '../api/json.ts';
import type { ContainerSpec } from './pod.ts';

export interface ProbeTiming {
  initialDelayMs: number;
  periodMs: number;
  timeoutMs: number;
  failureThreshold: number;
  successThreshold: number;
}

/** What one probe looks at. */
export type ProbeTarget =
  | { target: 'tcp'; ports: number[] }
  | { target: 'http'; secure: boolean; port: number; path: string }
  | { target: 'none' };

export interface Probe {
  timing: ProbeTiming;
  target: ProbeTarget;
}

const number = (value: Json | undefined, otherwise: number): number => (typeof value === 'number' ? value : otherwise);

function portOf(value: Json | undefined, container: ContainerSpec): number {
  if (typeof value === 'number') return value;
  return container.ports.find((port) => port.name === value)?.port ?? 0;
}

function targetOf(definition: JsonObject, container: ContainerSpec): ProbeTarget {
  const http = objectAt(definition['httpGet']);
  if (http['port'] !== undefined)
    return {
      target: 'http',
      secure: http['scheme'] === 'HTTPS',
      port: portOf(http['port'], container),
      path: stringAt(http['path']) || '/',
    };
  const tcp = objectAt(definition['tcpSocket']);
  if (tcp['port'] !== undefined) return { target: 'tcp', ports: [portOf(tcp['port'], container)] };
  const command = listAt(objectAt(definition['exec'])['command']).map(stringAt).join(' ');
  const ports = [...command.matchAll(/\bnc -\w*z\w* (?:localhost|\$\{POD_IP:-localhost\}) (\d+)/g)].map((match) =>
    Number(match[1]),
  );
  return ports.length > 0 ? { target: 'tcp', ports } : { target: 'none' };
}

/** Decodes a probe with the defaults of Kubernetes. */
export function probeFrom(definition: JsonObject, container: ContainerSpec): Probe {
  return {
    timing: {
      initialDelayMs: number(definition['initialDelaySeconds'], 0) * 1000,
      periodMs: Math.max(1, number(definition['periodSeconds'], 10)) * 1000,
      timeoutMs: Math.max(1, number(definition['timeoutSeconds'], 1)) * 1000,
      failureThreshold: Math.max(1, number(definition['failureThreshold'], 3)),
      successThreshold: Math.max(1, number(definition['successThreshold'], 1)),
    },
    target: targetOf(definition, container),
  };
}

function connects(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (passed: boolean): void => {
      socket.destroy();
      resolve(passed);
    };
    socket.setTimeout(timeoutMs, () => finish(false));
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}

function answers(host: string, target: Extract<ProbeTarget, { target: 'http' }>, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const options = {
      host,
      port: target.port,
      path: target.path,
      agent: false as const,
      signal: AbortSignal.timeout(timeoutMs),
    };
    const ask = target.secure ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options);
    ask.once('response', (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 400);
    });
    ask.once('error', () => resolve(false));
    ask.end();
  });
}

/** Probes once. */
export async function probeOnce(probe: Probe, host: string): Promise<boolean> {
  const { target, timing } = probe;
  switch (target.target) {
    case 'none':
      return true;
    case 'http':
      return answers(host, target, timing.timeoutMs);
    case 'tcp':
      return (await Promise.all(target.ports.map((port) => connects(host, port, timing.timeoutMs)))).every(Boolean);
  }
}
