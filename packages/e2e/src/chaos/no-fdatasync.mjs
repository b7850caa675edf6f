/**
 * The canary: loaded into every process (`node --import`), it makes fdatasync answer at once and do nothing, as a build
 * would that forgot it. Chaos must notice.
 */
import { open } from 'node:fs/promises';

const handle = await open(process.execPath, 'r');
Object.getPrototypeOf(handle).datasync = () => Promise.resolve();
await handle.close();
