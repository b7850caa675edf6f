/** What a new volume that is a copy of another one must be. Pure. */
import { parseDataSource, type Volume } from '@longhorn/shared-types';
import type { AdmissionFacts } from './admission-facts.ts';
import { invalid, type Problem } from './problem.ts';

const FIELD = 'spec.dataSource';

/** Why the volume cannot be made from its source; empty when it can, or when it is no copy. */
export function cloneProblems(volume: Volume, facts: AdmissionFacts): Problem[] {
  const { spec } = volume;
  const source = parseDataSource(spec.dataSource);
  if (source === null) return [];
  if (facts.sourceVolume === null)
    return [{ field: FIELD, message: `source volume ${source.volume} is not found`, code: 500 }];
  return [
    ...modeProblems(volume, facts.sourceVolume),
    ...sizeProblems(volume, facts.sourceVolume),
    ...snapshotProblems(source.snapshot, facts),
  ];
}

function modeProblems({ spec }: Volume, source: Volume): Problem[] {
  const { name } = source.metadata;
  if (source.metadata.deletionTimestamp !== null)
    return [invalid(FIELD, `source volume ${name} is being deleted: use another one`)];
  if (source.spec.dataEngine !== spec.dataEngine)
    return [
      invalid(
        FIELD,
        `cannot clone volume with data engine ${source.spec.dataEngine} into a volume with data engine ${spec.dataEngine}`,
      ),
    ];
  if (source.spec.cloneMode === 'linked-clone')
    return [invalid(FIELD, `cannot create a new volume from a linked-clone volume ${name}`)];
  if (spec.cloneMode === 'linked-clone')
    return [
      invalid(
        'spec.cloneMode',
        `${spec.dataEngine} data engine does not support clone mode linked-clone: use full-copy`,
      ),
    ];
  if (spec.dataLocality === 'strict-local')
    return [
      invalid(
        'spec.dataLocality',
        'dataLocality strict-local with a dataSource is not supported yet: use best-effort or disabled',
      ),
    ];
  return [];
}

function sizeProblems({ spec }: Volume, source: Volume): Problem[] {
  const isNumber = /^[0-9]{1,19}$/.test(spec.size) && /^[0-9]{1,19}$/.test(source.spec.size);
  if (!isNumber || BigInt(spec.size) >= BigInt(source.spec.size)) return [];
  return [
    invalid(
      'spec.size',
      `size of target volume (${spec.size} bytes) is smaller than size of source volume (${source.spec.size} bytes)`,
    ),
  ];
}

/** A snapshot without an object counts by what the engine says, once it runs. */
function snapshotProblems(name: string | null, { sourceSnapshot }: AdmissionFacts): Problem[] {
  if (name === null || sourceSnapshot === null || sourceSnapshot.status.readyToUse) return [];
  const { error } = sourceSnapshot.status;
  return [invalid(FIELD, `snapshot ${name} is not ready to use${error === '' ? '' : `: ${error}`}`)];
}
