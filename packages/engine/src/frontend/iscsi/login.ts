/**
 * The login phase of one connection, PDU after PDU:
 *
 *     security (AuthMethod, CHAP) -> operational (digests, bursts, …) -> full feature
 *            \____________________________________________________________/^
 *
 * Pure: takes a PDU, gives the answer. Nobody gets to the full feature phase without CHAP when CHAP is asked for, and
 * whatever the protocol does not allow ends the connection with the status that names it.
 */
import { Buffer } from 'node:buffer';
import { OP_LOGIN_RESPONSE, PDU_HEADER_BYTES, TEXT_CONTINUES, padded, startPdu } from '../../protocol/iscsi-pdu.ts';
import { Chap, type ChapOptions } from './chap.ts';
import { ISCSI_COMMANDS_MAX, ISCSI_NAME_BYTES_MAX, LOGIN_PDUS_MAX, LOGIN_TEXT_BYTES_MAX } from './limits.ts';
import { OUR_SEGMENT, defaultParameters, negotiate, type SessionParameters } from './negotiation.ts';
import { encodeTextKeys, parseTextKeys, type TextKeys } from './text-keys.ts';

/** Status class and detail of a login response. */
export const LOGIN = {
  SUCCESS: 0x0000,
  INITIATOR_ERROR: 0x0200,
  AUTHENTICATION_FAILED: 0x0201,
  NOT_FOUND: 0x0203,
  UNSUPPORTED_VERSION: 0x0205,
  TOO_MANY_CONNECTIONS: 0x0206,
  MISSING_PARAMETER: 0x0207,
  SESSION_TYPE: 0x0209,
  NO_SUCH_SESSION: 0x020a,
  INVALID_DURING_LOGIN: 0x020b,
} as const;

export interface SessionIdentity {
  readonly initiatorName: string;
  /** of the initiator, six bytes as hexadecimal */
  readonly isid: string;
  /** 0 = a new session */
  readonly tsih: number;
  readonly isDiscovery: boolean;
}

export interface LoginOptions {
  readonly targetName: string;
  /** null: whoever comes is let in, as with upstream */
  readonly chap: ChapOptions | null;
  readonly random: (bytes: number) => Buffer;
  /** Takes the session in, ends the one that it replaces; answers its TSIH or a status. */
  readonly admit: (identity: SessionIdentity) => { tsih: number } | { status: number };
}

const STAGE_SECURITY = 0;
const STAGE_OPERATIONAL = 1;
const STAGE_FULL = 3;
const TRANSIT = 0x80;

export class Login {
  state: 'login' | 'full' | 'end' = 'login';
  readonly parameters: SessionParameters = defaultParameters();
  identity: SessionIdentity = { initiatorName: '', isid: '', tsih: 0, isDiscovery: false };
  /** Of the next response. */
  statSn = 1;
  /** Of the first command. */
  cmdSn = 0;
  private readonly options: LoginOptions;
  private stage = -1;
  private readonly chap: Chap | null;
  private isAuthenticated: boolean;
  private isDeclared = false;
  private pdus = 0;
  private text: Buffer[] = [];
  private textBytes = 0;
  private connectionId = -1;

  constructor(options: LoginOptions) {
    this.options = options;
    this.chap = options.chap === null ? null : new Chap(options.chap, options.random);
    this.isAuthenticated = options.chap === null;
  }

  /** The answer to the login PDU at `at`, whose data is `data`. */
  take(header: Buffer, at: number, data: Buffer): Buffer {
    const flags = header[at + 1] as number;
    const stage = (flags >> 2) & 3;
    const next = flags & 3;
    const isTransit = (flags & TRANSIT) !== 0;
    const continues = (flags & TEXT_CONTINUES) !== 0;
    if (++this.pdus > LOGIN_PDUS_MAX || (isTransit && continues)) return this.fail(header, at, LOGIN.INITIATOR_ERROR);
    // Only the first version of the protocol exists.
    if (header[at + 3] !== 0) return this.fail(header, at, LOGIN.UNSUPPORTED_VERSION);
    const isStageRight =
      (stage === this.stage || this.stage === -1) &&
      (stage === STAGE_SECURITY || stage === STAGE_OPERATIONAL) &&
      (!isTransit || (next > stage && next !== 2));
    if (!isStageRight) return this.fail(header, at, LOGIN.INITIATOR_ERROR);
    const connectionId = header.readUInt16BE(at + 20);
    const isid = header.toString('hex', at + 8, at + 14);
    if (this.pdus === 1) {
      this.cmdSn = header.readUInt32BE(at + 24);
      this.connectionId = connectionId;
      this.identity = { ...this.identity, isid, tsih: header.readUInt16BE(at + 14) };
    } else if (connectionId !== this.connectionId || isid !== this.identity.isid) {
      return this.fail(header, at, LOGIN.INITIATOR_ERROR);
    }
    this.textBytes += data.length;
    if (this.textBytes > LOGIN_TEXT_BYTES_MAX) return this.fail(header, at, LOGIN.INITIATOR_ERROR);
    this.text.push(Buffer.from(data));
    if (continues) return this.respond(header, at, stage << 2, LOGIN.SUCCESS, []);
    const keys = parseTextKeys(Buffer.concat(this.text.splice(0)));
    this.textBytes = 0;
    if (keys === null) return this.fail(header, at, LOGIN.INITIATOR_ERROR);
    return this.answer(header, at, keys, stage, isTransit ? next : -1);
  }

  /** `next`: the stage that the initiator is ready for, -1 = it stays. */
  private answer(header: Buffer, at: number, keys: TextKeys, stage: number, next: number): Buffer {
    if (this.stage === -1) {
      const status = this.identify(keys);
      if (status !== LOGIN.SUCCESS) return this.fail(header, at, status);
    }
    const answers: [string, string][] = [];
    if (this.stage === -1 && !this.identity.isDiscovery) answers.push(['TargetPortalGroupTag', '1']);
    this.stage = stage;
    if (stage === STAGE_SECURITY) {
      const status = this.authenticate(keys, answers);
      if (status !== LOGIN.SUCCESS) return this.fail(header, at, status);
    } else if (!this.isAuthenticated) {
      return this.fail(header, at, LOGIN.AUTHENTICATION_FAILED);
    }
    const negotiated = negotiate(keys, this.parameters, this.identity.isDiscovery);
    if (negotiated === null) return this.fail(header, at, LOGIN.INITIATOR_ERROR);
    answers.push(...negotiated);
    if (stage === STAGE_OPERATIONAL && !this.isDeclared) {
      this.isDeclared = true;
      answers.push(OUR_SEGMENT);
    }
    if (next === -1 || !this.isAuthenticated) return this.respond(header, at, stage << 2, LOGIN.SUCCESS, answers);
    if (next === STAGE_FULL) {
      const admission = this.options.admit(this.identity);
      if ('status' in admission) return this.fail(header, at, admission.status);
      this.identity = { ...this.identity, tsih: admission.tsih };
      this.state = 'full';
    }
    this.stage = next;
    return this.respond(header, at, TRANSIT | (stage << 2) | next, LOGIN.SUCCESS, answers);
  }

  private identify(keys: TextKeys): number {
    const initiatorName = keys.get('InitiatorName') ?? '';
    const type = keys.get('SessionType') ?? 'Normal';
    if (initiatorName === '') return LOGIN.MISSING_PARAMETER;
    if (Buffer.byteLength(initiatorName) > ISCSI_NAME_BYTES_MAX) return LOGIN.INITIATOR_ERROR;
    if (type !== 'Normal' && type !== 'Discovery') return LOGIN.SESSION_TYPE;
    const isDiscovery = type === 'Discovery';
    this.identity = { ...this.identity, initiatorName, isDiscovery };
    const wanted = keys.get('TargetName');
    if (isDiscovery) return LOGIN.SUCCESS;
    if (wanted === undefined) return LOGIN.MISSING_PARAMETER;
    return wanted === this.options.targetName ? LOGIN.SUCCESS : LOGIN.NOT_FOUND;
  }

  private authenticate(keys: TextKeys, answers: [string, string][]): number {
    const offered = keys.get('AuthMethod')?.split(',');
    if (this.chap === null) {
      if (offered === undefined) return LOGIN.SUCCESS;
      if (!offered.includes('None')) return LOGIN.AUTHENTICATION_FAILED;
      answers.push(['AuthMethod', 'None']);
      return LOGIN.SUCCESS;
    }
    if (offered !== undefined) {
      if (!offered.includes('CHAP')) return LOGIN.AUTHENTICATION_FAILED;
      answers.push(['AuthMethod', 'CHAP']);
    }
    const hasChapKeys = [...keys.keys()].some((key) => key.startsWith('CHAP_'));
    if (!hasChapKeys) return LOGIN.SUCCESS;
    if (this.isAuthenticated) return LOGIN.INITIATOR_ERROR;
    const result = this.chap.step(keys);
    if ('failure' in result) {
      return result.failure === 'authentication' ? LOGIN.AUTHENTICATION_FAILED : LOGIN.INITIATOR_ERROR;
    }
    answers.push(...result.keys);
    this.isAuthenticated = result.done;
    return LOGIN.SUCCESS;
  }

  private fail(header: Buffer, at: number, status: number): Buffer {
    this.state = 'end';
    return this.respond(header, at, (header[at + 1] as number) & 0x0c, status, []);
  }

  private respond(header: Buffer, at: number, flags: number, status: number, keys: [string, string][]): Buffer {
    const data = encodeTextKeys(keys);
    const pdu = Buffer.alloc(PDU_HEADER_BYTES + padded(data.length));
    startPdu(pdu, 0, OP_LOGIN_RESPONSE, flags, data.length, header.readUInt32BE(at + 16));
    header.copy(pdu, 8, at + 8, at + 14);
    pdu.writeUInt16BE(this.identity.tsih, 14);
    if (status === LOGIN.SUCCESS) pdu.writeUInt32BE(this.statSn, 24);
    this.statSn = (this.statSn + 1) >>> 0;
    pdu.writeUInt32BE(this.cmdSn, 28);
    pdu.writeUInt32BE((this.cmdSn + ISCSI_COMMANDS_MAX - 1) >>> 0, 32);
    pdu.writeUInt16BE(status, 36);
    data.copy(pdu, PDU_HEADER_BYTES);
    return pdu;
  }
}
