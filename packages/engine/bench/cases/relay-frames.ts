/** Cuts a byte stream of headers and payloads, which arrives in chunks of any length. */
import type { Buffer } from 'node:buffer';

export interface FrameUser {
  /** A whole header, valid during the call; answers how many bytes of payload follow it. */
  header(header: Buffer): number;
  /** The next bytes of that payload: `[from .. to)` of the chunk that is being taken. */
  payload(from: number, to: number): void;
}

export class FrameCutter {
  private readonly head: Buffer;
  private readonly user: FrameUser;
  private headFilled = 0;
  private payloadLeft = 0;

  /** `head`: room for one header, which sets its length */
  constructor(head: Buffer, user: FrameUser) {
    this.head = head;
    this.user = user;
  }

  /** What was taken ends with a whole frame. */
  get isBetweenFrames(): boolean {
    return this.headFilled === 0 && this.payloadLeft === 0;
  }

  /** Takes `chunk[0 .. length)`. */
  take(chunk: Buffer, length: number): void {
    let at = 0;
    while (at < length) {
      if (this.payloadLeft > 0) {
        const end = Math.min(at + this.payloadLeft, length);
        this.payloadLeft -= end - at;
        this.user.payload(at, end);
        at = end;
        continue;
      }
      const end = Math.min(at + this.head.length - this.headFilled, length);
      chunk.copy(this.head, this.headFilled, at, end);
      this.headFilled += end - at;
      at = end;
      if (this.headFilled < this.head.length) return;
      this.headFilled = 0;
      this.payloadLeft = this.user.header(this.head);
    }
  }
}
