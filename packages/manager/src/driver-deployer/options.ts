/** What `deploy-driver` is told by flags and environment, checked once. */

/** The sidecars that run apart from the plugin, in the order of their creation. */
export const SIDECARS = ['csi-attacher', 'csi-provisioner', 'csi-resizer', 'csi-snapshotter'] as const;
export type Sidecar = (typeof SIDECARS)[number];

const REPLICAS_DEFAULT = 3;
const REPLICAS_MAX = 50;

export interface DriverImages {
  csi: string;
  nodeDriverRegistrar: string;
  livenessProbe: string;
  sidecars: Record<Sidecar, string>;
}

export interface DriverOptions {
  namespace: string;
  serviceAccount: string;
  /** base of the manager's API, with /v1 */
  managerUrl: string;
  managerImage: string;
  /** '' = find it */
  kubeletRootDir: string;
  images: DriverImages;
  replicas: Record<Sidecar, number>;
}

/** The flags as commander gives them: text, or missing. */
export type DriverFlags = Readonly<Record<string, string | undefined>>;

/** Flag in commander's spelling -> its name, for messages. */
function flagName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function required(flags: DriverFlags, key: string): string {
  const value = flags[key] ?? '';
  if (value === '') throw new Error(`"${flagName(key)}" cannot be empty`);
  return value;
}

function replicaCount(flags: DriverFlags, key: string): number {
  const text = flags[key] ?? '';
  if (text === '') return REPLICAS_DEFAULT;
  if (!/^\d{1,3}$/.test(text) || Number(text) < 1 || Number(text) > REPLICAS_MAX) {
    throw new Error(`"${flagName(key)}" must be a whole number from 1 to ${REPLICAS_MAX}, not ${JSON.stringify(text)}`);
  }
  return Number(text);
}

/** Throws with the flag that is missing or wrong. */
export function driverOptions(
  flags: DriverFlags,
  environment: Readonly<Record<string, string | undefined>>,
): DriverOptions {
  const kubeletRootDir = flags['kubeletRootDir'] ?? '';
  if (kubeletRootDir !== '' && !/^(\/[^/\0]+)+$/.test(kubeletRootDir)) {
    throw new Error(`"--kubelet-root-dir" must be an absolute path, not ${JSON.stringify(kubeletRootDir)}`);
  }
  const managerUrl = required(flags, 'managerUrl');
  if (!/^https?:$/.test(URL.parse(managerUrl)?.protocol ?? '')) {
    throw new Error(`"--manager-url" must be a URL such as http://longhorn-backend:9500/v1, not ${managerUrl}`);
  }
  return {
    namespace: environment['POD_NAMESPACE'] || 'longhorn-system',
    serviceAccount: environment['SERVICE_ACCOUNT'] || 'longhorn-service-account',
    managerUrl,
    managerImage: required(flags, 'managerImage'),
    kubeletRootDir,
    images: {
      csi: required(flags, 'csiImage'),
      nodeDriverRegistrar: required(flags, 'csiNodeDriverRegistrarImage'),
      livenessProbe: required(flags, 'csiLivenessProbeImage'),
      sidecars: {
        'csi-attacher': required(flags, 'csiAttacherImage'),
        'csi-provisioner': required(flags, 'csiProvisionerImage'),
        'csi-resizer': required(flags, 'csiResizerImage'),
        'csi-snapshotter': required(flags, 'csiSnapshotterImage'),
      },
    },
    replicas: {
      'csi-attacher': replicaCount(flags, 'csiAttacherReplicaCount'),
      'csi-provisioner': replicaCount(flags, 'csiProvisionerReplicaCount'),
      'csi-resizer': replicaCount(flags, 'csiResizerReplicaCount'),
      'csi-snapshotter': replicaCount(flags, 'csiSnapshotterReplicaCount'),
    },
  };
}
