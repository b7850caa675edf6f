import { Buffer } from 'node:buffer';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { TLSSocket } from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Frontend } from '../frontend.ts';
import { openNbdFrontend } from './nbd-frontend.ts';
import { NBD_HANDSHAKE_TIMEOUT_MS, NBD_TLS_UPGRADES_MAX } from './nbd-limits.ts';
import { installedTools } from './test/installed-tools.ts';
import { MemoryTarget } from './test/memory-target.ts';
import { contextQueries, NbdClient, parseReply, request } from './test/nbd-client.ts';
import { NBD_TEST_TLS } from './test/tls-test-certificates.ts';
import { readNbdTlsFiles, type NbdTlsFiles } from './tls-certificates.ts';

const run = promisify(execFile);
const READ = 0;
const WRITE = 1;
const FLUSH = 3;
const STARTTLS = 5;
const ERR_UNSUP = 0x8000_0001;
const ERR_INVALID = 0x8000_0003;
const ERR_TLS_REQD = 0x8000_0005;
const MIB = 1 << 20;
const { authority, server, client, otherAuthority, otherServer, otherClient } = NBD_TEST_TLS;
/** What a client with a certificate of the authority gives to node:tls. */
const TRUSTED = { ca: authority.certificate, cert: client.certificate, key: client.key };

let folder: string;
let files: NbdTlsFiles;
let target: MemoryTarget;
let warnings: string[];
const opened: Frontend[] = [];
const clients: NbdClient[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nbd-tls-'));
  files = {
    certificatePath: join(folder, 'tls.crt'),
    keyPath: join(folder, 'tls.key'),
    caPath: join(folder, 'ca.crt'),
  };
  putFiles(server.certificate, server.key, authority.certificate);
  target = new MemoryTarget(64 * MIB);
  warnings = [];
});

afterEach(async () => {
  vi.useRealTimers();
  target.isHeld = false;
  for (const { socket } of clients.splice(0)) socket.destroy();
  for (const frontend of opened.splice(0)) await frontend.close();
  rmSync(folder, { recursive: true });
});

function putFiles(certificate: string, key: string, ca: string): void {
  writeFileSync(files.certificatePath, certificate);
  writeFileSync(files.keyPath, key);
  writeFileSync(join(folder, 'ca.crt'), ca);
}

/** Resolves with the port. */
async function serve(of: NbdTlsFiles = files): Promise<number> {
  const logger = pino({ base: null }, { write: (line: string) => void warnings.push(line) });
  const listen = { host: '127.0.0.1', port: 0, tls: { files: of, logger } };
  const frontend = await openNbdFrontend({ target, exportName: 'vol', listen, allocation: null });
  opened.push(frontend);
  const [, port] = /^nbds:\/\/127\.0\.0\.1:(\d+)\/vol$/.exec(frontend.endpoint()) ?? [];
  return Number(port);
}

function newClient(port: number): NbdClient {
  const made = new NbdClient({ port, host: '127.0.0.1' });
  clients.push(made);
  return made;
}

/** Greeted and in TLS. */
async function secured(port: number, options: object = TRUSTED): Promise<{ client: NbdClient; tls: TLSSocket }> {
  const made = newClient(port);
  await made.greet();
  return { client: made, tls: await made.startTls(options) };
}

async function reply(of: NbdClient): Promise<{ error: number; cookie: number }> {
  return parseReply(await of.take(16));
}

function exchanged(of: NbdClient): Promise<{ error: number; cookie: number }> {
  of.send(request(FLUSH, 7, 0, 0));
  return reply(of);
}

describe('before TLS', () => {
  it.each([
    { name: 'LIST', option: 3, data: Buffer.alloc(0) },
    { name: 'INFO', option: 6, data: Buffer.from('00000003766f6c0000', 'hex') },
    { name: 'GO', option: 7, data: Buffer.from('00000003766f6c0000', 'hex') },
    { name: 'STRUCTURED_REPLY', option: 8, data: Buffer.alloc(0) },
    { name: 'LIST_META_CONTEXT', option: 9, data: contextQueries('vol') },
    { name: 'SET_META_CONTEXT', option: 10, data: contextQueries('vol', 'base:allocation') },
    { name: 'an unknown option', option: 99, data: Buffer.alloc(7) },
  ])('refuses $name until TLS has started, and tells nothing', async ({ option, data }) => {
    const made = newClient(await serve());
    await made.greet();
    expect(await made.option(option, data)).toEqual([{ type: ERR_TLS_REQD, data: Buffer.alloc(0) }]);
    await made.startTls(TRUSTED);
    expect((await made.enterNow()).size).toBe(BigInt(64 * MIB));
  });

  it('ends for EXPORT_NAME, which cannot be refused', async () => {
    const made = newClient(await serve());
    await made.greet();
    made.sendOption(1, Buffer.from('vol'));
    await made.ended();
    await expect(made.take(1)).rejects.toThrow('ended after 0');
  });

  it('acknowledges ABORT and ends', async () => {
    const made = newClient(await serve());
    await made.greet();
    expect(await made.option(2)).toMatchObject([{ type: 1 }]);
    await made.ended();
  });

  it('refuses STARTTLS with data, and takes one without', async () => {
    const made = newClient(await serve());
    await made.greet();
    expect(await made.option(STARTTLS, Buffer.alloc(1))).toMatchObject([{ type: ERR_INVALID }]);
    await made.startTls(TRUSTED);
    await made.enterNow();
    expect(await exchanged(made)).toEqual({ error: 0, cookie: 7 });
  });

  it('takes an option at every split point', async () => {
    const made = newClient(await serve());
    await made.take(18);
    for (const byte of Buffer.from('0000000349484156454f50540000000300000000', 'hex')) {
      made.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    expect((await made.take(20)).readUInt32BE(12)).toBe(ERR_TLS_REQD);
  });

  it('never looks at what came in plain text after STARTTLS', async () => {
    const made = newClient(await serve());
    await made.greet();
    made.send('49484156454f50540000000500000000' + '49484156454f50540000000200000000');
    await made.ended();
    await expect(made.take(1)).rejects.toThrow('ended after 0');
    await expect.poll(() => warnings.join('')).toContain('plain text after STARTTLS');
  });

  it('ends for what is no TLS after STARTTLS, and serves the next one', async () => {
    const port = await serve();
    const made = newClient(port);
    await made.greet();
    await made.option(STARTTLS);
    made.sendOption(1, Buffer.from('vol'));
    await made.ended();
    const next = await secured(port);
    await next.client.enterNow();
    expect(await exchanged(next.client)).toEqual({ error: 0, cookie: 7 });
    expect(target.calls).toEqual(['flush']);
  });
});

describe('in TLS', () => {
  it('refuses a second STARTTLS and goes on', async () => {
    const { client: made } = await secured(await serve());
    expect(await made.option(STARTTLS)).toMatchObject([{ type: ERR_INVALID }]);
    expect(await made.option(3)).toMatchObject([{ type: 2 }, { type: 1 }]);
    expect(await made.enterNow()).toMatchObject({ size: BigInt(64 * MIB) });
  });

  it('lands payloads of every size unharmed, also the longest and many at a time', async () => {
    const { client: made } = await secured(await serve());
    await made.enterNow();
    for (const length of [512, 4096, 16 << 10, 128 << 10, MIB, 3 * MIB, 32 * MIB]) {
      const data = Buffer.alloc(length, length % 251);
      for (let at = 0; at < length; at += 512) data.writeUInt32LE(at ^ length, at);
      made.send(Buffer.concat([request(WRITE, length, 0, length), data]));
      expect(await reply(made)).toEqual({ error: 0, cookie: length });
      made.send(request(READ, 1, 0, length));
      await reply(made);
      expect((await made.take(length)).equals(data)).toBe(true);
    }
    const many = Array.from({ length: 400 }, (_, i) =>
      Buffer.concat([request(WRITE, i, i * 4096, 4096), Buffer.alloc(4096, i % 256)]),
    );
    made.send(Buffer.concat(many));
    const cookies = new Set<number>();
    for (let i = 0; i < 400; i++) cookies.add((await reply(made)).cookie);
    expect(cookies.size).toBe(400);
    for (let i = 0; i < 400; i++) expect(target.content[i * 4096 + 17]).toBe(i % 256);
  });

  it('serves a client again that took its replies late', async () => {
    const { client: made } = await secured(await serve());
    await made.enterNow();
    made.socket.pause();
    made.send(Buffer.concat(Array.from({ length: 200 }, (_, i) => request(READ, i, 0, 256 << 10))));
    await expect.poll(() => target.calls.length).toBe(200);
    // Replies of 50 MiB are more than sockets hold: what is asked for now has to wait.
    made.send(request(FLUSH, 7, 0, 0));
    for (let i = 0; i < 200; i++) await new Promise(setImmediate);
    expect(target.calls.length).toBe(200);
    made.socket.resume();
    for (let i = 0; i < 200; i++) await made.take(16 + (256 << 10));
    expect(await reply(made)).toEqual({ error: 0, cookie: 7 });
  });

  it('lets nobody on the way read what is written and read', async () => {
    const seen: Buffer[] = [];
    const port = await serve();
    const relay = createServer((near: Socket) => {
      const far = connect(port, '127.0.0.1');
      for (const [from, to] of [[near, far] as const, [far, near] as const]) {
        from.on('data', (data: Buffer) => seen.push(data) && to.write(data));
        from.on('close', () => to.destroy());
        from.on('error', () => to.destroy());
      }
    });
    await once(relay.listen(0, '127.0.0.1'), 'listening');
    const { client: made } = await secured((relay.address() as AddressInfo).port);
    await made.enterNow();
    const secret = Buffer.from('what nobody else may read '.repeat(100));
    made.send(Buffer.concat([request(WRITE, 1, 0, secret.length), secret]));
    await reply(made);
    made.send(request(READ, 2, 0, secret.length));
    await reply(made);
    expect((await made.take(secret.length)).equals(secret)).toBe(true);
    const wire = Buffer.concat(seen);
    expect(wire.includes('IHAVEOPT')).toBe(true);
    expect(wire.includes('nobody else')).toBe(false);
    made.socket.destroy();
    relay.close();
  });

  it('leaves a unix socket plain', async () => {
    const unixPath = join(folder, 'vol.sock');
    const listen = { unixPath };
    opened.push(await openNbdFrontend({ target, exportName: 'vol', listen, allocation: null }));
    const made = new NbdClient({ path: unixPath });
    clients.push(made);
    await made.greet();
    expect(await made.option(STARTTLS)).toMatchObject([{ type: ERR_UNSUP }]);
    await made.enterNow();
    expect(await exchanged(made)).toEqual({ error: 0, cookie: 7 });
  });
});

describe('client certificates', () => {
  it.each([
    { name: 'no certificate', options: { ca: authority.certificate } },
    {
      name: 'one of another authority',
      options: { ca: authority.certificate, cert: otherClient.certificate, key: otherClient.key },
    },
    {
      name: 'one that is for servers',
      options: { ca: authority.certificate, cert: server.certificate, key: server.key },
    },
  ])('refuses a client with $name', async ({ options }) => {
    const port = await serve();
    const made = newClient(port);
    await made.greet();
    // In TLS 1.3 the client is through before the server has judged its certificate.
    await made.startTls(options).catch(() => undefined);
    made.sendOption(1, Buffer.from('vol'));
    await made.ended();
    await expect(made.take(1)).rejects.toThrow('ended after 0');
    await expect.poll(() => warnings.join('')).toContain('TLS failed');
    expect(target.calls).toEqual([]);
  });

  it('does not ask for one without an authority', async () => {
    const port = await serve({ ...files, caPath: null });
    const { client: made } = await secured(port, { ca: authority.certificate });
    await made.enterNow();
    expect(await exchanged(made)).toEqual({ error: 0, cookie: 7 });
  });

  it('speaks no TLS older than 1.2', async () => {
    const made = newClient(await serve());
    await made.greet();
    const old = { ...TRUSTED, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const;
    await expect(made.startTls(old)).rejects.toThrow('protocol version');
    await made.ended();
  });
});

describe('files that change', () => {
  const ofOther = { ca: otherAuthority.certificate, cert: otherClient.certificate, key: otherClient.key };

  it('counts for who connects afterwards', async () => {
    const port = await serve();
    const before = await secured(port);
    await before.client.enterNow();
    expect(before.tls.getPeerX509Certificate()?.subject).toBe('CN=first server');
    putFiles(otherServer.certificate, otherServer.key, otherAuthority.certificate);
    const after = await secured(port, ofOther);
    await after.client.enterNow();
    expect(after.tls.getPeerX509Certificate()?.subject).toBe('CN=renewed server');
    expect(await exchanged(after.client)).toEqual({ error: 0, cookie: 7 });
    expect(await exchanged(before.client)).toEqual({ error: 0, cookie: 7 });
    const outdated = newClient(port);
    await outdated.greet();
    await outdated.startTls({ ...TRUSTED, ca: otherAuthority.certificate }).catch(() => undefined);
    await outdated.ended();
    expect(warnings.join('')).toContain('TLS failed');
  });

  it('goes on with those of before while they do not fit together, or are gone', async () => {
    const port = await serve();
    writeFileSync(files.certificatePath, otherServer.certificate);
    await secured(port);
    expect(warnings.join('')).toContain('is not the key of the certificate');
    rmSync(files.keyPath);
    const { tls } = await secured(port);
    expect(tls.getPeerX509Certificate()?.subject).toBe('CN=first server');
    expect(warnings.join('')).toContain('cannot be read: ENOENT');
  });
});

describe('files that cannot be used', () => {
  it.each([
    { name: 'tls.crt', text: null, problem: /certificate .*tls\.crt cannot be read: ENOENT/ },
    { name: 'tls.key', text: null, problem: /key .*tls\.key cannot be read: ENOENT/ },
    { name: 'ca.crt', text: null, problem: /CA .*ca\.crt cannot be read: ENOENT/ },
    { name: 'tls.crt', text: 'nothing', problem: /certificate .*tls\.crt holds no PEM certificate/ },
    { name: 'tls.key', text: 'nothing', problem: /key .*tls\.key holds no PEM key without a passphrase/ },
    { name: 'tls.key', text: otherServer.key, problem: /tls\.key is not the key of the certificate .*tls\.crt/ },
    { name: 'ca.crt', text: '', problem: /CA .*ca\.crt holds no PEM certificate/ },
    {
      name: 'ca.crt',
      text: `${authority.certificate}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
      problem: /CA .*ca\.crt holds a broken certificate/,
    },
  ])('names $name with its problem: $problem', async ({ name, text, problem }) => {
    if (text === null) rmSync(join(folder, name));
    else writeFileSync(join(folder, name), text);
    await expect(readNbdTlsFiles(files)).rejects.toThrow(problem);
    await expect(serve()).rejects.toThrow(problem);
  });
});

describe('clients that do not get on', () => {
  it('takes no place of those that are in TLS, and is ended in time', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const port = await serve();
    const idle: NbdClient[] = [];
    for (let i = 0; i < NBD_TLS_UPGRADES_MAX; i++) {
      const made = newClient(port);
      await made.greet();
      idle.push(made);
    }
    await newClient(port).ended();
    vi.advanceTimersByTime(NBD_HANDSHAKE_TIMEOUT_MS);
    await Promise.all(idle.map((made) => made.ended()));
    const { client: made } = await secured(port);
    await made.enterNow();
    vi.advanceTimersByTime(2 * NBD_HANDSHAKE_TIMEOUT_MS);
    expect(await exchanged(made)).toEqual({ error: 0, cookie: 7 });
  });

  it('does not hold up the end of the frontend at any step', async () => {
    const port = await serve();
    const greeted = newClient(port);
    await greeted.greet();
    const acknowledged = newClient(port);
    await acknowledged.greet();
    await acknowledged.option(STARTTLS);
    const { client: inTls } = await secured(port);
    const { client: entered } = await secured(port);
    await entered.enterNow();
    const frontend = opened.pop();
    await frontend?.close();
    expect(frontend?.endpoint()).toBe('');
    await Promise.all([greeted, acknowledged, inTls, entered].map((made) => made.ended()));
  });
});

const TOOLS = ['nbdinfo', 'nbdcopy', 'qemu-img', 'nbdkit'];
const tools = installedTools(TOOLS);

for (const tool of TOOLS.filter((one) => !tools.includes(one)))
  console.log(`NBD in TLS by ${tool}: skipped, it is not installed`);

describe('other people’s clients (those that are installed)', () => {
  /** A folder of certificates as GnuTLS's clients want it. */
  function credentials(of: { certificate: string; key: string } | null, ca: string): string {
    const path = join(folder, 'credentials');
    mkdirSync(path);
    writeFileSync(join(path, 'ca-cert.pem'), ca);
    if (of !== null) writeFileSync(join(path, 'client-cert.pem'), of.certificate);
    if (of !== null) writeFileSync(join(path, 'client-key.pem'), of.key, { mode: 0o600 });
    return path;
  }
  const uri = (port: number, path: string): string => `nbds://127.0.0.1:${port}/vol?tls-certificates=${path}`;

  it.skipIf(!tools.includes('nbdinfo'))('nbdinfo reads the description in TLS, and nothing without', async () => {
    const port = await serve();
    const path = credentials(client, authority.certificate);
    const { stdout } = await run('nbdinfo', ['--json', uri(port, path)]);
    expect(JSON.parse(stdout)).toMatchObject({ TLS: true, exports: [{ 'export-size': 64 * MIB }] });
    await expect(run('nbdinfo', [`nbd://127.0.0.1:${port}/vol`])).rejects.toThrow('nbd_opt_go');
  });

  it.skipIf(!tools.includes('nbdinfo'))('nbdinfo goes away from a server of another authority', async () => {
    const port = await serve();
    const path = credentials(client, otherAuthority.certificate);
    await expect(run('nbdinfo', [uri(port, path)])).rejects.toThrow(/certificate/i);
  });

  it.skipIf(!tools.includes('nbdcopy'))('nbdcopy copies in and out over several connections', async () => {
    const port = await serve();
    const path = credentials(client, authority.certificate);
    const data = Buffer.alloc(64 * MIB);
    for (let at = 0; at < data.length; at += 4096) data.writeUInt32LE(at ^ 0x5bd1, at);
    writeFileSync(join(folder, 'in'), data);
    await run('nbdcopy', ['--flush', join(folder, 'in'), uri(port, path)]);
    expect(target.content.equals(data)).toBe(true);
    await run('nbdcopy', [uri(port, path), join(folder, 'out')]);
    expect(readFileSync(join(folder, 'out')).equals(data)).toBe(true);
  });

  it.skipIf(!tools.includes('qemu-img'))('qemu-img converts with tls-creds-x509, and is refused without', async () => {
    const port = await serve();
    target.content.fill(9, 8192, 3 * MIB);
    const path = credentials(client, authority.certificate);
    const creds = `tls-creds-x509,id=tls0,endpoint=client,dir=${path}`;
    const image = `driver=nbd,host=127.0.0.1,port=${port},export=vol`;
    const out = join(folder, 'out');
    const convert = ['convert', '--image-opts', '-O', 'raw'];
    await run('qemu-img', [...convert, '--object', creds, `${image},tls-creds=tls0`, out]);
    expect(readFileSync(out).equals(target.content)).toBe(true);
    await expect(run('qemu-img', [...convert, image, out])).rejects.toThrow(/TLS/);
  });

  it.skipIf(!tools.includes('nbdkit') || !tools.includes('nbdinfo'))('nbdkit’s nbd plugin passes it on', async () => {
    const port = await serve();
    const path = credentials(client, authority.certificate);
    const socket = join(folder, 'kit.sock');
    const args = ['-f', '-U', socket, '--exit-with-parent', '--run', `nbdinfo --size "$uri"`];
    const plugin = ['nbd', 'hostname=127.0.0.1', `port=${port}`, 'export=vol', 'tls=require'];
    const kit = spawn('nbdkit', [...args, ...plugin, `tls-certificates=${path}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [kit.stdout, kit.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
    await once(kit, 'close');
    expect(output.trim()).toBe(String(64 * MIB));
  });
});
