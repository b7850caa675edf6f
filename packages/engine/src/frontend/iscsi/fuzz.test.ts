/** Seeded bad input: the login, and connections that get PDUs with bits and lengths changed. */
import { Buffer } from 'node:buffer';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { FUZZ_MS, forSeeds, spoiled } from '../../../test/fuzz-seeds.ts';
import { MemoryTarget } from '../nbd/test/memory-target.ts';
import { fixedPorts } from './port-claim.ts';
import { openIscsiFrontend } from './iscsi-frontend.ts';
import { Login } from './login.ts';
import { Initiator } from './test/initiator.ts';
import { encodeTextKeys, parseTextKeys } from './text-keys.ts';

const TARGET = 'iqn.2019-10.io.longhorn:vol';
const CHAP = { initiator: { user: 'joe', secret: 'secret-of-joe' }, target: null };

const TEXTS = [
  { InitiatorName: 'iqn.x', TargetName: TARGET, AuthMethod: 'CHAP,None' },
  { InitiatorName: 'iqn.x', SessionType: 'Discovery' },
  { CHAP_A: '5,7' },
  { CHAP_N: 'joe', CHAP_R: '0x00112233445566778899aabbccddeeff', CHAP_I: '1', CHAP_C: '0bAAAA' },
  { HeaderDigest: 'CRC32C', MaxBurstLength: '0x4000', MaxRecvDataSegmentLength: '65536', InitialR2T: 'No' },
];

it('of the login: it never throws, nor lets anybody in without the secret', { timeout: 30_000 + FUZZ_MS }, async () => {
  await forSeeds(3000, (next, seed) => {
    const login = new Login({
      targetName: TARGET,
      chap: CHAP,
      random: (bytes) => Buffer.alloc(bytes, seed),
      admit: () => ({ tsih: 1 }),
    });
    for (let i = 0; i < 8 && login.state === 'login'; i++) {
      const text = encodeTextKeys(Object.entries(TEXTS[next(TEXTS.length)] ?? {}));
      const header = Buffer.alloc(48);
      header[1] = [0x81, 0x87, 0x00, 0x83, 0x04, 0x44][next(6)] as number;
      const answer = login.take(
        next(3) === 0 ? spoiled(header, next) : header,
        0,
        next(2) === 0 ? spoiled(text, next) : text,
      );
      expect(answer.length, `seed ${seed}`).toBeGreaterThanOrEqual(48);
      parseTextKeys(spoiled(text, next));
    }
    expect(login.state, `seed ${seed}`).not.toBe('full');
  });
});

it('of connections: they go on or end, and the next one is served', { timeout: 60_000 + FUZZ_MS }, async () => {
  const target = new MemoryTarget(1 << 20);
  const logger = pino({ level: 'silent' });
  const frontend = await openIscsiFrontend({
    target,
    volumeName: 'vol',
    host: '127.0.0.1',
    claim: fixedPorts([0]),
    chap: null,
    logger,
  });
  const port = Number(/:(\d+)\//.exec(frontend.endpoint())?.[1]);
  await forSeeds(120, async (next, seed) => {
    const initiator = new Initiator(port);
    await initiator.enter(TARGET, { InitialR2T: next(2) === 0 ? 'No' : 'Yes' }, seed);
    for (let i = 0; i < 20; i++) {
      const opcode = [0x00, 0x01, 0x01, 0x01, 0x02, 0x04, 0x05, 0x06, 0x10][next(9)] as number;
      const header = initiator.header(opcode, [0x80, 0xc0, 0xa0, 0x20, 0xe0][next(5)] as number, next(2) === 0);
      header.writeUInt16BE(1, 8);
      header.writeUInt32BE(next(2) === 0 ? 512 : next(0x100000), 20);
      header[32] = next(256);
      header.writeUInt16BE(next(64), 39);
      header.writeUIntBE(next(3) === 0 ? 512 : 0, 5, 3);
      const pdu = Buffer.concat([header, Buffer.alloc(header.readUIntBE(5, 3))]);
      initiator.socket.write(next(4) === 0 ? spoiled(pdu, next).subarray(0, 1 + next(pdu.length)) : pdu);
    }
    await new Promise(setImmediate);
    await initiator.close();
  });
  const last = new Initiator(port);
  await last.enter(TARGET);
  expect((await last.command({ cdb: '28000000000000000100', read: 512 })).data.length).toBe(512);
  await last.close();
  await frontend.close();
});
