/**
 * One data connection of a replica: frames in, answers out.
 *
 * - Payloads go from the receive buffer into the file; a payload that spans chunks is written as it comes, in whole
 *   blocks (the part of a block at the end of a chunk waits in a buffer of one block), so that a
 *   connection that breaks leaves every block old or new.
 * - All frames of a chunk are executed, in order, before their answers leave in one write. Small neighbouring
 *   writes become one system call. No allocation per frame on the paths that the page cache serves.
 * - A peer that does not read its answers, or asks for more cold reads than the device gives, is not read from. A wrong magic or
 *   an absurd length closes the connection.
 * - Nothing is executed for an engine of another epoch than the one that opened the replica.
 */
import {
  BLOCK_BYTES,
  COLD_READS_MAX,
  COLD_READ_BYTES_MAX,
  FLUSHES_WAITING_MAX,
  FRAME_PAYLOAD_MAX,
  JOINED_PAYLOAD_MAX,
  JOINED_WRITES_MAX,
  UNMAP_PIECE_BYTES,
  UNSENT_BYTES_MAX,
} from '../limits.ts';
import {
  FRAME_FLUSH,
  FRAME_FLUSHED,
  FRAME_HEADER_BYTES,
  FRAME_HELLO,
  FRAME_MAGIC,
  FRAME_PING,
  FRAME_READ,
  FRAME_RESPONSE,
  FRAME_UNMAP,
  FRAME_WRITE,
  frameDataLength,
  frameMagic,
  frameOffset,
  frameSeq,
  frameSize,
  frameType,
  writeFrameHeader,
  wrongMagicText,
} from '../protocol/replica-frame.ts';
import { AnswerBuffer, type AnswerSink } from './answer-buffer.ts';
import { PayloadIntake } from './payload-intake.ts';
import { fencedText, type ReplicaIo } from './replica-io.ts';
import { yieldToOthers } from './volume.ts';

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export class DataConnection {
  /** distinguishes connections in the region list */
  readonly id: number;
  epoch = 0;
  private readonly receive: Buffer;
  private readonly io: ReplicaIo;
  private readonly sink: AnswerSink;
  private at = 0;
  private limit = 0;
  private isSuspended = false;
  private isClosed = false;
  private isUnmapping = false;

  private readonly header = Buffer.alloc(FRAME_HEADER_BYTES);
  private headerFill = 0;
  private readonly payload = new PayloadIntake((from, at, length, offset) => this.writeNow(from, at, length, offset));
  private readonly answers: AnswerBuffer;
  private coldBytes = 0;
  private coldReads = 0;
  private flushes = 0;

  private readonly runSeq = new Uint32Array(JOINED_WRITES_MAX);
  private readonly runAt = new Uint32Array(JOINED_WRITES_MAX);
  private readonly runSize = new Uint32Array(JOINED_WRITES_MAX);
  private runCount = 0;
  private runOffset = 0;
  private runEnd = 0;

  /** The socket receives into `receive`, always from its start. */
  constructor(id: number, io: ReplicaIo, receive: Buffer, sink: AnswerSink) {
    this.id = id;
    this.io = io;
    this.receive = receive;
    this.sink = sink;
    this.answers = new AnswerBuffer(sink, () => this.mayAnswer());
  }

  /** `count` bytes have arrived at the start of `receive`. False: do not read on until the sink's `resumeReading` is called. */
  onChunk(count: number): boolean {
    this.at = 0;
    this.limit = count;
    this.run();
    return !this.isSuspended;
  }

  /** The kernel has taken everything. */
  onDrain(): void {
    this.answers.drained();
    this.resume();
  }

  /** Nothing is executed or sent any more. */
  close(): void {
    this.isClosed = true;
    this.at = this.limit;
  }

  private resume(): void {
    if (!this.isSuspended || this.isClosed) return;
    this.isSuspended = false;
    this.run();
    if (!this.isSuspended && !this.isClosed) this.sink.resumeReading();
  }

  /** Whether the connection has to wait before it executes more. */
  private mustWait(): boolean {
    if (this.io.gate.isClosed) {
      this.io.gate.whenOpen(() => this.resume());
      return true;
    }
    return (
      this.isUnmapping ||
      this.sink.unsentBytes > UNSENT_BYTES_MAX ||
      this.coldBytes > COLD_READ_BYTES_MAX ||
      this.coldReads >= COLD_READS_MAX ||
      this.flushes >= FLUSHES_WAITING_MAX
    );
  }

  private run(): void {
    this.io.activity++;
    while (this.at < this.limit && !this.isClosed) {
      if (this.mustWait()) {
        this.isSuspended = true;
        break;
      }
      if (this.payload.left > 0) this.takePayload();
      else this.takeHeader();
    }
    this.endRun();
    this.answers.send();
  }

  private takeHeader(): void {
    if (this.headerFill === 0 && this.limit - this.at >= FRAME_HEADER_BYTES) {
      const at = this.at;
      this.at += FRAME_HEADER_BYTES;
      this.frame(this.receive, at);
      return;
    }
    const count = Math.min(FRAME_HEADER_BYTES - this.headerFill, this.limit - this.at);
    this.receive.copy(this.header, this.headerFill, this.at, this.at + count);
    this.headerFill += count;
    this.at += count;
    if (this.headerFill < FRAME_HEADER_BYTES) return;
    this.headerFill = 0;
    this.frame(this.header, 0);
  }

  private frame(from: Buffer, at: number): void {
    const magic = frameMagic(from, at);
    if (magic !== FRAME_MAGIC) return this.abort(wrongMagicText(magic));
    const type = frameType(from, at);
    const dataLength = frameDataLength(from, at);
    const size = frameSize(from, at);
    if (dataLength > FRAME_PAYLOAD_MAX || (type === FRAME_READ && size > FRAME_PAYLOAD_MAX)) {
      return this.abort(`frame of ${Math.max(dataLength, size)} bytes is above the limit of ${FRAME_PAYLOAD_MAX}`);
    }
    const seq = frameSeq(from, at);
    const offset = frameOffset(from, at);
    if (type === FRAME_HELLO) return this.hello(seq, offset);
    if (this.epoch < this.io.epoch) return this.refuseFenced(seq);
    if (type === FRAME_WRITE) return this.beginWrite(from, at, seq, offset, dataLength);
    this.endRun();
    if (dataLength > 0) this.payload.throwAway(dataLength);
    const problem = type === FRAME_PING ? this.io.pingProblem() : this.refusal(type, offset, size);
    if (problem !== null) return this.answers.addErrorTo(seq, problem, from, at);
    if (type === FRAME_READ) this.readFrame(seq, offset, size);
    else if (type === FRAME_PING) this.answers.add(seq, 0, 0);
    else if (type === FRAME_UNMAP) this.unmapFrame(seq, offset, size);
    else if (type === FRAME_FLUSH) this.flushFrame(seq);
    else if (type === FRAME_FLUSHED) this.io.regions.flushed(this.id, offset);
    return undefined;
  }

  private hello(seq: number, epoch: number): void {
    this.endRun();
    if (epoch < this.io.epoch) {
      this.epoch = epoch;
      this.refuseFenced(seq);
      return;
    }
    this.epoch = epoch;
    this.answers.add(seq, epoch, 0);
  }

  private refuseFenced(seq: number): void {
    const text = fencedText(this.epoch, this.io.epoch);
    this.answers.addError(seq, text);
    this.answers.send();
    this.close();
    this.sink.destroySoon();
  }

  /** Why a frame is not executed, or null; a frame type that nobody knows is passed over. */
  private refusal(type: number, offset: number, size: number): string | null {
    if (type === FRAME_FLUSHED) return null;
    if (type !== FRAME_READ && type !== FRAME_WRITE && type !== FRAME_UNMAP && type !== FRAME_FLUSH) return null;
    const closed = this.io.refusal();
    if (closed !== null) return closed;
    if (this.epoch !== this.io.epoch) return `replica is not opened for epoch ${this.epoch}`;
    const sizeBytes = this.io.open?.volume.sizeBytes ?? 0;
    return offset < 0 || offset + size > sizeBytes ? 'unexpected EOF' : null;
  }

  private abort(reason: string): void {
    this.close();
    this.sink.destroy(new Error(reason));
  }

  // -- writes

  private beginWrite(from: Buffer, at: number, seq: number, offset: number, length: number): void {
    const problem = this.refusal(FRAME_WRITE, offset, length);
    if (problem !== null) {
      this.endRun();
      this.answers.addErrorTo(seq, problem, from, at);
      this.payload.throwAway(length);
      return;
    }
    const isWhole = this.limit - this.at >= length;
    if (isWhole && length <= JOINED_PAYLOAD_MAX && (offset | length) % BLOCK_BYTES === 0 && length > 0) {
      this.addToRun(seq, offset, length);
      return;
    }
    this.endRun();
    if (isWhole) {
      const start = this.at;
      this.at += length;
      this.answerWrite(seq, offset, length, this.writeNow(this.receive, start, length, offset));
      return;
    }
    this.payload.begin(seq, offset, length);
  }

  /** Writes; returns the text of a failure, or null. */
  private writeNow(from: Buffer, at: number, length: number, offset: number): string | null {
    const { open } = this.io;
    if (open === null) return 'replica no longer exist';
    try {
      open.volume.write(from, at, length, offset);
      this.io.noteWritten(length);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  private takePayload(): void {
    const { payload } = this;
    this.at += payload.take(this.receive, this.at, this.limit);
    if (payload.isDone()) this.answerWrite(payload.seq, payload.start, payload.size, payload.problem);
  }

  private answerWrite(seq: number, offset: number, length: number, problem: string | null): void {
    if (problem !== null) {
      this.answers.addError(seq, problem, offset);
      return;
    }
    this.countRevision();
    this.answers.add(seq, offset, length);
  }

  private countRevision(): void {
    if (this.io.revision !== null) this.io.revision.value++;
  }

  private addToRun(seq: number, offset: number, length: number): void {
    if (this.runCount > 0 && (offset !== this.runEnd || this.runCount === JOINED_WRITES_MAX)) this.endRun();
    if (this.runCount === 0) this.runOffset = offset;
    this.runSeq[this.runCount] = seq;
    this.runAt[this.runCount] = this.at;
    this.runSize[this.runCount] = length;
    this.runCount++;
    this.runEnd = offset + length;
    this.at += length;
  }

  /** Executes the neighbouring writes gathered so far. */
  private endRun(): void {
    const count = this.runCount;
    if (count === 0) return;
    this.runCount = 0;
    const problem =
      count === 1
        ? this.writeNow(this.receive, this.runAt[0] as number, this.runSize[0] as number, this.runOffset)
        : this.writeRun(count);
    let offset = this.runOffset;
    for (let i = 0; i < count; i++) {
      const size = this.runSize[i] as number;
      this.answerWrite(this.runSeq[i] as number, offset, size, problem);
      offset += size;
    }
  }

  private writeRun(count: number): string | null {
    const { open } = this.io;
    if (open === null) return 'replica no longer exist';
    const pieces: Buffer[] = [];
    for (let i = 0; i < count; i++) {
      const at = this.runAt[i] as number;
      pieces.push(this.receive.subarray(at, at + (this.runSize[i] as number)));
    }
    const length = this.runEnd - this.runOffset;
    try {
      open.volume.writeJoined(pieces, length, this.runOffset);
      this.io.noteWritten(length);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  // -- reads

  private readFrame(seq: number, offset: number, size: number): void {
    const { open } = this.io;
    if (open === null) return;
    try {
      const at = this.answers.placeForData(size);
      if (at >= 0 && open.volume.readCached(this.answers.bytes, at, size, offset)) {
        this.answers.addData(seq, offset, size);
        return;
      }
    } catch (error) {
      this.answers.addError(seq, messageOf(error), offset);
      return;
    }
    this.coldRead(seq, offset, size);
  }

  /** A read that has to wait for the device, or is too large to be gathered: into a buffer of its own. */
  private coldRead(seq: number, offset: number, size: number): void {
    const { open, gate } = this.io;
    if (open === null) return;
    const answer = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + size);
    this.coldBytes += size;
    this.coldReads++;
    gate.enter();
    open.volume
      .read(answer, FRAME_HEADER_BYTES, size, offset)
      .then(
        () => {
          writeFrameHeader(answer, 0, seq, FRAME_RESPONSE, offset, size, size);
          this.sendOwn(answer);
        },
        (error: unknown) => this.answerLater(seq, messageOf(error), offset),
      )
      .finally(() => {
        this.coldBytes -= size;
        this.coldReads--;
        gate.leave();
        this.resume();
      });
  }

  // -- unmap, flush

  private unmapFrame(seq: number, offset: number, size: number): void {
    const { open, markChainRemoved } = this.io;
    if (open === null) return;
    if (size > UNMAP_PIECE_BYTES || markChainRemoved !== null) {
      this.isUnmapping = true;
      this.unmapInPieces(seq, offset, size)
        .catch((error: unknown) => this.answerLater(seq, messageOf(error), offset))
        .finally(() => {
          this.isUnmapping = false;
          this.resume();
        });
      return;
    }
    try {
      const { freedBytes, zeroedBytes } = open.volume.unmap(offset, size, open.isRemovable);
      this.io.noteWritten(zeroedBytes);
      this.countRevision();
      this.answers.add(seq, offset, freedBytes);
    } catch (error) {
      this.answers.addError(seq, messageOf(error), offset);
    }
  }

  private async unmapInPieces(seq: number, offset: number, size: number): Promise<void> {
    await this.io.markChainRemoved?.();
    const { gate } = this.io;
    let freed = 0;
    await gate.enterWhenOpen();
    try {
      for (let at = offset; at < offset + size;) {
        const { open } = this.io;
        // Another engine may have been let in meanwhile: nothing of this one's may follow.
        if (this.isClosed) return;
        if (open === null) throw new Error('replica no longer exist');
        // Pieces end at block boundaries, so that no block between two of them is left out.
        const boundary = Math.floor((at + UNMAP_PIECE_BYTES) / BLOCK_BYTES) * BLOCK_BYTES;
        const end = Math.min(boundary, offset + size);
        const { freedBytes, zeroedBytes } = open.volume.unmap(at, end - at, open.isRemovable);
        freed += freedBytes;
        this.io.noteWritten(zeroedBytes);
        at = end;
        await yieldToOthers();
      }
    } finally {
      gate.leave();
    }
    this.io.noteWritten(0);
    this.countRevision();
    this.answers.add(seq, offset, Math.min(freed, 0xffff_ffff));
    this.answers.send();
  }

  private flushFrame(seq: number): void {
    this.flushes++;
    this.io.regions.closeGeneration(this.id, seq);
    this.io
      .flush()
      .then(
        () => {
          this.answers.add(seq, 0, 0);
          this.answers.send();
        },
        (error: unknown) => this.answerLater(seq, messageOf(error), 0),
      )
      .finally(() => {
        this.flushes--;
        this.resume();
      });
  }

  // -- answers

  private answerLater(seq: number, text: string, offset: number): void {
    this.answers.addError(seq, text, offset);
    this.answers.send();
  }

  private sendOwn(bytes: Buffer): void {
    if (!this.isClosed) this.sink.write(bytes, 0, bytes.length);
  }

  /** The revision counter counts what is answered, so it is stored first. */
  private mayAnswer(): boolean {
    if (this.isClosed) return false;
    try {
      this.io.revision?.store();
      return true;
    } catch (error) {
      this.io.open?.fail(messageOf(error));
      this.abort(messageOf(error));
      return false;
    }
  }
}
