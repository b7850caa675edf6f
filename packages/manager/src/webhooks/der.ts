/** The few forms of DER (X.690) that a certificate is made of. */

function lengthBytes(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

/** Tag, length and content. */
export function derValue(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), lengthBytes(content.length), content]);
}

export function derSequence(...items: Buffer[]): Buffer {
  return derValue(0x30, ...items);
}

export function derSet(...items: Buffer[]): Buffer {
  return derValue(0x31, ...items);
}

/** An integer that is not negative, from its big-endian bytes. */
export function derInteger(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const trimmed = bytes.subarray(start);
  const needsZero = ((trimmed[0] ?? 0) & 0x80) !== 0;
  return derValue(0x02, needsZero ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed);
}

/** An object identifier such as `2.5.29.17`. */
export function derObjectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part % 128];
    for (let left = Math.floor(part / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left % 128) | 0x80);
    bytes.push(...groups);
  }
  return derValue(0x06, Buffer.from(bytes));
}

export function derUtf8(text: string): Buffer {
  return derValue(0x0c, Buffer.from(text, 'utf8'));
}

export function derBoolean(value: boolean): Buffer {
  return derValue(0x01, Buffer.from([value ? 0xff : 0]));
}

export function derOctets(content: Buffer): Buffer {
  return derValue(0x04, content);
}

/** A bit string; `unusedBits` at its end do not count. */
export function derBits(content: Buffer, unusedBits = 0): Buffer {
  return derValue(0x03, Buffer.from([unusedBits]), content);
}

/** A constructed value in the context of its sequence, such as the version of a certificate. */
export function derExplicit(number: number, content: Buffer): Buffer {
  return derValue(0xa0 | number, content);
}

/** UTCTime up to 2049, GeneralizedTime after, as X.509 wants it. */
export function derTime(ms: number): Buffer {
  const date = new Date(ms);
  const digits = date.toISOString().replace(/[-:T]|\.\d{3}/g, '');
  return date.getUTCFullYear() < 2050
    ? derValue(0x17, Buffer.from(digits.slice(2), 'ascii'))
    : derValue(0x18, Buffer.from(digits, 'ascii'));
}
