import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cleanupFrontends } from '../cleanup.ts';
import type { Frontend } from '../frontend.ts';
import { MemoryTarget } from '../nbd/test/memory-target.ts';
import { openIscsiFrontend } from './iscsi-frontend.ts';
import { claimPort, iscsiPortLeft, portsOf } from './port-claim.ts';

const SERVER = fileURLToPath(new URL('test/serve-target.ts', import.meta.url));
/** Of this test alone, so that upstream's port is free. */
const HOST = '127.1.204.1';
const logger = pino({ level: 'silent' });

let runDir: string;
let servers: ChildProcess[] = [];
let frontends: Frontend[] = [];

beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'iscsi-port-'));
});

afterEach(async () => {
  for (const frontend of frontends) await frontend.close();
  for (const server of servers) await kill(server);
  frontends = [];
  servers = [];
  rmSync(runDir, { recursive: true });
});

async function open(volumeName: string): Promise<number> {
  const target = new MemoryTarget(1 << 20);
  const claim = claimPort(volumeName, runDir);
  const frontend = await openIscsiFrontend({ target, volumeName, host: HOST, claim, chap: null, logger });
  frontends.push(frontend);
  return portIn(frontend.endpoint());
}

const portIn = (endpoint: string): number => Number(/:(\d+)\//.exec(endpoint)?.[1]);

/** An engine's frontend in a process of its own. */
async function startServer(volumeName: string): Promise<{ port: number; process: ChildProcess }> {
  const server = spawn(process.execPath, [SERVER, volumeName, HOST, runDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  servers.push(server);
  const [line] = (await once(server.stdout, 'data')) as [Buffer];
  return { port: portIn(line.toString()), process: server };
}

async function kill(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  server.kill('SIGKILL');
  await once(server, 'exit');
}

it('gives the first volume of a node upstream’s port, others one of their own', async () => {
  expect(await open('one')).toBe(3260);
  expect(portsOf('two')).toContain(await open('two'));
  expect([iscsiPortLeft('one', runDir), iscsiPortLeft('two', runDir)]).toEqual([
    3260,
    portIn(frontends[1]?.endpoint() ?? ''),
  ]);
});

it('keeps the port of a dead engine for the next one, and gives it to nobody else', async () => {
  const dead = await startServer('one');
  expect(dead.port).toBe(3260);
  await kill(dead.process);
  expect(await open('two')).not.toBe(3260);
  expect(await open('one')).toBe(3260);
});

it('frees the port in an orderly end, and leaves nothing', async () => {
  await open('one');
  await frontends.pop()?.close();
  expect(readdirSync(join(runDir, 'iscsi'))).toEqual([]);
  expect(await open('two')).toBe(3260);
});

it('lets one process serve a target at a time', async () => {
  const first = await startServer('one');
  await expect(open('one')).rejects.toThrow(`the iSCSI target of volume one is served by process ${first.process.pid}`);
  await kill(first.process);
  expect(await open('one')).toBe(first.port);
});

it('takes another port when somebody else has that of a dead engine', async () => {
  const dead = await startServer('one');
  await kill(dead.process);
  const stranger = createServer();
  await once(stranger.listen(dead.port, HOST), 'listening');
  const port = await open('one');
  expect(portsOf('one').slice(1)).toContain(port);
  expect(iscsiPortLeft('one', runDir)).toBe(port);
  await new Promise((resolve) => stranger.close(resolve));
});

it('keeps what was left when no port can be had', async () => {
  const dead = await startServer('one');
  await kill(dead.process);
  const target = new MemoryTarget(1 << 20);
  const claim = { ...claimPort('one', runDir), ports: [3260] };
  const host = '192.0.2.1';
  await expect(openIscsiFrontend({ target, volumeName: 'one', host, claim, chap: null, logger })).rejects.toThrow(
    'EADDRNOTAVAIL',
  );
  expect(iscsiPortLeft('one', runDir)).toBe(3260);
  expect(await open('one')).toBe(3260);
});

it.each(['', 'x\n', '0\n', '65536\n', '3260'])('does not take %j for a port', (text) => {
  claimPort('one', runDir).abandon();
  writeFileSync(join(runDir, 'iscsi', 'one.port'), text);
  expect(iscsiPortLeft('one', runDir)).toBeNull();
});

it('refuses a name that leads out of the folder', () => {
  expect(() => claimPort('../one', runDir)).toThrow('volume name "../one" cannot be used for a target');
});

it('is left alone by the cleaner while it is served, and removed when its engine is dead', async () => {
  const server = await startServer('one');
  const busy = [`iSCSI target of volume one: process ${server.process.pid} serves it`];
  expect(await cleanupFrontends({ runDir, logger })).toEqual({ removed: [], remaining: busy });
  expect(iscsiPortLeft('one', runDir)).toBe(server.port);
  await kill(server.process);
  expect(await cleanupFrontends({ runDir, logger, volume: 'two' })).toEqual({ removed: [], remaining: [] });
  const removed = ['iSCSI port of volume one'];
  expect(await cleanupFrontends({ runDir, logger, volume: 'one' })).toEqual({ removed, remaining: [] });
  expect(readdirSync(join(runDir, 'iscsi'))).toEqual([]);
});
