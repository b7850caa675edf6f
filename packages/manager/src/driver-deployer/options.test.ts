import { describe, expect, it } from 'vitest';
import { driverOptions } from './options.ts';

const FLAGS = {
  managerImage: 'm:1',
  managerUrl: 'http://longhorn-backend:9500/v1',
  csiImage: 'c:1',
  csiAttacherImage: 'a:1',
  csiProvisionerImage: 'p:1',
  csiResizerImage: 'r:1',
  csiSnapshotterImage: 's:1',
  csiNodeDriverRegistrarImage: 'n:1',
  csiLivenessProbeImage: 'l:1',
};

describe('options of the driver deployer', () => {
  it('are complete with the required flags alone', () => {
    expect(driverOptions(FLAGS, { POD_NAMESPACE: 'storage', SERVICE_ACCOUNT: 'account' })).toEqual({
      namespace: 'storage',
      serviceAccount: 'account',
      managerUrl: 'http://longhorn-backend:9500/v1',
      managerImage: 'm:1',
      kubeletRootDir: '',
      images: {
        csi: 'c:1',
        nodeDriverRegistrar: 'n:1',
        livenessProbe: 'l:1',
        sidecars: { 'csi-attacher': 'a:1', 'csi-provisioner': 'p:1', 'csi-resizer': 'r:1', 'csi-snapshotter': 's:1' },
      },
      replicas: { 'csi-attacher': 3, 'csi-provisioner': 3, 'csi-resizer': 3, 'csi-snapshotter': 3 },
    });
  });

  it.each([
    [{ csiAttacherImage: '' }, '"--csi-attacher-image" cannot be empty'],
    [{ managerImage: '' }, '"--manager-image" cannot be empty'],
    [{ managerUrl: 'longhorn-backend' }, '"--manager-url" must be a URL such as http://longhorn-backend:9500/v1'],
    [{ csiResizerReplicaCount: '0' }, '"--csi-resizer-replica-count" must be a whole number from 1 to 50, not "0"'],
    [{ csiResizerReplicaCount: 'three' }, '"--csi-resizer-replica-count" must be a whole number from 1 to 50'],
    [{ kubeletRootDir: 'var/lib' }, '"--kubelet-root-dir" must be an absolute path, not "var/lib"'],
    [{ kubeletRootDir: '/var/lib/' }, '"--kubelet-root-dir" must be an absolute path'],
  ])('refuses %o', (change, message) => {
    expect(() => driverOptions({ ...FLAGS, ...change }, {})).toThrow(message);
  });
});
