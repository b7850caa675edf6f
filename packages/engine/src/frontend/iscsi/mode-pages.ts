/** MODE SENSE 6 and 10. The cache is on: an acknowledged write is durable once a flush, or FUA, says so. Nothing can be changed. */
import { Buffer } from 'node:buffer';
import { SCSI, SENSE } from '../../protocol/scsi.ts';
import { type CommandResult, done, failed } from './command-result.ts';
import { SECTOR_BYTES } from './limits.ts';

const DPOFUA = 0x10;
const SAVED_NOT_SUPPORTED = 0x05_39_00;
const ALL_PAGES = 0x3f;
const ALL_SUBPAGES = 0xff;

/** By page code, without code and length. */
const PAGES = new Map<number, Buffer>([
  [0x01, Buffer.from('c0000000000000000000', 'hex')],
  // Write cache enabled.
  [0x08, Buffer.from('040000000000000000000000000000000000', 'hex')],
  // Commands may be reordered; UA_INTLCK 0; unit attentions of this nexus alone (TST 0); busy timeout unlimited.
  [0x0a, Buffer.from('021000000000ffff0000', 'hex')],
  [0x1c, Buffer.from('00000000000000000000', 'hex')],
]);

export function modeSense(cdb: Buffer, sizeBytes: number): CommandResult {
  const isShort = cdb[0] === SCSI.MODE_SENSE_6;
  const page = (cdb[2] as number) & 0x3f;
  const control = (cdb[2] as number) >> 6;
  const subpage = cdb[3] as number;
  const allocated = isShort ? (cdb[4] as number) : cdb.readUInt16BE(7);
  const hasNoDescriptor = ((cdb[1] as number) & 0x08) !== 0;
  const isLong = !isShort && ((cdb[1] as number) & 0x10) !== 0;
  if (control === 3) return failed(SAVED_NOT_SUPPORTED);
  const codes = page === ALL_PAGES ? [...PAGES.keys()] : [page];
  const isKnown = codes.every((code) => PAGES.has(code));
  if (!isKnown || (subpage !== 0 && !(page === ALL_PAGES && subpage === ALL_SUBPAGES))) {
    return failed(SENSE.INVALID_FIELD_IN_CDB);
  }
  const pages = codes.map((code) => {
    const values = PAGES.get(code) ?? Buffer.alloc(0);
    // Asked for what can be changed: nothing.
    const shown = control === 1 ? Buffer.alloc(values.length) : values;
    return Buffer.concat([Buffer.from([code, shown.length]), shown]);
  });
  const descriptor = hasNoDescriptor ? Buffer.alloc(0) : blockDescriptor(sizeBytes, isLong);
  const head = Buffer.alloc(isShort ? 4 : 8);
  const data = Buffer.concat([head, descriptor, ...pages]);
  if (isShort) {
    data[0] = data.length - 1;
    data[2] = DPOFUA;
    data[3] = descriptor.length;
  } else {
    data.writeUInt16BE(data.length - 2, 0);
    data[3] = DPOFUA;
    data[4] = isLong && descriptor.length > 0 ? 1 : 0;
    data.writeUInt16BE(descriptor.length, 6);
  }
  return done(data.subarray(0, allocated));
}

function blockDescriptor(sizeBytes: number, isLong: boolean): Buffer {
  const blocks = Math.floor(sizeBytes / SECTOR_BYTES);
  const descriptor = Buffer.alloc(isLong ? 16 : 8);
  if (isLong) {
    descriptor.writeBigUInt64BE(BigInt(blocks), 0);
    descriptor.writeUInt32BE(SECTOR_BYTES, 12);
  } else {
    descriptor.writeUInt32BE(Math.min(blocks, 0xffffffff), 0);
    descriptor.writeUIntBE(SECTOR_BYTES, 5, 3);
  }
  return descriptor;
}
