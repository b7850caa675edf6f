/**
 * Receives one file over HTTP ("ssync"): upstream's endpoints, and `windowChecksum`, `blockChecksums` and `window` of ours, which move
 * a window of data and holes, or what differs of it, in one request. Our server names them in a header of `open`; other senders never
 * use them.
 *
 * An image is written in place, so that what is there already need not come again, and is on stable storage when `close`
 * is answered. A small file (`.meta`) is gathered in memory and replaced whole.
 */
import { createHash, webcrypto } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { errnoCode, replaceFile, type DataFile, type Folder } from '../io/disk.ts';
import type { ReplicaClock } from '../io/replica-clock.ts';
import { SerialQueue } from '../io/serial-queue.ts';
import {
  BLOCK_BYTES,
  COPY_PIECE_BYTES,
  COPY_WRITEBACK_BYTES,
  META_FILE_BYTES_MAX,
  RECEIVER_IDLE_MS,
} from '../limits.ts';
import { CHECKSUM_SUFFIX, META_SUFFIX } from '../replica/snapshot-chain.ts';
import { changeTimeText, validChecksum, writeChecksum } from './checksum-file.ts';
import type { Pace } from './rebuild-control.ts';
import { withSignsOfLife } from './sign-of-life.ts';
import { WindowIntake } from './window-intake.ts';
import { STREAM_PATH, STREAM_UPGRADE } from './window-stream.ts';
import {
  blockSums,
  fileSource,
  readWindow,
  WINDOW_BYTES_MAX,
  windowBuffer,
  writeWindow,
  type WindowBuffer,
} from './window.ts';

export const SSYNC_PATH = '/v1-ssync/';
/** header of the answer to `open`: what this receiver can do beyond upstream's, words with spaces between them */
export const SSYNC_FEATURES = 'x-longhorn-ssync';
export const FEATURE_WINDOW = 'window';
export const FEATURE_DIFFERENCE = 'difference';
export const FEATURE_STREAM = 'stream';
/** Windows of a stream that are held: one comes in while another one is written. */
const STREAM_WINDOWS = 3;
/** A range that one `getChecksum` or `writeData` may name. */
const RANGE_BYTES_MAX = 4 * COPY_PIECE_BYTES;

interface Target {
  /** the file was there: what is written to it counts as changed */
  readonly existed: boolean;
  /** it has data to be compared with; else it is one hole, as a new one, or as a new replica's part of a snapshot */
  readonly holdsData: boolean;
  readonly sizeBytes: number;
  /** null: a small file, gathered in `small` */
  readonly file: DataFile | null;
  readonly small: Buffer;
}

/** Windows that wait for their turn to be written; a sender has fewer in flight. */
const WRITES_WAITING_MAX = 64;

class RequestError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function integer(url: URL, name: string): number {
  const text = url.searchParams.get(name);
  const value = Number(text);
  if (text === null || !/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new RequestError(500, `${name}: must be a number of bytes, got ${text ?? 'nothing'}`);
  }
  return value;
}

interface Place {
  readonly begin: number;
  readonly end: number;
}

function placeOf(url: URL): Place {
  return { begin: integer(url, 'begin'), end: integer(url, 'end') };
}

function range(url: URL, sizeBytes: number, bytesMax: number): Place {
  const place = placeOf(url);
  checkRange(place, sizeBytes, bytesMax);
  return place;
}

function checkRange({ begin, end }: Place, sizeBytes: number, bytesMax: number): void {
  if (end < begin || end > sizeBytes || end - begin > bytesMax) {
    throw new RequestError(500, `begin ${begin}, end ${end}: not a range of a file of ${sizeBytes} bytes`);
  }
}

/** Reads a body into `into`; returns its length. */
async function readBody(request: IncomingMessage, into: Buffer): Promise<number> {
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if (length + chunk.length > into.length) throw new RequestError(500, `body is larger than ${into.length} bytes`);
    chunk.copy(into, length);
    length += chunk.length;
  }
  return length;
}

export interface ReceiverOptions {
  readonly folder: Folder;
  readonly name: string;
  readonly clock: ReplicaClock;
  /** called with the bytes that were compared or written */
  readonly onBytes: (count: number) => void;
  /** called with the bytes that were written */
  readonly onWritten: (count: number) => void;
  readonly pace: Pace;
  readonly log: (text: string) => void;
}

/** What somebody wants to know of a receiver, and have of it. */
export type ReceiverWatch = Pick<ReceiverOptions, 'onBytes' | 'onWritten' | 'pace'>;

export interface LaunchedReceiver {
  readonly receiver: Receiver;
  readonly port: number;
}

/** Starts a receiver for one file. */
export type ReceiverLaunch = (name: string, watch: ReceiverWatch) => Promise<LaunchedReceiver>;

export class Receiver {
  /** windows of a file that was there before which differed */
  windowsChanged = 0;
  /** resolves when the server has ended: true after a `close` of the sender */
  readonly done: Promise<boolean>;
  private readonly options: ReceiverOptions;
  private readonly server: Server;
  private readonly spare: WindowBuffer[] = [];
  private readonly streams = new Set<WindowIntake>();
  private readonly existedBefore: Promise<boolean>;
  private target: Promise<Target> | null = null;
  private isComplete = false;
  /** One at a time: threads that write to the same file wait for each other in the kernel, and burn CPU over it. */
  private readonly writes = new SerialQueue(WRITES_WAITING_MAX);
  private sinceWriteback = 0;
  private running = 0;
  private cancelIdle: () => void;

  constructor(options: ReceiverOptions) {
    this.options = options;
    this.existedBefore = options.folder.stat(options.name).then((found) => found !== null);
    this.existedBefore.catch(() => undefined);
    this.server = createServer((request, response) => this.handle(request, response));
    this.server.keepAliveTimeout = 60_000;
    this.server.on('upgrade', (request, socket, first) => this.upgrade(request, socket as Socket, first));
    this.cancelIdle = this.armIdle();
    this.done = new Promise((resolve) => {
      this.server.once('close', () => resolve(this.isComplete));
    });
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once('error', reject);
      this.server.listen(port, host, () => {
        this.server.removeListener('error', reject);
        resolve();
      });
    });
  }

  get port(): number {
    const address = this.server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Ends the receiver whatever it does. */
  async stop(): Promise<void> {
    this.cancelIdle();
    this.server.close();
    this.server.closeAllConnections();
    const streams = [...this.streams];
    for (const stream of streams) stream.end();
    await Promise.all(streams.map(({ done }) => done));
    await this.closeTarget();
  }

  private async closeTarget(): Promise<void> {
    const { target } = this;
    this.target = null;
    const opened = await target?.catch(() => null);
    await opened?.file?.close();
  }

  private armIdle(): () => void {
    return this.options.clock.after(RECEIVER_IDLE_MS, () => {
      if (this.running > 0) this.cancelIdle = this.armIdle();
      else
        this.stop().catch((error: unknown) => this.options.log(`receiver of ${this.options.name}: ${String(error)}`));
    });
  }

  private handle(request: IncomingMessage, response: ServerResponse): void {
    void this.busy(() =>
      this.route(request, response).catch((error: unknown) => {
        const status = error instanceof RequestError ? error.status : 500;
        if (!response.headersSent) response.writeHead(status, { 'content-type': 'text/plain' });
        response.end(error instanceof Error ? error.message : String(error));
      }),
    );
  }

  /** Meanwhile and for a time after it the receiver does not end for want of requests. */
  private async busy(work: () => Promise<void>): Promise<void> {
    this.running++;
    try {
      await work();
    } finally {
      this.running--;
      this.cancelIdle();
      if (!this.isComplete) this.cancelIdle = this.armIdle();
    }
  }

  private upgrade({ url = '', headers }: IncomingMessage, socket: Socket, first: Buffer): void {
    if (url !== `${SSYNC_PATH}${STREAM_PATH}` || headers.upgrade !== STREAM_UPGRADE || first.length > 0) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      return;
    }
    const stream = new WindowIntake(socket, {
      clock: this.options.clock,
      buffers: Array.from({ length: STREAM_WINDOWS }, () => Buffer.allocUnsafeSlow(WINDOW_BYTES_MAX)),
      write: (form, begin, end) => this.busy(() => this.paced(() => this.takeWindow(form, { begin, end }, false))),
    });
    this.streams.add(stream);
    void stream.done.then(() => this.streams.delete(stream));
  }

  private async route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://receiver');
    const operation = url.pathname.startsWith(SSYNC_PATH) ? url.pathname.slice(SSYNC_PATH.length) : '';
    const json = (value: unknown): void => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(value));
    };
    switch (`${request.method} ${operation}`) {
      case 'GET open':
        response.setHeader(SSYNC_FEATURES, `${FEATURE_WINDOW} ${FEATURE_DIFFERENCE} ${FEATURE_STREAM}`);
        return json((await this.open(url)).holdsData);
      case 'GET getRecordedMetadata':
        return this.recordedMetadata(response);
      case 'POST sendHole':
        await this.hole(url);
        return json(null);
      case 'GET getChecksum':
        await this.options.pace.whenGoing();
        return json(await this.checksum(url));
      case 'GET windowChecksum':
        await this.keptAlive(response, () => this.options.pace.whenGoing());
        return json(await this.windowChecksum(url));
      case 'GET blockChecksums':
        await this.keptAlive(response, () => this.options.pace.whenGoing());
        return json(await this.blockChecksums(url));
      case 'POST writeData':
        await this.paced(() => this.writeData(url, request));
        return json(null);
      case 'POST window':
        await this.keptAlive(response, () => this.paced(() => this.window(url, request)));
        return json(null);
      case 'POST close':
        await this.finish(url);
        response.on('finish', () => void this.stop());
        return json(null);
      default:
        throw new RequestError(404, `unknown request ${request.method} ${url.pathname}`);
    }
  }

  private keptAlive(response: ServerResponse, work: () => Promise<void>): Promise<void> {
    return withSignsOfLife(this.options.clock, () => response.writeProcessing(), work);
  }

  /** Does what brings data, which it returns the bytes of, no faster than rebuilds may be. */
  private async paced(work: () => Promise<number>): Promise<void> {
    const { pace } = this.options;
    await pace.whenGoing();
    await pace.take(await work());
  }

  private opened(): Promise<Target> {
    if (this.target === null) throw new RequestError(500, `${this.options.name} was not opened`);
    return this.target;
  }

  private async open(url: URL): Promise<Target> {
    const sizeBytes = integer(url, 'end');
    const isDirect = url.searchParams.get('directIO') === 'true';
    if (isDirect && sizeBytes % 4096 !== 0) throw new RequestError(500, `invalid file size ${sizeBytes} for directIO`);
    this.target ??= this.openTarget(sizeBytes);
    return this.target;
  }

  private async openTarget(sizeBytes: number): Promise<Target> {
    const { folder, name } = this.options;
    const existed = await this.existedBefore;
    if (name.endsWith(META_SUFFIX)) {
      if (sizeBytes > META_FILE_BYTES_MAX) throw new RequestError(500, `${name} of ${sizeBytes} bytes is too large`);
      return { existed, holdsData: existed, sizeBytes, file: null, small: Buffer.alloc(sizeBytes) };
    }
    await folder.remove(`${name}${CHECKSUM_SUFFIX}.tmp`);
    const file = existed ? await folder.open(name, 'write') : await folder.create(name, sizeBytes);
    if (existed) await file.truncate(sizeBytes);
    const holdsData = existed && file.extents(0, sizeBytes, new Float64Array(2)) > 0;
    return { existed, holdsData, sizeBytes, file, small: Buffer.alloc(0) };
  }

  private async recordedMetadata(response: ServerResponse): Promise<void> {
    const { folder, name } = this.options;
    const content = await folder.readSmall(`${name}${CHECKSUM_SUFFIX}`, META_FILE_BYTES_MAX);
    if (content === null) throw new RequestError(404, `${name}${CHECKSUM_SUFFIX} does not exist`);
    if ((await validChecksum(folder, name)) === null) {
      throw new RequestError(500, `${name} has changed since its checksum was recorded`);
    }
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(content);
  }

  private async hole(url: URL): Promise<void> {
    const target = await this.opened();
    const { begin, end } = range(url, target.sizeBytes, target.sizeBytes);
    if (target.file === null) target.small.fill(0, begin, end);
    else if (target.holdsData && end > begin) target.file.punch(begin, end - begin);
  }

  /** Upstream's: a hash only if one extent covers the range. */
  private async checksum(url: URL): Promise<string | null> {
    const target = await this.opened();
    const { begin, end } = range(url, target.sizeBytes, RANGE_BYTES_MAX);
    this.options.onBytes(end - begin);
    if (target.file === null) return null;
    const pairs = new Float64Array(4);
    const count = target.file.extents(begin, end, pairs);
    if (count !== 1 || (pairs[0] as number) > begin || (pairs[1] as number) < end) return null;
    const bytes = Buffer.allocUnsafeSlow(end - begin);
    const got = await target.file.read(bytes, 0, end - begin, begin);
    bytes.fill(0, got);
    return createHash('sha512').update(bytes).digest('base64');
  }

  private async windowChecksum(url: URL): Promise<string | null> {
    const target = await this.opened();
    const { begin, end } = range(url, target.sizeBytes, COPY_PIECE_BYTES);
    const dataBytes = url.searchParams.get('data');
    if (dataBytes !== null) this.options.onBytes(integer(url, 'data'));
    const { file } = target;
    if (file === null) return null;
    return this.withBuffer(async (buffer) => {
      const { length } = await readWindow(fileSource(file, target.sizeBytes), buffer, begin, end);
      const digest = await webcrypto.subtle.digest('SHA-256', buffer.bytes.subarray(0, length));
      return Buffer.from(digest).toString('base64');
    });
  }

  /** Asked for when the window's checksums differ. */
  private async blockChecksums(url: URL): Promise<string> {
    const target = await this.opened();
    const { begin, end } = range(url, target.sizeBytes, COPY_PIECE_BYTES);
    const { file } = target;
    if (file === null) throw new RequestError(500, `${this.options.name} is not sent in windows`);
    if (begin % BLOCK_BYTES !== 0) throw new RequestError(500, `begin ${begin}: must be a multiple of ${BLOCK_BYTES}`);
    this.windowsChanged++;
    return this.withBuffer(async (buffer) => {
      await readWindow(fileSource(file, target.sizeBytes), buffer, begin, end);
      return (await blockSums(buffer.bytes, begin, end)).toString('base64');
    });
  }

  private async writeData(url: URL, request: IncomingMessage): Promise<number> {
    const target = await this.opened();
    const { begin, end } = range(url, target.sizeBytes, RANGE_BYTES_MAX);
    const bytes = Buffer.allocUnsafeSlow(end - begin);
    const length = await readBody(request, bytes);
    if (target.file === null) bytes.copy(target.small, begin, 0, length);
    else await target.file.writeLater(bytes, 0, length, begin);
    if (!target.holdsData) this.options.onBytes(length);
    await this.noteWritten(target, length);
    return length;
  }

  private window(url: URL, request: IncomingMessage): Promise<number> {
    const place = placeOf(url);
    return this.withBuffer(async (buffer) => {
      const form = buffer.bytes.subarray(0, await readBody(request, buffer.bytes));
      return this.takeWindow(form, place, url.searchParams.get('keep') === 'true');
    });
  }

  /** Writes a window, or what differs of it; returns the bytes of data. */
  private async takeWindow(form: Buffer, place: Place, isDifference: boolean): Promise<number> {
    const target = await this.opened();
    const { file, holdsData, existed, sizeBytes } = target;
    checkRange(place, sizeBytes, COPY_PIECE_BYTES);
    if (file === null) throw new RequestError(500, `${this.options.name} is not sent in windows`);
    const keepsRest = isDifference || !holdsData;
    const written = await this.writes.run(() => writeWindow(file, form, place.begin, place.end, keepsRest));
    if (!holdsData) this.options.onBytes(written);
    if (existed && !isDifference) this.windowsChanged++;
    await this.noteWritten(target, written);
    return written;
  }

  private async withBuffer<T>(work: (buffer: WindowBuffer) => Promise<T>): Promise<T> {
    const buffer = this.spare.pop() ?? windowBuffer();
    try {
      return await work(buffer);
    } finally {
      this.spare.push(buffer);
    }
  }

  private async noteWritten(target: Target, count: number): Promise<void> {
    this.options.onWritten(count);
    this.sinceWriteback += count;
    if (this.sinceWriteback < COPY_WRITEBACK_BYTES) return;
    this.sinceWriteback = 0;
    await target.file?.startWriteback();
  }

  private async finish(url: URL): Promise<void> {
    const { folder, name } = this.options;
    const target = await this.target;
    const method = url.searchParams.get('checksumMethod') ?? '';
    const checksum = url.searchParams.get('checksum') ?? '';
    const isFailed = url.searchParams.get('failed') === 'true';
    if (target !== null && !isFailed) {
      if (target.file === null) await replaceFile(folder, name, target.small.toString('utf8'));
      else await target.file.sync();
      await folder.sync();
    }
    await this.closeTarget();
    const found = method !== '' && checksum !== '' ? await folder.stat(name) : null;
    if (found !== null) {
      const changeTime = changeTimeText(found.changedNs);
      await writeChecksum(folder, name, { method, checksum, changeTime, lastHashedAt: '', isSilentlyCorrupted: false });
    }
    this.isComplete = !isFailed;
  }
}

/** Starts a receiver on the first free port of a range, after `last`; `first` 0: on any port. */
export async function startReceiver(
  options: ReceiverOptions,
  host: string,
  ports: { first: number; count: number; last: number },
): Promise<LaunchedReceiver> {
  for (let i = 1; i <= ports.count; i++) {
    const port = ports.first === 0 ? 0 : ports.first + ((ports.last - ports.first + i) % ports.count);
    const receiver = new Receiver(options);
    try {
      await receiver.listen(host, port);
      return { receiver, port: receiver.port };
    } catch (error) {
      await receiver.stop();
      if (errnoCode(error) !== 'EADDRINUSE') throw error;
    }
  }
  throw new Error('out of ports');
}
