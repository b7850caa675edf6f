import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { driverOptions } from './options.ts';
import { detectionPod, foundCommandLine, rootOfCommandLine } from './kubelet-root.ts';
import { podSettings } from './settings.ts';
import { SettingsView } from '../controllers/settings-view.ts';

describe('the root folder of kubelet', () => {
  it.each([
    [['/usr/bin/kubelet', '--root-dir=/data/kubelet'], '/data/kubelet'],
    [['kubelet', '--root-dir', '/data/kubelet/', '--v=2'], '/data/kubelet'],
    [['kubelet', '--root-dir=/a', '--root-dir=/b'], '/b'],
    [['kubelet', '--node-ip=1.2.3.4'], '/var/lib/kubelet'],
    [['kubelet', '--root-dir'], '/var/lib/kubelet'],
    [['kubelet', '--root-dir=relative'], '/var/lib/kubelet'],
    [['kubelet', '--x-root-dir=/a'], '/var/lib/kubelet'],
  ])('of %j is %s', (argv, root) => {
    expect(rootOfCommandLine(argv)).toBe(root);
  });

  it.each([
    ['Proc found: kubelet\n/usr/bin/kubelet\n--root-dir\n/data\n', ['/usr/bin/kubelet', '--root-dir', '/data']],
    ['Proc not found: kubelet', null],
  ])('reads the message %j', (message, argv) => {
    expect(foundCommandLine(message, 'kubelet')).toEqual(argv);
  });

  it('takes no other message for an answer', () => {
    expect(() => foundCommandLine('', 'kubelet')).toThrow('unknown output');
  });
});

describe('the detection pod', () => {
  const options = driverOptions(
    Object.fromEntries(
      [
        'csi',
        'csiAttacher',
        'csiProvisioner',
        'csiResizer',
        'csiSnapshotter',
        'csiNodeDriverRegistrar',
        'csiLivenessProbe',
        'manager',
      ]
        .map((name) => [`${name}Image`, 'i:1'])
        .concat([['managerUrl', 'http://x/v1']]),
    ),
    {},
  );
  const settings = podSettings(new SettingsView(() => null));

  it('runs a script that bash accepts', () => {
    for (const name of ['kubelet', 'k3s'] as const) {
      const pod = JSON.parse(JSON.stringify(detectionPod(name, options, settings))) as {
        spec: { containers: [{ command: string[] }] };
      };
      const script = pod.spec.containers[0].command[2] ?? '';
      execFileSync('bash', ['-n', '-c', script]);
      // Here is no such process: the answer goes where the script says, which a test cannot write.
      expect(script).toContain(`Proc not found: ${name}`);
    }
  });

  it('sees the processes of the node and ends by itself', () => {
    expect(detectionPod('kubelet', options, settings)['spec']).toMatchObject({ hostPID: true, restartPolicy: 'Never' });
  });
});
