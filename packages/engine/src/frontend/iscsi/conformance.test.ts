/** Initiators of others against the target: libiscsi's conformance suite, and qemu. Each is left out where it is not installed. */
import { Buffer } from 'node:buffer';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Frontend } from '../frontend.ts';
import { MemoryTarget } from '../nbd/test/memory-target.ts';
import { fixedPorts } from './port-claim.ts';
import { openIscsiFrontend } from './iscsi-frontend.ts';

const run = promisify(execFile);
const MIB = 1 << 20;
const isInstalled = (...command: [string, ...string[]]): boolean => {
  const [program, ...args] = command;
  return spawnSync(program, args).error === undefined;
};
const hasSuite = isInstalled('iscsi-test-cu', '--help');
const hasTools = isInstalled('iscsi-inq', '--help') && isInstalled('iscsi-ls', '--help');
/** Debian's qemu-utils name the protocol in their help, and have it only with qemu-block-extra. */
const qemu = spawnSync('qemu-img', ['info', 'iscsi://127.0.0.1:1/iqn/1'], { encoding: 'utf8' });
const hasQemu = qemu.error === undefined && !qemu.stderr.includes('Unknown protocol');
if (!hasSuite) console.log('iSCSI conformance: skipped, iscsi-test-cu (libiscsi-bin) is not installed');
if (!hasTools) console.log('iSCSI with CHAP: skipped, iscsi-inq and iscsi-ls (libiscsi-bin) are not installed');
if (!hasQemu) console.log('iSCSI by qemu: skipped, qemu-img has no iscsi (qemu-utils, qemu-block-extra)');

let target: MemoryTarget;
let frontend: Frontend;

beforeEach(async () => {
  target = new MemoryTarget(256 * MIB);
  frontend = await openIscsiFrontend({
    target,
    volumeName: 'vol',
    host: '127.0.0.1',
    claim: fixedPorts([0]),
    chap: null,
    logger: pino({ level: 'silent' }),
  });
});

afterEach(() => frontend.close());

/** What the suite may leave out, and why. */
const SKIPS: readonly { text: string; why: string }[] = [
  { text: 'EXTENDEDCOPY is not implemented', why: 'copy offload is none of upstream’s commands' },
  { text: 'RECEIVE_COPY_RESULTS is not implemented', why: 'as above' },
  { text: 'RECEIVECOPYRESULT is not implemented', why: 'as above' },
  { text: 'GETLBASTATUS is not implemented', why: 'which blocks are mapped is known to the replicas alone' },
  { text: 'GET_LBA_STATUS is not implemented', why: 'as above' },
  { text: 'WRITEATOMIC16 is not implemented', why: 'no atomic write is promised beyond a block' },
  { text: 'READDEFECTDATA10 is not implemented', why: 'there is no medium with defects' },
  { text: 'READDEFECTDATA12 is not implemented', why: 'as above' },
  { text: 'REPORT_SUPPORTED_OPCODES is not implemented', why: 'how the suite words the refusal that it asked for' },
  { text: '--allow-sanitize flag is not set', why: 'SANITIZE is not served, and the suite not told to try' },
  { text: 'Logical unit is not removable', why: 'a disk that stays' },
  { text: 'Media is not removable', why: 'as above' },
  { text: 'Logical unit is not write-protected', why: 'a disk that can be written' },
  { text: 'WRITESAME10 does not support 0-blocks', why: 'WSNZ: no blocks would mean the whole disk' },
  { text: 'WRITESAME16 does not support 0-blocks', why: 'as above' },
];

it.skipIf(!hasSuite)('passes iscsi-test-cu without a failure, over two paths', { timeout: 120_000 }, async () => {
  const url = frontend.endpoint();
  const { stdout, stderr } = await run('iscsi-test-cu', ['-d', '-n', '-t', 'ALL', url, url], { maxBuffer: 64 * MIB });
  const output = stdout + stderr;
  const [, total, ran, passed, failures] = /tests +(\d+) +(\d+) +(\d+) +(\d+)/.exec(output) ?? [];
  expect({ failures, all: total === ran && ran === passed }, output.slice(-4000)).toEqual({ failures: '0', all: true });
  expect(Number(total)).toBeGreaterThanOrEqual(200);
  const skipped = new Set([...output.matchAll(/\[SKIPPED\] (.*)/g)].map(([, text]) => text ?? ''));
  expect([...skipped].filter((text) => !SKIPS.some((known) => text.includes(known.text)))).toEqual([]);
});

it.skipIf(!hasTools)('lets iscsi-inq and iscsi-ls in by CHAP of both sides, and by nothing else', async () => {
  const joe = { user: 'joe', secret: 'secret-of-joe' };
  const own = { user: 'target', secret: 'secret-of-target' };
  const closed = await openIscsiFrontend({
    target,
    volumeName: 'vol',
    host: '127.0.0.1',
    claim: fixedPorts([0]),
    chap: { current: () => ({ initiator: joe, target: own }) },
    logger: pino({ level: 'silent' }),
  });
  try {
    const [, portal = '', unit = ''] = /^iscsi:\/\/([^/]+)\/(.*)$/.exec(closed.endpoint()) ?? [];
    const inquire = (account: string, query = ''): Promise<{ stdout: string }> =>
      run('iscsi-inq', [`iscsi://${account}${portal}/${unit}${query}`]);
    const mutual = (secret: string): string => `?target_user=${own.user}&target_password=${secret}`;
    expect((await inquire('joe%secret-of-joe@')).stdout).toContain('Vendor:');
    expect((await inquire('joe%secret-of-joe@', mutual(own.secret))).stdout).toContain('Vendor:');
    expect((await run('iscsi-ls', [`iscsi://joe%secret-of-joe@${portal}`])).stdout).toContain(':vol');
    await expect(inquire('joe%secret-of-joe@', mutual('secret-of-another'))).rejects.toThrow(
      /Login Failed|Authentication/i,
    );
    await expect(inquire('joe%secret-of-jim@')).rejects.toThrow(/Authentication/i);
    await expect(inquire('jim%secret-of-joe@')).rejects.toThrow(/Authentication/i);
    await expect(inquire('')).rejects.toThrow(/Authentication/i);
  } finally {
    await closed.close();
  }
});

it.skipIf(!hasQemu)('serves qemu-img and qemu-io', { timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'iscsi-'));
  const [from, to] = [join(folder, 'from.raw'), join(folder, 'to.raw')];
  const content = Buffer.from(Array.from({ length: 9 * MIB + 4096 }, (_, i) => (i * 31 + (i >> 12)) & 0xff));
  try {
    writeFileSync(from, content);
    await run('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', from, frontend.endpoint()]);
    expect(target.content.subarray(0, content.length).equals(content)).toBe(true);
    const commands = [
      'write -P 5 16M 12M',
      'read -P 5 16M 12M',
      'write -z 17M 1M',
      'read -P 0 17M 1M',
      'discard 20M 4M',
      'flush',
    ];
    const args = commands.flatMap((command) => ['-c', command]);
    const { stdout } = await run('qemu-io', ['-f', 'raw', ...args, frontend.endpoint()]);
    expect(stdout).not.toContain('failed');
    expect(target.calls).toContain('flush');
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', frontend.endpoint(), to]);
    expect(readFileSync(to).equals(target.content)).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
