/** The program of the image: serves the page until it is told to stop. */
import { fileURLToPath } from 'node:url';
import { serverLimits } from './limits.ts';
import { createPageServer } from './page-server.ts';
import { readSettings } from './settings.ts';

const settings = readSettings(process.env);
const server = await createPageServer(settings, fileURLToPath(new URL('web', import.meta.url)));

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    setTimeout(() => process.exit(0), serverLimits.stopMsMax).unref();
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error('longhorn-ui: cannot stop in good order:', error);
        process.exit(1);
      },
    );
  });
}

const address = await server.listen({ host: settings.listenHost, port: settings.listenPort });
console.log(`longhorn-ui: ${address}, manager ${settings.managerUrl}`);
