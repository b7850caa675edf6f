/** What every command of the program sets up: its log, its way to the API server, its end by a signal. */
import { KubeConfig } from '@kubernetes/client-node';
import { pino, type Logger } from 'pino';

/** The kubeconfig at a path; without one that of KUBECONFIG, or of the pod. */
export function loadKubeConfig(path: string | undefined): KubeConfig {
  const config = new KubeConfig();
  if (path !== undefined && path !== '') config.loadFromFile(path);
  else config.loadFromDefault();
  return config;
}

export function makeLog(debug: boolean, base: Record<string, string>): Logger {
  return pino({ level: debug ? 'debug' : (process.env['LONGHORN_LOG_LEVEL'] ?? 'info'), base });
}

/** Aborts with the first signal that asks for the end. */
export function endSignal(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => controller.abort(new Error(`stopped by ${signal}`)));
  }
  return controller.signal;
}
