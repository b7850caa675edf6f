/** Whether a mounted file system still works. One that has failed stays so until its last mount is gone. */
import type { Mount } from './mount-table.ts';
import type { NodeHost } from './node-host.ts';

/** Why the file system must be mounted anew; null while it works. */
export async function mountProblem(host: NodeHost, mount: Mount): Promise<string | null> {
  const { options, superOptions, path } = mount;
  if (superOptions.includes('shutdown')) return 'it was shut down after an I/O error';
  // A mount that was asked for as read-only says so itself, too.
  const turnedReadOnly = superOptions.includes('ro') && !options.includes('ro');
  if (turnedReadOnly || superOptions.includes('emergency_ro'))
    return 'it takes no writes any more, as after an I/O error';
  return (await host.answers(path)) ? null : 'it answers with I/O errors';
}
