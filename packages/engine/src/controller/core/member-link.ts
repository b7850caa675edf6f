/**
 * What the volume's core needs of a connection to one replica. Two implementations: `replica-link.ts` over sockets,
 * and the simulated link of the tests.
 *
 * Every operation has one sequence number, the same on all members: frames are encoded once and the same bytes
 * go to every link. The low bits of a sequence number are the operation's slot (`slotOfSeq`), so a link finds its
 * state without a map.
 */
import type { Buffer } from 'node:buffer';

/** Why a member is out. `detail` is for people and for logs. */
export interface MemberFailure {
  readonly reason: 'connection-lost' | 'timeout' | 'error-reply' | 'no-space' | 'protocol' | 'fenced' | 'ping';
  readonly detail: string;
}

/** How a member answered one operation. */
export const ANSWER_OK = 0;
export const ANSWER_NO_SPACE = 1;
export const ANSWER_ERROR = 2;
export type Answer = typeof ANSWER_OK | typeof ANSWER_NO_SPACE | typeof ANSWER_ERROR;

/** What a link tells the core; none of these may be called from inside a call of the core to the link (but `failed` from `tick`). */
export interface LinkEvents {
  /** One operation was answered. `text`: the replica's words for an error, "" for success. */
  answered(seq: number, answer: Answer, text: string): void;
  /** A ping that was sent at `sentAtMs` was answered: the replica was there at that time. */
  pinged(sentAtMs: number): void;
  /** Called after a run of `answered`: what one wake-up brought has been told. */
  answersEnd(): void;
  /** The connection is of no use any more; called at most once, and nothing is called after it. */
  failed(failure: MemberFailure): void;
}

/** A live, opened data connection to one replica. */
export interface MemberLink {
  /** For people and for logs: `tcp://10.0.0.1:9502`. */
  readonly address: string;
  /** The replica executes and answers overlapping changes of a connection in order of arrival (capability `epoch`). */
  readonly isOrdered: boolean;
  /** The replica knows FLUSH and FLUSHED (capability `flush`). */
  readonly canFlush: boolean;
  /** Reached without a network: preferred for reads. */
  readonly isLocal: boolean;
  /** Called once, before anything is sent. */
  start(events: LinkEvents): void;
  /** The next `send` holds a request with this number whose answer carries no data. */
  expectAnswer(seq: number): void;
  /** The next `send` holds a read with this number; the link fills `into[start .. start+length)` before it reports the answer. */
  expectData(seq: number, into: Buffer, start: number, length: number): void;
  /** Sends frames, in order, as they lie; `pieces[0 .. count)`. `hasMore`: another `send` follows at once. The pieces must stay as they are until `hasUnsent()` is false or the link is closed. */
  send(pieces: readonly Buffer[], count: number, hasMore: boolean): void;
  /** Some bytes given to `send` have not been handed to the kernel yet. */
  hasUnsent(): boolean;
  /** Called twice a second: pings when idle, fails the link when the replica has been silent too long. `timeoutMs` as of now. */
  tick(nowMs: number, timeoutMs: number): void;
  /** Ends the connection at once; no event is reported after it, no buffer is read or written after it. */
  close(): void;
}

/** The time as the core and its links see it; the simulator has its own. */
export interface CoreClock {
  /** Monotonic, with fractions. */
  nowMs(): number;
  /** Calls `run` about every `intervalMs` until the returned function is called. */
  every(intervalMs: number, run: () => void): () => void;
  /** Calls `run` soon, after the present call chain has returned. */
  soon(run: () => void): void;
}
