import { Buffer } from 'node:buffer';
import { expect, it } from 'vitest';
import { crc32c } from './crc32c.ts';

// RFC 7143, Appendix A.4, read as numbers; and lengths that are no multiple of four.
it.each([
  { name: '32 zeros', bytes: Buffer.alloc(32), crc: 0x8a9136aa },
  { name: '32 ones', bytes: Buffer.alloc(32, 0xff), crc: 0x62a8ab43 },
  { name: '32 incrementing', bytes: Buffer.from(Array.from({ length: 32 }, (_, i) => i)), crc: 0x46dd794e },
  { name: '32 decrementing', bytes: Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), crc: 0x113fdb5c },
  { name: 'nine digits', bytes: Buffer.from('123456789'), crc: 0xe3069283 },
  { name: 'nothing', bytes: Buffer.alloc(0), crc: 0 },
])('of $name', ({ bytes, crc }) => {
  expect(crc32c(bytes, 0, bytes.length)).toBe(crc);
  expect(crc32c(Buffer.concat([Buffer.alloc(5, 7), bytes, Buffer.alloc(3, 9)]), 5, 5 + bytes.length)).toBe(crc);
});
