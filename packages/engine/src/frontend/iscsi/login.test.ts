import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Login, type LoginOptions } from './login.ts';
import { encodeTextKeys, parseTextKeys } from './text-keys.ts';
import { defaultParameters, negotiate } from './negotiation.ts';

const TARGET = 'iqn.2019-10.io.longhorn:vol';
const NAMES = { InitiatorName: 'iqn.x:y', TargetName: TARGET };
const CHAP = { initiator: { user: 'joe', secret: 'secret-of-joe' }, target: { user: 'vol', secret: 'secret-of-vol' } };
const options = (over: Partial<LoginOptions> = {}): LoginOptions => ({
  targetName: TARGET,
  chap: null,
  random: (bytes) => Buffer.alloc(bytes, 0x5a),
  admit: () => ({ tsih: 7 }),
  ...over,
});

interface Answer {
  readonly status: number;
  readonly flags: number;
  readonly keys: Record<string, string>;
}

function exchange(
  login: Login,
  flags: number,
  keys: Record<string, string>,
  change?: (header: Buffer) => void,
): Answer {
  const header = Buffer.alloc(48);
  header[0] = 0x43;
  header[1] = flags;
  change?.(header);
  const answer = login.take(header, 0, encodeTextKeys(Object.entries(keys)));
  const data = answer.subarray(48, 48 + answer.readUIntBE(5, 3));
  return {
    status: answer.readUInt16BE(36),
    flags: answer[1] as number,
    keys: Object.fromEntries(parseTextKeys(data) ?? []),
  };
}

const proof = (algorithm: string, id: number, secret: string, challenge: Buffer): string =>
  `0x${createHash(algorithm)
    .update(Buffer.from([id]))
    .update(secret)
    .update(challenge)
    .digest('hex')}`;

describe('stages', () => {
  it('go from security over operational to full feature', () => {
    const login = new Login(options());
    expect(exchange(login, 0x81, { ...NAMES, AuthMethod: 'CHAP,None' })).toEqual({
      status: 0,
      flags: 0x81,
      keys: { TargetPortalGroupTag: '1', AuthMethod: 'None' },
    });
    expect(exchange(login, 0x87, { HeaderDigest: 'None', MaxRecvDataSegmentLength: '262144' })).toEqual({
      status: 0,
      flags: 0x87,
      keys: { HeaderDigest: 'None', MaxRecvDataSegmentLength: '262144' },
    });
    expect(login.state).toBe('full');
    expect(login.identity).toMatchObject({ initiatorName: 'iqn.x:y', tsih: 7, isDiscovery: false });
  });

  it('take keys that are continued over several PDUs', () => {
    const login = new Login(options());
    expect(exchange(login, 0x44, { InitiatorName: 'iqn.x:y' })).toEqual({ status: 0, flags: 0x04, keys: {} });
    expect(exchange(login, 0x87, { TargetName: TARGET }).status).toBe(0);
    expect(login.state).toBe('full');
  });

  it.each([
    { name: 'no initiator', flags: 0x87, keys: { TargetName: TARGET }, status: 0x0207 },
    { name: 'no target', flags: 0x87, keys: { InitiatorName: 'iqn.x:y' }, status: 0x0207 },
    { name: 'another target', flags: 0x87, keys: { ...NAMES, TargetName: 'iqn.z' }, status: 0x0203 },
    { name: 'an unknown session type', flags: 0x87, keys: { ...NAMES, SessionType: 'Odd' }, status: 0x0209 },
    { name: 'a stage that does not exist', flags: 0x8b, keys: NAMES, status: 0x0200 },
    { name: 'a step back', flags: 0x84, keys: NAMES, status: 0x0200 },
    { name: 'transit with more to come', flags: 0xc7, keys: NAMES, status: 0x0200 },
    {
      name: 'a name that is too long',
      flags: 0x87,
      keys: { ...NAMES, InitiatorName: 'x'.repeat(224) },
      status: 0x0200,
    },
    { name: 'no method that we have', flags: 0x81, keys: { ...NAMES, AuthMethod: 'KRB5' }, status: 0x0201 },
    {
      name: 'a segment below the least',
      flags: 0x87,
      keys: { ...NAMES, MaxRecvDataSegmentLength: '511' },
      status: 0x0200,
    },
  ])('end with $name', ({ flags, keys, status }) => {
    const login = new Login(options());
    expect(exchange(login, flags, keys).status).toBe(status);
    expect(login.state).toBe('end');
  });

  it('end with a version that does not exist, or what the frontend refuses', () => {
    expect(exchange(new Login(options()), 0x87, NAMES, (header) => (header[3] = 1)).status).toBe(0x0205);
    expect(exchange(new Login(options({ admit: () => ({ status: 0x020a }) })), 0x87, NAMES).status).toBe(0x020a);
  });

  it('end with more text or PDUs than a login needs', () => {
    const long = new Login(options());
    let answer = exchange(long, 0x44, { ...NAMES, X: 'y'.repeat(8000) });
    for (let i = 0; i < 3 && answer.status === 0; i++) answer = exchange(long, 0x44, { [`X${i}`]: 'y'.repeat(8000) });
    expect(answer.status).toBe(0x0200);
    const many = new Login(options());
    for (let i = 0; i < 32; i++) expect(exchange(many, 0x04, NAMES).status).toBe(0);
    expect(exchange(many, 0x04, NAMES).status).toBe(0x0200);
  });
});

describe('CHAP', () => {
  const ask = { ...NAMES, AuthMethod: 'CHAP' };
  const challenge = Buffer.alloc(16, 0x5a);

  it.each([
    { algorithm: '5', hash: 'md5' },
    { algorithm: '7', hash: 'sha256' },
    { algorithm: '6,7,5', hash: 'sha256' },
  ])('by algorithm $algorithm lets in who knows the secret, and proves that the target does', ({ algorithm, hash }) => {
    const login = new Login(options({ chap: CHAP }));
    expect(exchange(login, 0x81, ask)).toMatchObject({ flags: 0x00, keys: { AuthMethod: 'CHAP' } });
    expect(exchange(login, 0x00, { CHAP_A: algorithm }).keys).toEqual({
      CHAP_A: hash === 'md5' ? '5' : '7',
      CHAP_I: String(0x5a),
      CHAP_C: `0x${challenge.toString('hex')}`,
    });
    const theirs = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex');
    const answer = exchange(login, 0x83, {
      CHAP_N: 'joe',
      CHAP_R: proof(hash, 0x5a, CHAP.initiator.secret, challenge),
      CHAP_I: '9',
      CHAP_C: `0b${theirs.toString('base64')}`,
    });
    expect(answer).toEqual({
      status: 0,
      flags: 0x83,
      keys: { CHAP_N: 'vol', CHAP_R: proof(hash, 9, CHAP.target.secret, theirs) },
    });
  });

  const right = { CHAP_N: 'joe', CHAP_R: proof('md5', 0x5a, CHAP.initiator.secret, challenge) };
  it.each([
    { name: 'a wrong secret', keys: { ...right, CHAP_R: proof('md5', 0x5a, 'another', challenge) }, status: 0x0201 },
    { name: 'another user', keys: { ...right, CHAP_N: 'jim' }, status: 0x0201 },
    { name: 'no response', keys: { CHAP_N: 'joe' }, status: 0x0200 },
    { name: 'a response that is none', keys: { ...right, CHAP_R: 'zz' }, status: 0x0200 },
    {
      name: 'our own challenge sent back',
      keys: { ...right, CHAP_I: '1', CHAP_C: `0x${challenge.toString('hex')}` },
      status: 0x0201,
    },
  ])('refuses $name', ({ keys, status }) => {
    const login = new Login(options({ chap: CHAP }));
    exchange(login, 0x00, ask);
    exchange(login, 0x00, { CHAP_A: '5' });
    expect(exchange(login, 0x83, keys).status).toBe(status);
    expect(login.state).toBe('end');
  });

  it.each([
    { name: 'the operational stage at once', flags: 0x87, keys: NAMES },
    { name: 'no authentication', flags: 0x81, keys: { ...NAMES, AuthMethod: 'None' } },
  ])('cannot be passed by $name', ({ flags, keys }) => {
    expect(exchange(new Login(options({ chap: CHAP })), flags, keys).status).toBe(0x0201);
  });

  it('cannot be passed by the wish for the next stage alone', () => {
    const login = new Login(options({ chap: CHAP }));
    expect(exchange(login, 0x83, ask)).toMatchObject({ status: 0, flags: 0x00 });
    expect(login.state).toBe('login');
  });

  it('refuses mutual authentication when the target has no account', () => {
    const login = new Login(options({ chap: { ...CHAP, target: null } }));
    exchange(login, 0x00, ask);
    exchange(login, 0x00, { CHAP_A: '5' });
    expect(exchange(login, 0x83, { ...right, CHAP_I: '1', CHAP_C: '0x01' }).status).toBe(0x0201);
  });
});

describe('operational keys', () => {
  it.each([
    ['HeaderDigest', 'CRC32C,None', 'CRC32C', { headerDigest: true }],
    ['HeaderDigest', 'None,CRC32C', 'None', { headerDigest: false }],
    ['DataDigest', 'MD5', 'Reject', { dataDigest: false }],
    ['InitialR2T', 'No', 'No', { initialR2t: false }],
    ['InitialR2T', 'Yes', 'Yes', { initialR2t: true }],
    ['ImmediateData', 'No', 'No', { immediateData: false }],
    ['ImmediateData', 'Maybe', 'Reject', { immediateData: true }],
    ['MaxBurstLength', '16776192', '1048576', { maxBurstBytes: 1048576 }],
    ['MaxBurstLength', '0x10000', '65536', { maxBurstBytes: 65536 }],
    ['MaxBurstLength', '0', 'Reject', { maxBurstBytes: 262144 }],
    ['FirstBurstLength', '1048576', '262144', { firstBurstBytes: 262144 }],
    ['MaxConnections', '8', '1', {}],
    ['MaxOutstandingR2T', '4', '1', {}],
    ['ErrorRecoveryLevel', '2', '0', {}],
    ['DefaultTime2Wait', '0', '2', {}],
    ['DefaultTime2Retain', '20', '0', {}],
    ['DataPDUInOrder', 'No', 'Yes', {}],
    ['OFMarker', 'Yes', 'No', {}],
    ['X-com.vendor.key', '1', 'NotUnderstood', {}],
  ])('%s=%s is answered %s', (key, value, answer, agreed) => {
    const parameters = defaultParameters();
    expect(negotiate(new Map([[key, value]]), parameters, false)).toEqual([[key, answer]]);
    expect(parameters).toEqual({ ...defaultParameters(), ...agreed });
  });

  it('of a normal session are irrelevant to a discovery', () => {
    expect(negotiate(new Map([['InitialR2T', 'No']]), defaultParameters(), true)).toEqual([
      ['InitialR2T', 'Irrelevant'],
    ]);
  });

  it('keep the first burst within a burst', () => {
    const parameters = defaultParameters();
    negotiate(new Map([['MaxBurstLength', '512']]), parameters, false);
    expect(parameters).toMatchObject({ maxBurstBytes: 512, firstBurstBytes: 512 });
  });
});
