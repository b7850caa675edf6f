/** The operational keys of a session: what an initiator declares or offers, what we answer, and what then holds. */
import {
  ISCSI_FIRST_BURST_MAX,
  ISCSI_MAX_BURST,
  ISCSI_SEGMENT_MAX,
  ISCSI_SEND_SEGMENT_MAX,
  LOGIN_SEGMENT_MAX,
} from './limits.ts';
import { parseNumber, type TextKeys } from './text-keys.ts';

export interface SessionParameters {
  headerDigest: boolean;
  dataDigest: boolean;
  initialR2t: boolean;
  immediateData: boolean;
  /** longest segment that the initiator takes */
  sendSegmentBytes: number;
  firstBurstBytes: number;
  maxBurstBytes: number;
}

/** What holds until something else is agreed (RFC 7143, 13). */
export function defaultParameters(): SessionParameters {
  return {
    headerDigest: false,
    dataDigest: false,
    initialR2t: true,
    immediateData: true,
    sendSegmentBytes: LOGIN_SEGMENT_MAX,
    firstBurstBytes: 65536,
    maxBurstBytes: 262144,
  };
}

const SEGMENT_MIN = 512;
const SEGMENT_LIMIT = (1 << 24) - 1;
/** Keys that are settled elsewhere, and take no answer. */
const DECLARED = new Set([
  'InitiatorName',
  'InitiatorAlias',
  'SessionType',
  'TargetName',
  'AuthMethod',
  'TargetPortalGroupTag',
]);

const REJECT = 'Reject';

/** Answers the keys of one exchange, in their order, and notes what is agreed. Null: a value that ends the login. */
export function negotiate(keys: TextKeys, into: SessionParameters, isDiscovery: boolean): [string, string][] | null {
  const answers: [string, string][] = [];
  for (const [key, value] of keys) {
    if (DECLARED.has(key) || key.startsWith('CHAP_')) continue;
    if (key === 'MaxRecvDataSegmentLength') {
      const bytes = parseNumber(value);
      if (bytes === null || bytes < SEGMENT_MIN || bytes > SEGMENT_LIMIT) return null;
      // Whole blocks: a read is cut into segments, each of which the core fills.
      into.sendSegmentBytes = Math.min(bytes - (bytes % SEGMENT_MIN), ISCSI_SEND_SEGMENT_MAX);
      continue;
    }
    const answer = isDiscovery && SESSION_ONLY.has(key) ? 'Irrelevant' : answerTo(key, value, into);
    answers.push([key, answer]);
  }
  if (into.firstBurstBytes > into.maxBurstBytes) into.firstBurstBytes = into.maxBurstBytes;
  return answers;
}

/** What we declare ourselves, once in a login. */
export const OUR_SEGMENT: [string, string] = ['MaxRecvDataSegmentLength', String(ISCSI_SEGMENT_MAX)];

const SESSION_ONLY = new Set([
  'MaxConnections',
  'InitialR2T',
  'ImmediateData',
  'MaxBurstLength',
  'FirstBurstLength',
  'MaxOutstandingR2T',
  'DataPDUInOrder',
  'DataSequenceInOrder',
]);

function answerTo(key: string, value: string, into: SessionParameters): string {
  switch (key) {
    case 'HeaderDigest':
      return digest(value, (wanted) => (into.headerDigest = wanted));
    case 'DataDigest':
      return digest(value, (wanted) => (into.dataDigest = wanted));
    case 'InitialR2T':
      return boolean(value, (wanted) => (into.initialR2t = wanted));
    case 'ImmediateData':
      return boolean(value, (wanted) => (into.immediateData = wanted));
    case 'DataPDUInOrder':
    case 'DataSequenceInOrder':
      return value === 'Yes' || value === 'No' ? 'Yes' : REJECT;
    case 'IFMarker':
    case 'OFMarker':
      return 'No';
    case 'IFMarkInt':
    case 'OFMarkInt':
      return 'Irrelevant';
    case 'MaxBurstLength':
      return least(value, SEGMENT_MIN, SEGMENT_LIMIT, ISCSI_MAX_BURST, (bytes) => (into.maxBurstBytes = bytes));
    case 'FirstBurstLength':
      return least(value, SEGMENT_MIN, SEGMENT_LIMIT, ISCSI_FIRST_BURST_MAX, (bytes) => (into.firstBurstBytes = bytes));
    case 'MaxConnections':
    case 'MaxOutstandingR2T':
      return least(value, 1, 65535, 1, () => undefined);
    case 'ErrorRecoveryLevel':
      return least(value, 0, 2, 0, () => undefined);
    case 'DefaultTime2Retain':
      return least(value, 0, 3600, 0, () => undefined);
    case 'DefaultTime2Wait': {
      const seconds = parseNumber(value);
      return seconds === null || seconds > 3600 ? REJECT : String(Math.max(seconds, 2));
    }
    default:
      return 'NotUnderstood';
  }
}

/** The first of the offered that we have, by the initiator's preference. */
function digest(value: string, set: (wanted: boolean) => void): string {
  const chosen = value.split(',').find((offer) => offer === 'CRC32C' || offer === 'None');
  if (chosen === undefined) return REJECT;
  set(chosen === 'CRC32C');
  return chosen;
}

/** We want neither value: what the initiator offers holds (InitialR2T by OR with No, ImmediateData by AND with Yes). */
function boolean(value: string, set: (wanted: boolean) => void): string {
  if (value !== 'Yes' && value !== 'No') return REJECT;
  set(value === 'Yes');
  return value;
}

function least(value: string, min: number, max: number, ours: number, set: (agreed: number) => void): string {
  const offered = parseNumber(value);
  if (offered === null || offered < min || offered > max) return REJECT;
  const agreed = Math.min(offered, ours);
  set(agreed);
  return String(agreed);
}
