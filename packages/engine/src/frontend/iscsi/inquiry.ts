/** INQUIRY: what the disk is and what it can do. Vendor and product are those of upstream's target: rules of hosts go by them. */
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { SENSE } from '../../protocol/scsi.ts';
import { type CommandResult, done, failed } from './command-result.ts';
import {
  COMPARE_BLOCKS_MAX,
  ISCSI_LUN,
  ISCSI_TRANSFER_MAX,
  PHYSICAL_BYTES,
  PIECE_BYTES,
  SECTOR_BYTES,
  UNMAP_BYTES_MAX,
  UNMAP_DESCRIPTORS_MAX,
  WRITE_SAME_BYTES_MAX,
} from './limits.ts';

const VENDOR = 'IET     ';
const PRODUCT = 'VIRTUAL-DISK    ';
const REVISION = '0001';
const TYPE_DISK = 0x00;
/** LUN 0, as with upstream: something to ask for the list of LUNs. */
const TYPE_ARRAY = 0x0c;
const TYPE_NONE = 0x7f;
/** SAM-5, iSCSI, SPC-4, SBC-3. */
const VERSIONS = [0x00a0, 0x0960, 0x0460, 0x04c0];
const STANDARD_BYTES = 96;

/** The answer to INQUIRY at any LUN. */
export function inquiry(cdb: Buffer, lun: number, targetName: string): CommandResult {
  const isVital = ((cdb[1] as number) & 0x01) !== 0;
  const page = cdb[2] as number;
  const allocated = cdb.readUInt16BE(3);
  const type = lun === ISCSI_LUN ? TYPE_DISK : lun === 0 ? TYPE_ARRAY : TYPE_NONE;
  if (!isVital) {
    if (page !== 0 || ((cdb[1] as number) & 0xfe) !== 0) return failed(SENSE.INVALID_FIELD_IN_CDB);
    return done(standard(type).subarray(0, allocated));
  }
  const body = type === TYPE_NONE ? null : vitalPage(page, type, targetName);
  if (body === null) return failed(SENSE.INVALID_FIELD_IN_CDB);
  const head = Buffer.from([type, page, 0, 0]);
  head.writeUInt16BE(body.length, 2);
  return done(Buffer.concat([head, body]).subarray(0, allocated));
}

function standard(type: number): Buffer {
  const data = Buffer.alloc(STANDARD_BYTES);
  data[0] = type;
  data[2] = 0x06;
  data[3] = 0x12;
  data[4] = STANDARD_BYTES - 5;
  data[7] = 0x02;
  data.write(VENDOR + PRODUCT + REVISION, 8, 'latin1');
  for (const [i, version] of VERSIONS.entries()) data.writeUInt16BE(version, 58 + 2 * i);
  return data;
}

const PAGES_OF_DISK = [0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2];
const PAGES_OF_ARRAY = [0x00, 0x80, 0x83];

function vitalPage(page: number, type: number, targetName: string): Buffer | null {
  const pages = type === TYPE_DISK ? PAGES_OF_DISK : PAGES_OF_ARRAY;
  if (!pages.includes(page)) return null;
  switch (page) {
    case 0x00:
      return Buffer.from(pages);
    case 0x80:
      return Buffer.from(serialNumber(targetName, type), 'latin1');
    case 0x83:
      return identifiers(targetName, type);
    case 0xb0:
      return blockLimits();
    case 0xb1: {
      const data = Buffer.alloc(60);
      // Not a rotating medium.
      data.writeUInt16BE(1, 0);
      return data;
    }
    default:
      // UNMAP, and WRITE SAME 16 and 10 with its bit; thin. What is unmapped is not promised to read as zeros.
      return Buffer.from([0, 0xe0, 2, 0]);
  }
}

/** The same for a volume wherever it is attached. */
function serialNumber(targetName: string, type: number): string {
  return createHash('sha256').update(`${targetName} ${type}`).digest('hex').slice(0, 16);
}

function identifiers(targetName: string, type: number): Buffer {
  const serial = serialNumber(targetName, type);
  const designators = [
    // T10 vendor, and a name that is locally assigned (NAA 3).
    designator(0x02, 0x01, Buffer.from(VENDOR + serial, 'latin1')),
    designator(0x01, 0x03, Buffer.from(`3${serial.slice(1)}`, 'hex')),
    // Relative port 1 and group 1 of the one port, and the name of the target device.
    designator(0x51, 0x94, Buffer.from([0, 0, 0, 1])),
    designator(0x51, 0x95, Buffer.from([0, 0, 0, 1])),
    designator(0x53, 0xa8, nameString(targetName)),
  ];
  return Buffer.concat(designators);
}

function designator(protocolAndCodes: number, association: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([protocolAndCodes, association, 0, value.length]), value]);
}

function nameString(name: string): Buffer {
  const bytes = Buffer.from(name, 'utf8');
  return Buffer.concat([bytes, Buffer.alloc(4 - (bytes.length % 4))]);
}

function blockLimits(): Buffer {
  const data = Buffer.alloc(60);
  // A WRITE SAME of no blocks is refused.
  data[0] = 0x01;
  data[1] = COMPARE_BLOCKS_MAX;
  data.writeUInt16BE(PHYSICAL_BYTES / SECTOR_BYTES, 2);
  data.writeUInt32BE(ISCSI_TRANSFER_MAX / SECTOR_BYTES, 4);
  data.writeUInt32BE(PIECE_BYTES / SECTOR_BYTES, 8);
  data.writeUInt32BE(UNMAP_BYTES_MAX / SECTOR_BYTES, 16);
  data.writeUInt32BE(UNMAP_DESCRIPTORS_MAX, 20);
  data.writeUInt32BE(PHYSICAL_BYTES / SECTOR_BYTES, 24);
  data.writeUInt32BE(0x80000000, 28);
  data.writeBigUInt64BE(BigInt(WRITE_SAME_BYTES_MAX / SECTOR_BYTES), 32);
  return data;
}
