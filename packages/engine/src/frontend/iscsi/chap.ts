/**
 * CHAP (RFC 1994 by RFC 7143): the initiator proves that it knows a secret, and we, if it asks, that we know another.
 *
 *     CHAP_A=5,7           ->  <-  CHAP_A, CHAP_I, CHAP_C
 *     CHAP_N, CHAP_R (, CHAP_I, CHAP_C)  ->  <-  (CHAP_N, CHAP_R)
 */
import { Buffer } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import { CHAP_CHALLENGE_BYTES, CHAP_VALUE_BYTES_MAX } from './limits.ts';
import { encodeBinary, parseBinary, parseNumber, type TextKeys } from './text-keys.ts';

export interface ChapAccount {
  readonly user: string;
  readonly secret: string;
}

export interface ChapOptions {
  /** who may log in */
  readonly initiator: ChapAccount;
  /** what we prove to initiators that ask; null = we cannot, and they are refused */
  readonly target: ChapAccount | null;
}

type Answer = [string, string][];
export type ChapResult = { keys: Answer; done: boolean } | { failure: 'authentication' | 'parameter' };

const ALGORITHMS = new Map([
  [5, 'md5'],
  [7, 'sha256'],
]);

export class Chap {
  private readonly options: ChapOptions;
  private readonly random: (bytes: number) => Buffer;
  private algorithm = '';
  private identifier = 0;
  private challenge = Buffer.alloc(0);

  constructor(options: ChapOptions, random: (bytes: number) => Buffer) {
    this.options = options;
    this.random = random;
  }

  /** What the keys of the next PDU are answered with. */
  step(keys: TextKeys): ChapResult {
    if (this.algorithm === '') return this.sendChallenge(keys);
    return this.judge(keys);
  }

  private sendChallenge(keys: TextKeys): ChapResult {
    const wanted = keys.get('CHAP_A');
    if (wanted === undefined) return { failure: 'parameter' };
    const chosen = wanted.split(',').find((value) => ALGORITHMS.has(Number(value)));
    if (chosen === undefined) return { failure: 'authentication' };
    this.algorithm = ALGORITHMS.get(Number(chosen)) ?? '';
    this.identifier = this.random(1)[0] as number;
    this.challenge = Buffer.from(this.random(CHAP_CHALLENGE_BYTES));
    return {
      keys: [
        ['CHAP_A', String(Number(chosen))],
        ['CHAP_I', String(this.identifier)],
        ['CHAP_C', encodeBinary(this.challenge)],
      ],
      done: false,
    };
  }

  private judge(keys: TextKeys): ChapResult {
    const response = parseBinary(keys.get('CHAP_R') ?? '', CHAP_VALUE_BYTES_MAX);
    const { initiator, target } = this.options;
    if (keys.get('CHAP_N') === undefined || response === null) return { failure: 'parameter' };
    const expected = this.responseTo(this.identifier, initiator.secret, this.challenge);
    const isRight = response.length === expected.length && timingSafeEqual(response, expected);
    if (!isRight || keys.get('CHAP_N') !== initiator.user) return { failure: 'authentication' };
    if (!keys.has('CHAP_I') && !keys.has('CHAP_C')) return { keys: [], done: true };
    const identifier = parseNumber(keys.get('CHAP_I') ?? '');
    const theirs = parseBinary(keys.get('CHAP_C') ?? '', CHAP_VALUE_BYTES_MAX);
    if (identifier === null || identifier > 255 || theirs === null) return { failure: 'parameter' };
    // A challenge of ours that comes back would have us answer for the initiator.
    if (target === null || theirs.equals(this.challenge)) return { failure: 'authentication' };
    const proof = this.responseTo(identifier, target.secret, theirs);
    return {
      keys: [
        ['CHAP_N', target.user],
        ['CHAP_R', encodeBinary(proof)],
      ],
      done: true,
    };
  }

  private responseTo(identifier: number, secret: string, challenge: Buffer): Buffer {
    return createHash(this.algorithm)
      .update(Buffer.from([identifier]))
      .update(secret, 'utf8')
      .update(challenge)
      .digest();
  }
}
