/** What upstream's engine answers to tgtd: texts of errors, and which frame type carries them. */
import { FRAME_ENOSPC, FRAME_ERROR, NO_SPACE_TEXT } from '../../protocol/replica-frame.ts';

const ENOSPC = 28;
const TEXTS = new Map([
  [5, 'input/output error'],
  [22, 'invalid argument'],
  [ENOSPC, NO_SPACE_TEXT],
]);

export interface ErrorReply {
  type: number;
  text: Buffer;
}

const errorReply = (type: number, text: string): ErrorReply => ({ type, text: Buffer.from(text) });

/** Errors that the volume reports; made once, for they may come for each request. */
const KNOWN: ReadonlyMap<number, ErrorReply> = new Map(
  [...TEXTS].map(([errno, text]) => [errno, errorReply(errno === ENOSPC ? FRAME_ENOSPC : FRAME_ERROR, text)]),
);

/** The answer to a request that failed with this errno. */
export const replyToErrno = (errno: number): ErrorReply =>
  KNOWN.get(errno) ?? errorReply(FRAME_ERROR, `errno ${errno}`);

/** The answer to a request beyond the end of the volume. */
export const replyBeyondEnd = (
  kind: 'Read' | 'Write' | 'unmap',
  length: number,
  offset: string,
  size: number,
): ErrorReply =>
  errorReply(FRAME_ERROR, `EOF: ${kind} of ${length} bytes at offset ${offset} is beyond volume size ${size}`);

/** The answer to a read that is longer than what is served at once. */
export const replyTooLong = (length: number, max: number): ErrorReply =>
  errorReply(FRAME_ERROR, `a read of ${length} bytes is longer than ${max}: ask for less at a time`);
