/** Names of our images: `longhornio/longhorn-PACKAGE:v1.10.1`, or as the build variable LONGHORN_IMAGE says. */

/** Packages that have an image. */
export const IMAGE_PACKAGES = ['engine', 'instance-manager', 'manager', 'csi', 'ui'] as const;
export type ImagePackage = (typeof IMAGE_PACKAGES)[number];

const DEFAULT_PATTERN = 'longhornio/longhorn-{package}:v1.10.1';
const REFERENCE = /^[a-z0-9][a-zA-Z0-9._:/-]*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export function isImagePackage(name: string): name is ImagePackage {
  return IMAGE_PACKAGES.some((known) => known === name);
}

/**
 * The tags of a package's image. `pattern`: LONGHORN_IMAGE, with `{package}` where the name goes; '' is the default, which
 * is tagged as the release that we are compatible with, and as our build of it.
 */
export function imageNames(name: ImagePackage, pattern: string, version: string): string[] {
  const fill = (text: string): string => text.replaceAll('{package}', name);
  if (pattern === '') return [fill(DEFAULT_PATTERN), fill(DEFAULT_PATTERN.replace(/:.*$/, `:v${version}`))];
  if (!pattern.includes('{package}') || !REFERENCE.test(fill(pattern))) {
    throw new Error(
      `LONGHORN_IMAGE is ${JSON.stringify(pattern)}; write it as registry.example/longhornio/longhorn-{package}:TAG`,
    );
  }
  return [fill(pattern)];
}
