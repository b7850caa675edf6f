/**
 * Sends one file over HTTP ("ssync") to a receiver of ours or of upstream. What the target holds already is compared
 * by checksum and not sent, to our receivers block by block; holes are sent as holes. Several pieces are in flight.
 */
import { createHash, webcrypto } from 'node:crypto';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import type { Folder } from '../io/disk.ts';
import type { ReplicaClock } from '../io/replica-clock.ts';
import {
  COPY_PIECES_IN_FLIGHT,
  COPY_PIECE_BYTES,
  COPY_RANGES_MAX,
  RECEIVER_CONNECT_MS,
  RECEIVER_RETRY_MS,
} from '../limits.ts';
import { IMAGE_SUFFIX, META_SUFFIX } from '../replica/snapshot-chain.ts';
import { changeTimeText, readChecksum, type ChecksumRecord } from './checksum-file.ts';
import { FEATURE_DIFFERENCE, FEATURE_STREAM, FEATURE_WINDOW, SSYNC_FEATURES, SSYNC_PATH } from './receiver.ts';
import { silenceOf, STREAM_PATH, WindowStream } from './window-stream.ts';
import {
  blockRanges,
  blockSums,
  fileSource,
  readWindow,
  windowBuffer,
  windowDifference,
  type WindowBuffer,
  type WindowSource,
} from './window.ts';

const ANSWER_BYTES_MAX = 1 << 20;
/** A difference with more holes than that is not worth a request for each. */
const HOLES_MAX = 8;

export interface SendOptions {
  readonly host: string;
  readonly port: number;
  /** of each request; 0 = none */
  readonly requestTimeoutMs: number;
  readonly clock: ReplicaClock;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

class Peer {
  private readonly options: SendOptions;
  private readonly agent = new Agent({ keepAlive: true, maxSockets: COPY_PIECES_IN_FLIGHT });

  constructor(options: SendOptions) {
    this.options = options;
  }

  /** One request; throws for a transport failure, not for an answer. */
  private exchange(method: 'GET' | 'POST', path: string, body: Buffer | null): Promise<Answer> {
    const { host, port, requestTimeoutMs } = this.options;
    return new Promise((resolve, reject) => {
      const headers = { accept: 'application/json', 'content-length': body === null ? 0 : body.length };
      const sent = httpRequest(
        { host, port, method, path: `${SSYNC_PATH}${path}`, headers, agent: this.agent },
        (answer) => {
          const chunks: Buffer[] = [];
          let length = 0;
          answer.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length <= ANSWER_BYTES_MAX) chunks.push(chunk);
            else sent.destroy(new Error(`answer of ${host}:${port} is too long`));
          });
          answer.on('error', reject);
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text });
          });
        },
      );
      sent.on('error', reject);
      if (requestTimeoutMs > 0)
        sent.setTimeout(requestTimeoutMs, () => sent.destroy(silenceOf({ host, port }, requestTimeoutMs)));
      sent.end(body ?? undefined);
    });
  }

  /** One request that has to succeed. */
  async ask(method: 'GET' | 'POST', path: string, body: Buffer | null = null): Promise<Answer> {
    const answer = await this.exchange(method, path, body);
    if (answer.status === 200) return answer;
    throw new Error(`${path.split('?')[0]} was answered with ${answer.status}: ${answer.body.trim()}`);
  }

  /** The receiver may not listen yet. */
  async open(path: string): Promise<Answer> {
    let waitedMs = 0;
    for (;;) {
      try {
        const answer = await this.exchange('GET', path, null);
        if (answer.status !== 200)
          throw new AnsweredError(`open was answered with ${answer.status}: ${answer.body.trim()}`);
        return answer;
      } catch (error) {
        if (error instanceof AnsweredError || waitedMs >= RECEIVER_CONNECT_MS) throw error;
        await new Promise<void>((resolve) => this.options.clock.after(RECEIVER_RETRY_MS, resolve));
        waitedMs += RECEIVER_RETRY_MS;
      }
    }
  }

  /** A connection for windows alone. */
  stream(): Promise<WindowStream> {
    const { host, port, requestTimeoutMs } = this.options;
    return WindowStream.open({ host, port, path: `${SSYNC_PATH}${STREAM_PATH}`, timeoutMs: requestTimeoutMs });
  }

  end(): void {
    this.agent.destroy();
  }
}

/** The receiver is there and refuses: trying again does not help. */
class AnsweredError extends Error {}

/** Runs `work` over the pieces, a bounded number at a time; the first failure ends all. */
async function inFlight<T>(
  pieces: Iterable<T>,
  workers: number,
  work: (piece: T, buffer: WindowBuffer) => Promise<void>,
): Promise<void> {
  const iterator = pieces[Symbol.iterator]();
  let isFailed = false;
  const worker = async (): Promise<void> => {
    const buffer = windowBuffer();
    for (let next = iterator.next(); next.done !== true && !isFailed; next = iterator.next()) {
      try {
        await work(next.value, buffer);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

/** What the receiver can do, and has. */
interface TargetFile {
  /** has something that may be the same */
  readonly existed: boolean;
  readonly takesDifferences: boolean;
}

interface Piece {
  readonly begin: number;
  readonly end: number;
  readonly isHole: boolean;
}

/** Windows of 2 MiB with some data in them, and what lies between as holes of any length. */
function* windows(source: WindowSource): Generator<Piece> {
  const pairs = new Float64Array(2);
  let at = 0;
  while (at < source.sizeBytes) {
    const count = source.extents(at, source.sizeBytes, pairs);
    const next = count === 0 ? source.sizeBytes : Math.max(pairs[0] as number, at);
    const begin = Math.max(count === 0 ? next : next - (next % COPY_PIECE_BYTES), at);
    if (begin > at) yield { begin: at, end: begin, isHole: true };
    if (count === 0) return;
    const end = Math.min(begin - (begin % COPY_PIECE_BYTES) + COPY_PIECE_BYTES, source.sizeBytes);
    yield { begin, end, isHole: false };
    at = end;
  }
}

/** Holes and data one after the other, data in batches of at most 2 MiB: what upstream's receivers understand. */
function* intervals(source: WindowSource): Generator<Piece> {
  const pairs = new Float64Array(COPY_RANGES_MAX * 2);
  let at = 0;
  for (let count = COPY_RANGES_MAX; count === COPY_RANGES_MAX && at < source.sizeBytes;) {
    count = source.extents(at, source.sizeBytes, pairs);
    const kept = blockRanges(pairs, count, at, source.sizeBytes);
    for (let i = 0; i < kept; i++) {
      const start = pairs[i * 2] as number;
      const end = pairs[i * 2 + 1] as number;
      if (start > at) yield { begin: at, end: start, isHole: true };
      for (let begin = start; begin < end; begin += COPY_PIECE_BYTES) {
        yield { begin, end: Math.min(begin + COPY_PIECE_BYTES, end), isHole: false };
      }
      at = end;
    }
  }
  if (at < source.sizeBytes) yield { begin: at, end: source.sizeBytes, isHole: true };
}

const query = (piece: { begin: number; end: number }): string => `begin=${piece.begin}&end=${piece.end}`;

async function sendWindow(
  peer: Peer,
  source: WindowSource,
  piece: Piece,
  buffer: WindowBuffer,
  { existed, takesDifferences }: TargetFile,
): Promise<void> {
  if (piece.isHole) {
    if (existed) await peer.ask('POST', `sendHole?${query(piece)}`);
    return;
  }
  const { length, dataBytes } = await readWindow(source, buffer, piece.begin, piece.end);
  const body = buffer.bytes.subarray(0, length);
  if (existed) {
    const asked = peer.ask('GET', `windowChecksum?${query(piece)}&data=${dataBytes}`);
    const [answer, digest] = await Promise.all([asked, webcrypto.subtle.digest('SHA-256', body)]);
    if (JSON.parse(answer.body) === Buffer.from(digest).toString('base64')) return;
    if (takesDifferences && (await sendDifference(peer, piece, body))) return;
  }
  await peer.ask('POST', `window?${query(piece)}`, body);
}

/** Of a window that differs, the blocks that differ; false: it is better sent whole. */
async function sendDifference(peer: Peer, piece: Piece, window: Buffer): Promise<boolean> {
  const asked = peer.ask('GET', `blockChecksums?${query(piece)}`);
  const [answer, ours] = await Promise.all([asked, blockSums(window, piece.begin, piece.end)]);
  const theirs = Buffer.from(String(JSON.parse(answer.body)), 'base64');
  const { body, holes } = windowDifference(window, piece, ours, theirs);
  if (holes.length > HOLES_MAX) return false;
  for (const hole of holes) await peer.ask('POST', `sendHole?${query(hole)}`);
  if (body.length > 0) await peer.ask('POST', `window?${query(piece)}&keep=true`, body);
  return true;
}

/** Windows to a target that has nothing: what is a hole is one there. */
async function streamWindows(peer: Peer, source: WindowSource, workers: number): Promise<void> {
  const stream = await peer.stream();
  try {
    await inFlight(windows(source), workers, async ({ begin, end, isHole }, buffer) => {
      if (isHole) return;
      const { length } = await readWindow(source, buffer, begin, end);
      await stream.send(begin, end, buffer.bytes.subarray(0, length));
    });
  } finally {
    stream.end();
  }
}

async function sendInterval(
  peer: Peer,
  source: WindowSource,
  piece: Piece,
  buffer: WindowBuffer,
  { existed }: TargetFile,
): Promise<void> {
  if (piece.isHole) {
    await peer.ask('POST', `sendHole?${query(piece)}`);
    return;
  }
  const length = piece.end - piece.begin;
  const body = buffer.bytes.subarray(0, length);
  const asked = existed ? peer.ask('GET', `getChecksum?${query(piece)}`) : null;
  // A failure of the question is thrown where it is awaited below; until then it must not count as unhandled.
  asked?.catch(() => undefined);
  const got = await source.read(buffer.bytes, 0, length, piece.begin);
  body.fill(0, got);
  const answer = await asked;
  if (answer !== null && JSON.parse(answer.body) === createHash('sha512').update(body).digest('base64')) return;
  await peer.ask('POST', `writeData?${query(piece)}`, body);
}

async function sendContent(peer: Peer, source: WindowSource, isDirect: boolean): Promise<void> {
  const answer = await peer.open(`open?begin=0&end=${source.sizeBytes}&directIO=${isDirect}`);
  const existed = JSON.parse(answer.body) === true;
  const features = String(answer.headers[SSYNC_FEATURES] ?? '').split(' ');
  const hasWindows = isDirect && features.includes(FEATURE_WINDOW);
  const workers = source.sizeBytes <= COPY_PIECE_BYTES ? 1 : COPY_PIECES_IN_FLIGHT;
  if (hasWindows && !existed && features.includes(FEATURE_STREAM)) return streamWindows(peer, source, workers);
  const target = { existed, takesDifferences: features.includes(FEATURE_DIFFERENCE) };
  const send = hasWindows ? sendWindow : sendInterval;
  await inFlight(hasWindows ? windows(source) : intervals(source), workers, (piece, buffer) =>
    send(peer, source, piece, buffer, target),
  );
}

/** Sends a source; `checksum`: what the receiver records for it. */
export async function sendSource(
  source: WindowSource,
  isDirect: boolean,
  options: SendOptions,
  checksum: ChecksumRecord | null,
): Promise<void> {
  const peer = new Peer(options);
  try {
    await sendAndClose(peer, () => sendContent(peer, source, isDirect), checksum);
  } finally {
    peer.end();
  }
}

async function sendAndClose(peer: Peer, send: () => Promise<void>, checksum: ChecksumRecord | null): Promise<void> {
  try {
    await send();
  } catch (error) {
    // Best effort: the receiver ends by itself when nobody speaks to it.
    await peer.ask('POST', 'close?checksumMethod=&checksum=&failed=true').catch(() => undefined);
    throw error;
  }
  const method = encodeURIComponent(checksum?.method ?? '');
  await peer.ask('POST', `close?checksumMethod=${method}&checksum=${encodeURIComponent(checksum?.checksum ?? '')}`);
}

/** Whether the receiver's file has the checksum that ours is known to have. */
async function isKnownEqual(peer: Peer, own: ChecksumRecord): Promise<boolean> {
  try {
    const answer = await peer.ask('GET', 'getRecordedMetadata');
    const recorded = JSON.parse(answer.body) as { method?: unknown; checksum?: unknown };
    return recorded.method === own.method && recorded.checksum === own.checksum;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

/** Sends a file of the replica's folder. `isFast`: skip it if both ends have recorded the same checksum. */
export async function sendFile(folder: Folder, name: string, isFast: boolean, options: SendOptions): Promise<void> {
  const isDirect = !name.endsWith(META_SUFFIX);
  const file = await folder.open(name, 'read');
  try {
    const stat = file.statNow();
    if (isDirect && stat.sizeBytes % 4096 !== 0) throw new Error(`invalid file size ${stat.sizeBytes} for directIO`);
    const record = name.endsWith(IMAGE_SUFFIX) ? await readChecksum(folder, name) : null;
    const isValid = record !== null && record.checksum !== '' && record.changeTime === changeTimeText(stat.changedNs);
    const checksum = isValid && !record.isSilentlyCorrupted ? record : null;
    const peer = new Peer(options);
    try {
      const source = fileSource(file, stat.sizeBytes);
      await sendAndClose(
        peer,
        async () => {
          if (isFast && checksum !== null && (await isKnownEqual(peer, checksum))) return;
          await sendContent(peer, source, isDirect);
        },
        checksum,
      );
    } finally {
      peer.end();
    }
  } finally {
    await file.close();
  }
}
