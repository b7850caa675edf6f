/**
 * Parameters and bodies that say how a request is meant: field validation, dry run, manager, deletion. What means
 * nothing is refused, by the name of the options that the verb has.
 */
import { objectAt, stringAt, type Json } from './json.ts';
import type { DeleteOptions } from './operations.ts';
import type { FieldValidation, WriteOptions } from './preparation.ts';
import { badRequest, causes, invalidOptions, type Cause } from './status-error.ts';

export type OptionsKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions' | 'DeleteOptions';

const MANAGER_BYTES_MAX = 128;
const VALIDATIONS = ['', 'Ignore', 'Strict', 'Warn'];
const POLICIES = ['Foreground', 'Background', 'Orphan'];

function dryRunFaults(values: readonly Json[]): Cause[] {
  return values.some((value) => value !== 'All') ? [causes.notSupported('dryRun', values, ['All'])] : [];
}

/** How a write is meant. */
export function writeOptions(
  kind: OptionsKind,
  parameters: URLSearchParams,
  agent: string | undefined,
  warn: (text: string) => void,
): WriteOptions {
  const validation = parameters.get('fieldValidation') ?? '';
  const dryRun = parameters.getAll('dryRun').filter((value) => value !== '');
  const manager = parameters.get('fieldManager') ?? '';
  const found = dryRunFaults(dryRun);
  if (!VALIDATIONS.includes(validation)) found.push(causes.notSupported('fieldValidation', validation, VALIDATIONS));
  if (Buffer.byteLength(manager) > MANAGER_BYTES_MAX) found.push(causes.tooLong('fieldManager', MANAGER_BYTES_MAX));
  if (found.length > 0) throw invalidOptions(kind, found);
  return {
    dryRun: dryRun.length > 0,
    fieldManager: manager === '' ? ((agent ?? 'unknown').split('/')[0] ?? 'unknown') : manager,
    fieldValidation: (validation === '' ? 'Warn' : validation) as FieldValidation,
    warn,
    managed: null,
  };
}

/** How a deletion is meant; what the body says goes before the parameters. */
export function deleteOptions(
  given: Json | undefined,
  parameters: URLSearchParams,
  warn: (text: string) => void,
): DeleteOptions {
  const body = objectAt(given);
  const parameter = (name: string): Json | undefined => body[name] ?? parameters.get(name) ?? undefined;
  const grace = parameter('gracePeriodSeconds');
  const seconds = grace === undefined ? null : Number(grace);
  if (seconds !== null && (!Number.isSafeInteger(seconds) || seconds < 0))
    throw badRequest(`gracePeriodSeconds: ${JSON.stringify(grace)} is not a whole number of seconds`);
  const dryRun = Array.isArray(body['dryRun']) ? body['dryRun'] : parameters.getAll('dryRun').filter((v) => v !== '');
  const orphan = parameter('orphanDependents');
  const policy = parameter('propagationPolicy');
  const found = dryRunFaults(dryRun);
  if (policy !== undefined && orphan !== undefined)
    found.push(
      causes.invalid('propagationPolicy', policy, 'orphanDependents and deletionPropagation cannot be both set'),
    );
  else if (policy !== undefined && !POLICIES.includes(stringAt(policy)))
    found.push(causes.notSupported('propagationPolicy', policy, [...POLICIES, 'nil']));
  if (found.length > 0) throw invalidOptions('DeleteOptions', found);
  const wanted = policy ?? (orphan === true || orphan === 'true' ? 'Orphan' : 'Background');
  const preconditions = objectAt(body['preconditions']);
  return {
    gracePeriodSeconds: seconds,
    propagation: wanted as DeleteOptions['propagation'],
    uid: stringAt(preconditions['uid']) || null,
    resourceVersion: stringAt(preconditions['resourceVersion']) || null,
    dryRun: dryRun.length > 0,
    warn,
  };
}
