/**
 * The kubeconfig of the cluster. It holds the token that opens the API server, so only its owner may read it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The token of the cluster in a folder; made at the first start. */
export function clusterToken(folder: string): string {
  const path = join(folder, 'token');
  if (existsSync(path)) return readFileSync(path, 'utf8').trim();
  const token = randomBytes(24).toString('base64url');
  writeFileSync(path, `${token}\n`, { mode: 0o600 });
  return token;
}

/**
 * Writes the kubeconfig and returns its path. The token is in the server's path, because clients send no credentials
 * over plain HTTP, and as the user's token for those that do. Some clients refuse plain HTTP unless the
 * configuration says that TLS is not verified.
 */
export function writeKubeconfig(folder: string, server: string, token: string): string {
  const name = 'longhorn-local';
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name, cluster: { server: `${server}/${token}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user: { token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'longhorn-system' } }],
    'current-context': name,
  };
  const path = join(folder, 'kubeconfig');
  const temporary = `${path}.new`;
  writeFileSync(temporary, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
  return path;
}
