/**
 * Image names to programs: what a container of an image runs on a node of local-cluster.
 */
import { join } from 'node:path';

export interface Image {
  /** `engine`: hands its executable to the node and stays; `program`: runs a process */
  kind: 'program' | 'engine';
  /** executable by the name that commands call it */
  executables: Readonly<Record<string, string>>;
  /** executable of a container without a command whose arguments name none */
  main: string;
}

export type ImageMap = ReadonlyMap<string, Image>;

/** `registry/longhornio/longhorn-manager:v1@sha256:…` to `longhorn-manager`. */
export function repositoryName(image: string): string {
  const last = image.split('@')[0]?.split('/').at(-1) ?? '';
  return last.split(':')[0] ?? '';
}

/** An image's name as a folder, as upstream writes it. */
export const canonicalImage = (image: string): string => image.replaceAll(/[:/]/g, '-');

/** The images of this checkout, by repository name. */
export function builtImages(packages: string): ImageMap {
  const built = (name: string, executable: string): string => join(packages, name, 'dist', executable);
  const engine = built('engine', 'longhorn');
  const instanceManager = built('instance-manager', 'longhorn-instance-manager');
  const program = (main: string, executables: Record<string, string>): Image => ({
    kind: 'program',
    main,
    executables,
  });
  return new Map<string, Image>([
    ['longhorn-manager', program('longhorn-manager', { 'longhorn-manager': built('manager', 'longhorn-manager') })],
    [
      'longhorn-instance-manager',
      program('longhorn-instance-manager', {
        'longhorn-instance-manager': instanceManager,
        'instance-manager': instanceManager,
        longhorn: engine,
      }),
    ],
    ['longhorn-engine', { kind: 'engine', main: 'longhorn', executables: { longhorn: engine } }],
    ['longhorn-ui', program('longhorn-ui', { 'longhorn-ui': built('ui', 'longhorn-ui') })],
  ]);
}

/** The command line of a container; a string says why there is none. */
export function commandLine(image: Image, command: readonly string[], args: readonly string[]): string[] | string {
  const words = [...command, ...args];
  const [first = '', ...rest] = words;
  const known = image.executables[first];
  if (known !== undefined) return [known, ...rest];
  const main = image.executables[image.main];
  if (command.length > 0 || main === undefined)
    return `the image has no program ${JSON.stringify(first)}; it has ${Object.keys(image.executables).join(', ')}`;
  return [main, ...words];
}
