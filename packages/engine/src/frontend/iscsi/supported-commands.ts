/** All commands of the disk: what REPORT SUPPORTED OPERATION CODES answers, and which bits of a CDB have a meaning. */
import { Buffer } from 'node:buffer';
import { SENSE } from '../../protocol/scsi.ts';
import { type CommandResult, done, failed } from './command-result.ts';

interface SupportedCommand {
  readonly opcode: number;
  readonly action: number | null;
  /** The CDB with a bit set wherever it has a meaning, as hexadecimal. */
  readonly usage: string;
}

const of = (usage: string, action: number | null = null): SupportedCommand => ({
  opcode: Number.parseInt(usage.slice(0, 2), 16),
  action,
  usage,
});

const inActions = [0, 1, 2, 3].map((action) => of(`5e${hex(action)}0000000000ffff07`, action));
const outActions = [0, 1, 2, 3, 4, 5, 6].map((action) => of(`5f${hex(action)}ff0000ffffffff07`, action));

export const SUPPORTED_COMMANDS: readonly SupportedCommand[] = [
  of('000000000007'),
  of('03010000ff07'),
  of('081fffffff07'),
  of('0a1fffffff07'),
  of('1201ffffff07'),
  of('160000000007'),
  of('170000000007'),
  of('1a08ffffff07'),
  of('1b010000f307'),
  of('25000000000000000007'),
  of('2818ffffffff00ffff07'),
  of('2a18ffffffff00ffff07'),
  of('2e16ffffffff00ffff07'),
  of('2f16ffffffff00ffff07'),
  of('3402ffffffff00ffff07'),
  of('3502ffffffff00ffff07'),
  of('4108ffffffff00ffff07'),
  of('42000000000000ffff07'),
  of('5a18ffff000000ffff07'),
  ...inActions,
  ...outActions,
  of('8818ffffffffffffffffffffffff0007'),
  of('8918ffffffffffffffff000000ff0007'),
  of('8a18ffffffffffffffffffffffff0007'),
  of('8b18ffffffffffffffffffffffff0007'),
  of('8e16ffffffffffffffffffffffff0007'),
  of('8f16ffffffffffffffffffffffff0007'),
  of('9002ffffffffffffffffffffffff0007'),
  of('9102ffffffffffffffffffffffff0007'),
  of('9309ffffffffffffffffffffffff0007'),
  of('9e100000000000000000ffffffff0007', 0x10),
  of('a00000ff0000ffffffff0007'),
  of('a30c87ffffffffffffff0007', 0x0c),
  of('a818ffffffffffffffff0007'),
  of('aa18ffffffffffffffff0007'),
  of('ae16ffffffffffffffff0007'),
  of('af16ffffffffffffffff0007'),
];

function hex(action: number): string {
  return action.toString(16).padStart(2, '0');
}

const TIMEOUTS = Buffer.from('000a00000000000000000000', 'hex');

export function reportSupportedCommands(cdb: Buffer): CommandResult {
  const wantsTimeouts = ((cdb[2] as number) & 0x80) !== 0;
  const option = (cdb[2] as number) & 0x07;
  const allocated = cdb.readUInt32BE(6);
  const data = option === 0 ? all(wantsTimeouts) : one(cdb, option, wantsTimeouts);
  return data === null ? failed(SENSE.INVALID_FIELD_IN_CDB) : done(data.subarray(0, allocated));
}

function all(wantsTimeouts: boolean): Buffer {
  const parts = SUPPORTED_COMMANDS.map(({ opcode, action, usage }) => {
    const descriptor = Buffer.alloc(8);
    descriptor[0] = opcode;
    descriptor.writeUInt16BE(action ?? 0, 2);
    descriptor[5] = (action === null ? 0 : 1) | (wantsTimeouts ? 2 : 0);
    descriptor.writeUInt16BE(usage.length / 2, 6);
    return wantsTimeouts ? Buffer.concat([descriptor, TIMEOUTS]) : descriptor;
  });
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length, 0);
  return Buffer.concat([head, body]);
}

/** Options 1: by opcode alone, 2: with its service action, 3: either, as the opcode has it. Null: asked the wrong way. */
function one(cdb: Buffer, option: number, wantsTimeouts: boolean): Buffer | null {
  const opcode = cdb[3] as number;
  const action = cdb.readUInt16BE(4);
  const same = SUPPORTED_COMMANDS.filter((command) => command.opcode === opcode);
  const hasActions = same.some((command) => command.action !== null);
  if (option > 3 || (option === 1 && hasActions) || (option === 2 && same.length > 0 && !hasActions)) return null;
  const found = hasActions ? same.find((command) => command.action === action) : same[0];
  if (found === undefined) return Buffer.from([0, 0x01, 0, 0]);
  const usage = Buffer.from(found.usage, 'hex');
  const head = Buffer.from([0, 0x03 | (wantsTimeouts ? 0x80 : 0), 0, 0]);
  head.writeUInt16BE(usage.length, 2);
  return Buffer.concat(wantsTimeouts ? [head, usage, TIMEOUTS] : [head, usage]);
}
