/**
 * The one interface between a frontend (how a volume is reached) and the volume's core.
 *
 * Hot path rules: no promise and no closure per I/O. A frontend owns numbered slots; it submits an
 * operation with a slot number, and the core calls `complete(slot, errno)` of the sink exactly once,
 * never inside the submitting call. Operations may complete in any order.
 */

/** Receives completions of the operations that one frontend connection has submitted. */
export interface CompletionSink {
  /** errno 0 = success, else a positive Linux errno (EIO 5, ENOSPC 28, EINVAL 22). */
  complete(slot: number, errno: number): void;
  /** Called once after a batch of completions: send what was gathered. */
  flushCompletions(): void;
}

/** A volume as frontends drive it. Offsets and lengths are bytes; callers have checked them against `sizeBytes()`. */
export interface BlockTarget {
  sizeBytes(): number;
  /** Reads into `into[intoStart .. intoStart+length)`; the buffer belongs to the core until completion. */
  read(sink: CompletionSink, slot: number, offset: number, length: number, into: Buffer, intoStart: number): void;
  /**
   * Writes `from[fromStart .. fromStart+length)`; the buffer belongs to the core until completion. The core may
   * overwrite up to `FRAME_HEADROOM` bytes before `fromStart` (room for a frame header, so that header and payload
   * leave in one piece); a caller without that room passes `headroom` 0. `fua`: complete only once it is on stable storage.
   */
  write(
    sink: CompletionSink,
    slot: number,
    offset: number,
    length: number,
    from: Buffer,
    fromStart: number,
    headroom: number,
    fua: boolean,
  ): void;
  unmap(sink: CompletionSink, slot: number, offset: number, length: number): void;
  flush(sink: CompletionSink, slot: number): void;
  /** Called by a frontend after it has submitted all that one wake-up brought: send what was gathered. */
  submitBatch(): void;
}

/**
 * Answers what of a range holds data, as lengths in bytes, by turns of a hole (which reads as zeros; may be 0) and of data. They
 * may end before the range does. A range of which nothing is known is data. Never rejects.
 */
export type GetAllocation = (offset: number, length: number) => Promise<readonly number[]>;

/** Bytes before a payload that the core may use for its own frame header. */
export const FRAME_HEADROOM = 26;

/** Frontend names of upstream that this engine serves, and `nbd`. */
export const FRONTEND_NAMES = ['tgt-blockdev', 'tgt-iscsi', 'socket', 'nbd'] as const;

/** Throws upstream's words for a name that is none. */
export function assertFrontendName(name: string): void {
  if (name === '' || (FRONTEND_NAMES as readonly string[]).includes(name)) return;
  throw new Error(`failed to find frontend: ${name}: unsupported frontend type: ${name}`);
}

/** One way to reach a volume; each lives in a folder of its own and exports one `open…Frontend` function. */
export interface Frontend {
  /** upstream's name: `socket`, `tgt-blockdev`, `tgt-iscsi`; ours: `nbd` */
  readonly name: string;
  /** what users connect to; "" while down */
  endpoint(): string;
  /** After the volume has grown: tell the kernel or the clients, as far as the frontend can. */
  expand(sizeBytes: number): Promise<void>;
  /** Orderly end: the device goes away, after its I/O is done. */
  close(): Promise<void>;
}
