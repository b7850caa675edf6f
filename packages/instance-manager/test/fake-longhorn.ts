/**
 * A small program in the place of `longhorn`, for tests of process handling: it serves the real services, makes a "device"
 * (a record file), and misbehaves as its arguments say.
 *
 *     [--engine-instance-name N] controller VOLUME [--start-delay-ms N] [--exit-code N] [--deaf] [--waits] --listen HOST:PORT
 *     replica FOLDER --listen HOST:PORT
 *     frontend cleanup --volume V
 *     idle            no ports, prints its lines and stays
 */
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ControllerService, ReplicaService } from '@longhorn/shared-types/generated/ptypes';
import { bindAddress } from '@longhorn/shared-types/grpc/address';
import { addHealthService } from '@longhorn/shared-types/grpc/health';
import { createServer } from '@longhorn/shared-types/grpc/server';

const args = process.argv.slice(2);
const runFolder = process.env['LONGHORN_RUN_DIR'] ?? '';

function flag(name: string): string {
  const index = args.indexOf(name);
  return index < 0 ? '' : (args[index + 1] ?? '');
}

function deviceRecord(volume: string): string {
  return join(runFolder, 'devices', `${volume}.json`);
}

async function listen(server: ReturnType<typeof createServer>): Promise<void> {
  addHealthService(server, 'endless');
  await server.listen(bindAddress(flag('--listen'), process.env['POD_IP'] ?? ''));
}

async function controller(volume: string): Promise<void> {
  const record = deviceRecord(volume);
  if (args.includes('--deaf')) process.on('SIGINT', () => undefined);
  else {
    process.on('SIGINT', () => {
      if (!args.includes('--waits')) rmSync(record, { force: true });
      process.exit(0);
    });
  }
  if (flag('--start-delay-ms')) await delay(Number(flag('--start-delay-ms')));
  if (flag('--exit-code')) process.exit(Number(flag('--exit-code')));
  // An engine that waits for replicas answers, but has not taken over any device.
  if (!args.includes('--waits')) {
    mkdirSync(join(runFolder, 'devices'), { recursive: true });
    writeFileSync(record, String(process.pid));
  }
  const server = createServer({
    identity: { role: 'controller', volumeName: volume, instanceName: flag('--engine-instance-name') },
  });
  server.add(ControllerService, {
    VolumeGet: () => ({ name: volume, size: 4096 }),
    async *VolumeWatch(_request, { signal }) {
      for (let epoch = 1; !signal.aborted; epoch++) {
        yield { name: volume, epoch };
        await delay(20);
      }
    },
  });
  await listen(server);
}

async function replica(): Promise<void> {
  process.on('SIGINT', () => process.exit(0));
  const server = createServer();
  server.add(ReplicaService, { ReplicaGet: () => ({ replica: { state: 'closed' } }) });
  await listen(server);
}

function cleanUp(): void {
  const volume = flag('--volume');
  appendFileSync(join(runFolder, 'cleanups'), `${volume || 'all'}\n`);
  if (existsSync(join(runFolder, 'cleanup-fails'))) process.exit(1);
  if (volume) rmSync(deviceRecord(volume), { force: true });
  else rmSync(join(runFolder, 'devices'), { recursive: true, force: true });
}

console.log(`started ${args.join(' ')}`);
const command = args.find((arg) => ['controller', 'replica', 'frontend', 'idle'].includes(arg));
if (command === 'controller') await controller(args[args.indexOf('controller') + 1] ?? '');
else if (command === 'replica') await replica();
else if (command === 'frontend') cleanUp();
else setInterval(() => undefined, 1_000);
