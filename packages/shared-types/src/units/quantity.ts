/** Kubernetes quantities (`10Gi`, `1.5G`, `1073741824`) as whole bytes. */

const SUFFIXES: Record<string, bigint> = {
  '': 1n,
  k: 1000n,
  M: 1000n ** 2n,
  G: 1000n ** 3n,
  T: 1000n ** 4n,
  P: 1000n ** 5n,
  E: 1000n ** 6n,
  Ki: 1024n,
  Mi: 1024n ** 2n,
  Gi: 1024n ** 3n,
  Ti: 1024n ** 4n,
  Pi: 1024n ** 5n,
  Ei: 1024n ** 6n,
};
const TEXT_LENGTH_MAX = 64;

/** Bytes of a quantity, a fraction of a byte rounded up as Kubernetes does; negative ones too; null when it is none. */
export function parseQuantity(text: string): bigint | null {
  if (text.length > TEXT_LENGTH_MAX) return null;
  const match = /^([+-]?)([0-9]+)(?:\.([0-9]+))?(k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)$/.exec(text);
  if (match === null) return null;
  const [, sign, whole = '', fraction = '', suffix = ''] = match;
  const factor = SUFFIXES[suffix];
  if (factor === undefined) return null;
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * factor;
  const bytes = (scaled + scale - 1n) / scale;
  return sign === '-' ? -bytes : bytes;
}
