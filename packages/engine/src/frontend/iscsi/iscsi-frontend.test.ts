import { Buffer } from 'node:buffer';
import { createServer } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Frontend } from '../frontend.ts';
import { MemoryTarget } from '../nbd/test/memory-target.ts';
import { openIscsiFrontend, targetNameOf } from './iscsi-frontend.ts';
import { fixedPorts, portsOf } from './port-claim.ts';
import { Initiator, type Pdu } from './test/initiator.ts';

const MIB = 1 << 20;
const TARGET = 'iqn.2019-10.io.longhorn:vol';
const DIGESTS = { HeaderDigest: 'CRC32C', DataDigest: 'CRC32C' };
const UNSOLICITED = { InitialR2T: 'No', ImmediateData: 'Yes', FirstBurstLength: '8192', MaxBurstLength: '8192' };

let target: MemoryTarget;
let frontend: Frontend;
let port: number;
const initiators: Initiator[] = [];

beforeEach(async () => {
  target = new MemoryTarget(64 * MIB);
  frontend = await open();
  port = Number(/:(\d+)\//.exec(frontend.endpoint())?.[1]);
});

afterEach(async () => {
  target.isHeld = false;
  target.release();
  for (const initiator of initiators.splice(0)) await initiator.close();
  await frontend.close();
});

const open = (ports: number[] = [0]): Promise<Frontend> =>
  openIscsiFrontend({
    target,
    volumeName: 'vol',
    host: '127.0.0.1',
    claim: fixedPorts(ports),
    chap: null,
    logger: pino({ level: 'silent' }),
  });

function newInitiator(): Initiator {
  const initiator = new Initiator(port);
  initiators.push(initiator);
  return initiator;
}

async function entered(keys: Record<string, string> = {}, isid = 1): Promise<Initiator> {
  const initiator = newInitiator();
  await initiator.enter(TARGET, { MaxRecvDataSegmentLength: '65536', ...keys }, isid);
  return initiator;
}

/** READ(16), WRITE(16) and their like. */
function cdb16(opcode: string, lba: number, blocks: number, flags = '00'): string {
  return `${opcode}${flags}${lba.toString(16).padStart(16, '0')}${blocks.toString(16).padStart(8, '0')}0000`;
}

const write = (lba: number, data: Buffer, flags = '00'): { cdb: string; write: number; data: Buffer } => ({
  cdb: cdb16('8a', lba, data.length / 512, flags),
  write: data.length,
  data,
});
const read = (lba: number, blocks: number): { cdb: string; read: number } => ({
  cdb: cdb16('88', lba, blocks),
  read: blocks * 512,
});

function response({ header, data }: Pdu): { opcode: number; status: number; sense: number } {
  const sense = data.length > 0 ? ((data[4] as number) << 16) | data.readUInt16BE(14) : 0;
  return { opcode: header[0] as number, status: header[3] as number, sense };
}

describe('sessions', () => {
  it('name the target and its address to a discovery, and nothing else', async () => {
    const initiator = newInitiator();
    await initiator.login(0x87, { InitiatorName: 'iqn.x', SessionType: 'Discovery' });
    const header = initiator.header(0x04, 0x80);
    initiator.cmdSn++;
    initiator.send(header, Buffer.from('SendTargets=All\0'));
    const { data } = await initiator.take();
    expect(data.toString()).toBe(`TargetName=${TARGET}\0TargetAddress=127.0.0.1:${port},1\0`);
    initiator.start({ cdb: '000000000000' });
    expect(response(await initiator.take()).opcode).toBe(0x3f);
    expect(frontend.endpoint()).toBe(`iscsi://127.0.0.1:${port}/${TARGET}/1`);
  });

  it('are told of themselves by a unit attention first, and of a new size', async () => {
    const initiator = newInitiator();
    await initiator.login(0x87, { InitiatorName: 'iqn.x', TargetName: TARGET });
    const ready = { cdb: '000000000000' };
    expect(await initiator.command(ready)).toMatchObject({ status: 2, sense: 0x062900 });
    expect(await initiator.command(ready)).toMatchObject({ status: 0 });
    await frontend.expand(64 * MIB);
    expect(await initiator.command(ready)).toMatchObject({ status: 2, sense: 0x062a09 });
    expect(await initiator.command(ready)).toMatchObject({ status: 0 });
  });

  it('are reinstated by their ISID, and stand beside others', async () => {
    const [first, other] = [await entered({}, 1), await entered({}, 2)];
    const second = await entered({}, 1);
    await first.ended();
    expect([await second.command(read(0, 1)), await other.command(read(0, 1))].map(({ status }) => status)).toEqual([
      0, 0,
    ]);
  });

  it('end by logout once what is in progress is answered', async () => {
    const initiator = await entered();
    target.isHeld = true;
    initiator.start(read(0, 8));
    await expect.poll(() => target.waiting).toBe(1);
    initiator.send(initiator.header(0x06, 0x80, true));
    expect(response(await initiator.take()).opcode).toBe(0x26);
    target.isHeld = false;
    target.release();
    expect((await initiator.take()).data.length).toBe(4096);
    await initiator.ended();
  });

  it('answer NOP-Out with its data', async () => {
    const initiator = await entered(DIGESTS);
    initiator.send(initiator.header(0x00, 0x80, true), Buffer.from('are you there'));
    const { header, data } = await initiator.take();
    expect([header[0], data.toString()]).toEqual([0x20, 'are you there']);
  });

  it('take the first free port', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const taken = typeof address === 'object' && address !== null ? address.port : 0;
    const second = await open([taken, 0]);
    expect(second.endpoint()).not.toContain(`:${taken}/`);
    await second.close();
    expect(second.endpoint()).toBe('');
    await expect(open([taken])).rejects.toThrow('EADDRINUSE');
    await new Promise((resolve) => server.close(resolve));
    expect(portsOf('vol')).toEqual(portsOf('vol'));
    expect([portsOf('vol')[0], targetNameOf('a_b')]).toEqual([3260, 'iqn.2019-10.io.longhorn:a:b']);
  });
});

describe('reads and writes', () => {
  it.each([
    { name: 'as they are', keys: {} },
    { name: 'with digests', keys: DIGESTS },
    {
      name: 'with short segments and bursts',
      keys: { ...DIGESTS, MaxRecvDataSegmentLength: '1024', MaxBurstLength: '4096' },
    },
  ])('carry data $name', async ({ keys }) => {
    const initiator = await entered({ MaxBurstLength: '262144', ...keys });
    const data = Buffer.from(Array.from({ length: 65536 }, (_, i) => (i * 7) & 0xff));
    for (let at = 0; at < data.length; at += 4096) {
      const piece = data.subarray(at, at + 4096);
      expect(await initiator.command(write(100 + at / 512, piece))).toMatchObject({ status: 0, residual: 0 });
    }
    expect(target.content.subarray(51200, 51200 + 65536).equals(data)).toBe(true);
    const answer = await initiator.command(read(100, 128));
    expect([answer.status, answer.data.equals(data)]).toEqual([0, true]);
  });

  it('leave FUA to the core, and flush by SYNCHRONIZE CACHE', async () => {
    const initiator = await entered();
    await initiator.command(write(0, Buffer.alloc(512), '08'));
    await initiator.command({ cdb: '35000000000000000000' });
    expect(target.calls).toEqual(['write 0 512 fua', 'flush']);
  });

  it('take data by R2T, burst after burst', async () => {
    const initiator = await entered({ ...UNSOLICITED, InitialR2T: 'Yes', ...DIGESTS });
    const data = Buffer.alloc(20480, 9);
    const tag = initiator.start({ cdb: cdb16('8a', 0, 40), write: data.length, data: data.subarray(0, 512) });
    const asked: number[][] = [];
    for (let sent = 512; sent < data.length;) {
      const { header } = await initiator.take();
      expect(header[0]).toBe(0x31);
      const [offset, bytes] = [header.readUInt32BE(40), header.readUInt32BE(44)];
      asked.push([header.readUInt32BE(36), offset, bytes]);
      const half = bytes / 2;
      initiator.sendData(tag, header.readUInt32BE(20), 0, offset, data.subarray(0, half), false);
      initiator.sendData(tag, header.readUInt32BE(20), 1, offset + half, data.subarray(0, half), true);
      sent += bytes;
    }
    expect(response(await initiator.take())).toEqual({ opcode: 0x21, status: 0, sense: 0 });
    expect(asked).toEqual([
      [0, 512, 8192],
      [1, 8704, 8192],
      [2, 16896, 3584],
    ]);
    expect(target.content.subarray(0, 20480).equals(data)).toBe(true);
  });

  it('take unsolicited data, and ask for the rest', async () => {
    const initiator = await entered(UNSOLICITED);
    const data = Buffer.alloc(12288, 3);
    const tag = initiator.start({
      cdb: cdb16('8a', 0, 24),
      write: 12288,
      data: data.subarray(0, 4096),
      isFinal: false,
    });
    initiator.sendData(tag, 0xffffffff, 0, 4096, data.subarray(0, 4096), true);
    const { header } = await initiator.take();
    expect([header[0], header.readUInt32BE(40), header.readUInt32BE(44)]).toEqual([0x31, 8192, 4096]);
    initiator.sendData(tag, header.readUInt32BE(20), 0, 8192, data.subarray(0, 4096), true);
    expect(response(await initiator.take()).status).toBe(0);
    expect(target.content.subarray(0, 12288).equals(data)).toBe(true);
  });

  it.each([
    { name: 'a DataSN left out', dataSn: 1, offset: 0, bytes: 512 },
    { name: 'an offset left out', dataSn: 0, offset: 512, bytes: 512 },
    { name: 'more than was asked for', dataSn: 0, offset: 0, bytes: 8192 },
  ])('abort a write with $name, of which nothing is written', async ({ dataSn, offset, bytes }) => {
    const initiator = await entered({ ImmediateData: 'No' });
    const tag = initiator.start({ cdb: cdb16('8a', 0, 8), write: 4096 });
    const { header } = await initiator.take();
    initiator.sendData(tag, header.readUInt32BE(20), dataSn, offset, Buffer.alloc(bytes, 1), true);
    expect(response(await initiator.take())).toEqual({ opcode: 0x21, status: 2, sense: 0x0b4705 });
    expect((await initiator.command(read(0, 1))).status).toBe(0);
    expect(target.calls).toEqual(['read 0 512']);
  });

  it.each([
    { name: 'a read beyond the end', command: read(131072, 1), sense: 0x052100 },
    {
      name: 'a read far beyond 2^53',
      command: { cdb: `8800${'f'.repeat(16)}000000010000`, read: 512 },
      sense: 0x052100,
    },
    { name: 'a write that goes beyond the end', command: write(131071, Buffer.alloc(1024)), sense: 0x052100 },
    { name: 'a read above the limit', command: { cdb: cdb16('88', 0, 32769), read: 512 }, sense: 0x052400 },
    { name: 'protection', command: { cdb: cdb16('88', 0, 1, '20'), read: 512 }, sense: 0x052400 },
    { name: 'an unknown opcode', command: { cdb: 'c00000000000' }, sense: 0x052000 },
    { name: 'another LUN', command: { ...read(0, 1), lun: 2 }, sense: 0x052500 },
    { name: 'a read of the controller', command: { ...read(0, 1), lun: 0 }, sense: 0x052000 },
    {
      name: 'a write to a LUN that no header can name',
      command: { cdb: cdb16('8a', 0, 8), write: 4096, lun: 0xc001 },
      sense: 0x052500,
    },
  ])('refuse $name and go on', async ({ command, sense }) => {
    const initiator = await entered();
    expect(await initiator.command(command)).toMatchObject({ status: 2, sense });
    expect((await initiator.command(read(0, 1))).status).toBe(0);
    expect(target.calls).toEqual(['read 0 512']);
  });

  it.each([
    { errno: 5, command: read(0, 8), sense: 0x031100 },
    { errno: 5, command: write(0, Buffer.alloc(512)), sense: 0x030c00 },
    { errno: 28, command: write(0, Buffer.alloc(512)), sense: 0x072707 },
    { errno: 5, command: { cdb: '35000000000000000000' }, sense: 0x030c00 },
  ])('tell errno $errno by sense $sense', async ({ errno, command, sense }) => {
    const initiator = await entered();
    target.errno = errno;
    expect(await initiator.command(command)).toMatchObject({ status: 2, sense, data: Buffer.alloc(0) });
  });
});

describe('task management', () => {
  const manage = (initiator: Initiator, what: number, referenced = 0xffffffff): void => {
    const header = initiator.header(0x02, 0x80 | what, true);
    header.writeUInt16BE(1, 8);
    header.writeUInt32BE(referenced, 20);
    initiator.send(header);
  };
  const outcome = async (initiator: Initiator): Promise<number[]> => {
    const { header } = await initiator.take();
    return [header[0] as number, header[2] as number];
  };

  it('aborts a task that runs: answered once it is over, the task never', async () => {
    const initiator = await entered();
    target.isHeld = true;
    const tag = initiator.start(write(0, Buffer.alloc(512, 1)));
    await expect.poll(() => target.waiting).toBe(1);
    manage(initiator, 1, tag);
    manage(initiator, 1, 0x999);
    expect(await outcome(initiator)).toEqual([0x22, 1]);
    target.isHeld = false;
    target.release();
    expect(await outcome(initiator)).toEqual([0x22, 0]);
    expect((await initiator.command(read(0, 1))).status).toBe(0);
  });

  it('aborts a write whose data is still to come, and passes its late data over', async () => {
    const initiator = await entered({ ImmediateData: 'No' });
    const tag = initiator.start({ cdb: cdb16('8a', 0, 8), write: 4096 });
    const { header } = await initiator.take();
    manage(initiator, 1, tag);
    expect(await outcome(initiator)).toEqual([0x22, 0]);
    initiator.sendData(tag, header.readUInt32BE(20), 0, 0, Buffer.alloc(4096, 1), true);
    expect((await initiator.command(read(0, 1))).status).toBe(0);
    expect(target.calls).toEqual(['read 0 512']);
  });

  it('resets the unit for everybody', async () => {
    const [first, second] = [await entered({}, 1), await entered({}, 2)];
    await second.command({ cdb: '160000000000' });
    expect((await first.command(read(0, 1))).status).toBe(0x18);
    target.isHeld = true;
    second.start(read(0, 1));
    await expect.poll(() => target.waiting).toBe(1);
    manage(first, 5);
    first.send(first.header(0x00, 0x80, true));
    expect((await first.take()).header[0]).toBe(0x20);
    target.isHeld = false;
    target.release();
    expect(await outcome(first)).toEqual([0x22, 0]);
    for (const one of [first, second]) {
      expect(await one.command(read(0, 1))).toMatchObject({ status: 2, sense: 0x062903 });
      expect((await one.command(read(0, 1))).status).toBe(0);
    }
  });
});

describe('commands that have their range to themselves', () => {
  const compareAndWrite = (data: Buffer): { cdb: string; write: number; data: Buffer } => ({
    cdb: `8900${'0'.repeat(16)}000000010000`,
    write: data.length,
    data,
  });

  /** What was sent before is being done. */
  const pinged = async (initiator: Initiator): Promise<void> => {
    initiator.send(initiator.header(0x00, 0x80, true), Buffer.from('ping'));
    expect((await initiator.take()).header[0]).toBe(0x20);
  };

  it('compare and write in one step against writes of other connections', async () => {
    const [first, second] = [await entered({}, 1), await entered({}, 2)];
    target.isHeld = true;
    first.start(write(0, Buffer.alloc(512, 1)));
    await expect.poll(() => target.waiting).toBe(1);
    second.start(compareAndWrite(Buffer.concat([Buffer.alloc(512, 1), Buffer.alloc(512, 2)])));
    await pinged(second);
    const looked = pinged(first);
    first.start(write(0, Buffer.alloc(512, 3)));
    first.start(read(0, 1));
    // What was sent with the ping came with it.
    await looked;
    // Neither the comparison nor the write behind it has begun.
    expect(target.calls).toEqual(['write 0 512']);
    target.isHeld = false;
    target.release();
    expect([response(await first.take()).status, response(await second.take()).status]).toEqual([0, 0]);
    expect([response(await first.take()).opcode, response(await first.take()).opcode]).toContain(0x21);
    expect(target.calls.filter((call) => call !== 'read 0 512')).toHaveLength(3);
    expect(target.content.subarray(0, 512).equals(Buffer.alloc(512, 3))).toBe(true);
  });

  it('tell where a comparison differs', async () => {
    const initiator = await entered();
    target.content.fill(7, 100, 101);
    initiator.start(compareAndWrite(Buffer.alloc(1024)));
    const { header, data } = await initiator.take();
    expect(response({ header, data })).toEqual({ opcode: 0x21, status: 2, sense: 0x0e1d00 });
    expect(data.readUInt32BE(5)).toBe(100);
  });

  it('let one of many win each round', async () => {
    const racers = await Promise.all([1, 2, 3, 4].map((isid) => entered({}, isid)));
    for (let round = 0; round < 20; round++) {
      const old = Buffer.alloc(512, round);
      const answers = await Promise.all(
        racers.map((one) => one.command(compareAndWrite(Buffer.concat([old, Buffer.alloc(512, round + 1)])))),
      );
      expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([0, 2, 2, 2]);
    }
  });

  it('repeat a block, unmap whole ranges, and write zeros for WRITE SAME with its bit', async () => {
    const initiator = await entered();
    const same = { cdb: cdb16('93', 8, 1024), write: 512, data: Buffer.alloc(512, 6) };
    expect((await initiator.command(same)).status).toBe(0);
    expect(target.content.subarray(4096, 4096 + 524288).every((byte) => byte === 6)).toBe(true);
    await initiator.command({ cdb: cdb16('93', 8, 8, '09') });
    const list = Buffer.from(`0016001000000000${'0000000000000010'}00000008${'00000000'}`, 'hex');
    expect((await initiator.command({ cdb: '42000000000000001800', write: 24, data: list })).status).toBe(0);
    expect(target.calls.slice(-2)).toEqual(['write 4096 4096', 'unmap 8192 4096']);
    list.writeUInt32BE(131072, 12);
    expect(await initiator.command({ cdb: '42000000000000001800', write: 24, data: list })).toMatchObject({
      sense: 0x052100,
    });
  });
});

describe('bad peers', () => {
  it.each([
    { name: 'garbage', bytes: Buffer.alloc(4096, 0xa5) },
    { name: 'a giant segment', bytes: Buffer.from(`010000${'00'}00ffffff${'00'.repeat(40)}`, 'hex') },
    { name: 'a command before the login', bytes: Buffer.from(`0180${'00'.repeat(46)}`, 'hex') },
  ])('are cut off for $name', async ({ bytes }) => {
    const initiator = newInitiator();
    initiator.socket.write(bytes);
    await initiator.ended();
    expect((await (await entered()).command(read(0, 1))).status).toBe(0);
  });

  it.each([
    { name: 'a data segment above what was declared', change: (header: Buffer) => header.writeUIntBE(262145, 5, 3) },
    { name: 'a command that is missing', change: (header: Buffer) => header.writeUInt32BE(9, 24) },
    { name: 'more immediate data than expected', change: (header: Buffer) => header.writeUInt32BE(100, 20) },
    { name: 'unsolicited data that was not agreed', change: (header: Buffer) => (header[1] = 0x20) },
  ])('are cut off for $name', async ({ change }) => {
    const initiator = await entered();
    const header = initiator.header(0x01, 0xa0);
    header.writeUInt16BE(1, 8);
    header.writeUInt32BE(512, 20);
    Buffer.from(cdb16('8a', 0, 1), 'hex').copy(header, 32);
    header.writeUIntBE(512, 5, 3);
    change(header);
    initiator.socket.write(Buffer.concat([header, Buffer.alloc(512)]));
    await initiator.ended();
    expect(target.calls).toEqual([]);
  });

  it('are cut off for a wrong digest, before anything is written', async () => {
    const initiator = await entered(DIGESTS);
    const header = initiator.header(0x01, 0xa0);
    initiator.socket.write(Buffer.concat([header, Buffer.alloc(4)]));
    await initiator.ended();
    expect(target.calls).toEqual([]);
  });

  it('get no answer to commands outside of the window, which are not done', async () => {
    const initiator = await entered();
    for (const cmdSn of [0, 5000]) {
      const header = initiator.header(0x01, 0x80);
      header.writeUInt16BE(1, 8);
      header.writeUInt32BE(cmdSn, 24);
      initiator.send(header);
    }
    expect((await initiator.command(read(0, 1))).status).toBe(0);
  });

  it('that go away in the middle leave nothing behind', async () => {
    const initiator = await entered({ ImmediateData: 'No' });
    target.isHeld = true;
    initiator.start(read(0, 64));
    initiator.start({ cdb: cdb16('8a', 0, 8), write: 4096 });
    await expect.poll(() => target.waiting).toBe(1);
    await initiator.close();
    target.isHeld = false;
    target.release();
    const next = await entered();
    const racer = { cdb: `8900${'0'.repeat(16)}000000010000`, write: 1024, data: Buffer.alloc(1024) };
    expect((await next.command(racer)).status).toBe(0);
  });

  it('that send more commands than the window get TASK SET FULL', async () => {
    const initiator = await entered();
    target.isHeld = true;
    for (let i = 0; i < 128; i++) initiator.start(read(i, 1));
    await expect.poll(() => target.waiting).toBe(128);
    const header = initiator.header(0x01, 0xc0, true);
    header.writeUInt16BE(1, 8);
    initiator.send(header);
    expect(response(await initiator.take())).toEqual({ opcode: 0x21, status: 0x28, sense: 0 });
  });
});
