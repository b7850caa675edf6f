/** Checks of settings whose values have a form of their own: lists of tolerations, labels, orphan types and so on. */
import { parseQuantity } from '../units/quantity.ts';
import { cronProblem } from './cron.ts';

const TAINT_EFFECTS = ['', 'NoExecute', 'NoSchedule', 'PreferNoSchedule'];
const ORPHAN_TYPES = ['replica-data', 'instance'];
const LOG_FLAGS = /^(([a-zA-Z]+_?)+[a-zA-Z]+,?)+$/;
const LOG_FLAGS_LENGTH_MAX = 256;

/** A toleration as pods state it. */
export interface Toleration {
  key: string;
  operator: 'Equal' | 'Exists';
  value: string;
  effect: string;
}

function items(list: string): string[] {
  return list
    .replaceAll(' ', '')
    .split(';')
    .filter((item) => item !== '');
}

/** Reads `key=value:effect;key:effect`; throws with the reason. */
export function parseTolerations(list: string): Toleration[] {
  return items(list).map((item) => {
    const parts = item.split(':');
    const [pair = '', effect = ''] = parts;
    if (parts.length !== 2) throw new Error('missing key/value and effect pair');
    if (!TAINT_EFFECTS.includes(effect)) throw new Error(`invalid effect: ${effect}`);
    const equals = pair.split('=');
    if (equals.length > 2) throw new Error('failed to parse toleration');
    const [key = '', value] = equals;
    return { key, operator: value === undefined ? 'Exists' : 'Equal', value: value ?? '', effect };
  });
}

/** Reads `key:value;key:value`; throws with the reason. */
export function parseNodeSelector(list: string): Record<string, string> {
  return Object.fromEntries(
    items(list).map((item) => {
      const at = item.indexOf(':');
      if (at <= 0) throw new Error(`invalid label ${item}: should contain the separator ':'`);
      return [item.slice(0, at), item.slice(at + 1)];
    }),
  );
}

/** Reads `replica-data;instance`; throws with the reason. */
export function parseOrphanTypes(list: string): string[] {
  const types = items(list);
  const unknown = types.filter((type) => !ORPHAN_TYPES.includes(type));
  if (unknown.length > 0) throw new Error(`invalid orphan resource types: ${unknown.join(';')}`);
  return types;
}

function reasonOf(check: () => unknown): string | null {
  try {
    check();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function listProblem(name: string, check: () => unknown): string | null {
  const reason = reasonOf(check);
  return reason === null ? null : `the value of ${name} is invalid: ${reason}`;
}

/** What is wrong with the form of a value; null for settings without a form and for good values. */
export function formatProblem(name: string, value: string): string | null {
  switch (name) {
    case 'taint-toleration':
      return listProblem(name, () => parseTolerations(value));
    case 'system-managed-components-node-selector':
      return listProblem(name, () => parseNodeSelector(value));
    case 'orphan-resource-auto-deletion':
      return listProblem(name, () => parseOrphanTypes(value));
    case 'storage-network':
      return value === '' || /^[^/]+\/[^/]+$/.test(value)
        ? null
        : `the value of ${name} is invalid: storage network must be in <NAMESPACE>/<NETWORK-ATTACHMENT-DEFINITION> format: ${value}`;
    case 'snapshot-data-integrity-cronjob': {
      const problem = cronProblem(value);
      return problem === null ? null : `invalid cron job format: ${value}: ${problem}`;
    }
    case 'data-engine-log-flags':
      return value === '' || (value.length <= LOG_FLAGS_LENGTH_MAX && LOG_FLAGS.test(value))
        ? null
        : `failed to validate data engine log flags ${value}: log flags ${value} is invalid`;
    case 'default-volume-size': {
      const bytes = parseQuantity(value);
      return bytes !== null && bytes > 0n ? null : `value ${value} should be a size above 0, such as 10Gi`;
    }
    case 'volume-qos':
      return value === '' ? null : `value ${value} should be empty, the limits are in spec of the Setting`;
    case 'snapshot-max-count':
      return /^\+?[0-9]+$/.test(value) && Number(value) >= 2 && Number(value) <= 250
        ? null
        : 'snapshot-max-count should be between 2 and 250';
    default:
      return null;
  }
}
