import { spawn } from 'node:child_process';
import { closeSync, existsSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { parseMountTable } from './mount-table.ts';
import { cutNodeDisk, mountNodeDisk, unmountNodeDisk } from './node-disk.ts';
import { killMarkedProcesses, markedProcessIds } from './node-processes.ts';
import { dropPackets, packetFilterAvailable, passPackets, removePacketFilter } from './packet-filter.ts';

const root = process.getuid?.() === 0;
if (!root) console.log('power tests: skipped, they want root');

describe('the mount table', () => {
  it('is decoded with its escapes', () => {
    const text = '36 35 98:0 / /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw\n\n';
    expect(parseMountTable(text)).toEqual([
      { device: '98:0', mountPoint: '/mnt/a b', fileSystem: 'ext3', source: '/dev/root' },
    ]);
  });
});

describe.skipIf(!root)('a node that loses power', () => {
  it('keeps what was synced and loses what was not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'node-disk-'));
    const disk = { imagePath: join(folder, 'disk.img'), mountPoint: join(folder, 'disk'), sizeBytes: 256 << 20 };
    await mountNodeDisk(disk);
    const synced = openSync(join(disk.mountPoint, 'synced'), 'w');
    writeSync(synced, 'reached the disk');
    fdatasyncSync(synced);
    const lost = openSync(join(disk.mountPoint, 'lost'), 'w');
    writeSync(lost, 'only in the cache');
    cutNodeDisk(disk);
    closeSync(synced);
    closeSync(lost);
    await unmountNodeDisk(disk, pause);
    await mountNodeDisk(disk);
    expect(readFileSync(join(disk.mountPoint, 'synced'), 'utf8')).toBe('reached the disk');
    expect(existsSync(join(disk.mountPoint, 'lost')) && readFileSync(join(disk.mountPoint, 'lost'), 'utf8')).not.toBe(
      'only in the cache',
    );
    await unmountNodeDisk(disk, pause);
    rmSync(folder, { recursive: true });
  });

  it('ends all processes that carry its mark, and no other', async () => {
    const start = (mark: string): ReturnType<typeof spawn> =>
      spawn('sleep', ['60'], { env: { ...process.env, LONGHORN_NODE_MARK: mark }, detached: true });
    const [mine, other] = [start('test-power/node-1'), start('test-power/node-2')];
    await pause(50);
    await killMarkedProcesses('test-power/node-1', pause);
    expect(markedProcessIds('test-power/')).toEqual([other.pid]);
    await killMarkedProcesses('test-power/', pause);
    expect(mine.pid).not.toBe(other.pid);
    expect(markedProcessIds('test-power/')).toEqual([]);
  });

  it('answers no packet until it has power again', async () => {
    if (!(await packetFilterAvailable())) {
      console.log('packet filter: skipped, there is no iptables');
      return;
    }
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(0, '127.1.250.1', resolve));
    const { port } = server.address() as AddressInfo;
    const answers = (): Promise<boolean> =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.1.250.1', port, timeout: 300 });
        const done = (value: boolean) => (): void => {
          socket.destroy();
          resolve(value);
        };
        socket.on('connect', done(true)).on('timeout', done(false)).on('error', done(false));
      });
    const id = `t${process.pid}`;
    expect(await answers()).toBe(true);
    await dropPackets(id, ['127.1.250.0/24']);
    expect(await answers()).toBe(false);
    await passPackets(id, ['127.1.250.0/24']);
    expect(await answers()).toBe(true);
    await removePacketFilter(id);
    server.close();
  });
});
