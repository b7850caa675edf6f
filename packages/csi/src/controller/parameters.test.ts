import { describe, expect, it } from 'vitest';
import { parseParameters, readMkfsArguments, readTags } from './parameters.ts';

describe('StorageClass parameters', () => {
  it('of none give the defaults', () => {
    expect(parseParameters({})).toEqual({
      fields: { staleReplicaTimeout: 2880, revisionCounterDisabled: true, accessMode: 'rwo' },
      unknown: [],
    });
  });

  it('all set the field that they are for', () => {
    const { fields, unknown } = parseParameters({
      numberOfReplicas: '2',
      staleReplicaTimeout: '30',
      migratable: 'false',
      encrypted: 'F',
      replicaAutoBalance: 'least-effort',
      dataLocality: 'best-effort',
      disableRevisionCounter: 'false',
      unmapMarkSnapChainRemoved: 'enabled',
      replicaSoftAntiAffinity: 'disabled',
      replicaZoneSoftAntiAffinity: 'ignored',
      replicaDiskSoftAntiAffinity: 'enabled',
      freezeFilesystemForSnapshot: 'disabled',
      fromBackup: '',
      backupTargetName: 'default',
      backupBlockSize: '16Mi',
      cloneMode: 'full-copy',
      recurringJobSelector: '[{"name":"daily","isGroup":true},{"name":"once"}]',
      diskSelector: 'ssd, fast,',
      nodeSelector: '',
      dataEngine: 'v1',
      frontend: 'blockdev',
      fsType: 'ext4',
      'csi.storage.k8s.io/pvc/name': 'claim',
      mkfsParams: '-I 256',
      nfsOptions: 'vers=4.2',
    });
    expect(unknown).toEqual([]);
    expect(fields).toEqual({
      numberOfReplicas: 2,
      staleReplicaTimeout: 30,
      accessMode: 'rwo',
      encrypted: false,
      replicaAutoBalance: 'least-effort',
      dataLocality: 'best-effort',
      revisionCounterDisabled: false,
      unmapMarkSnapChainRemoved: 'enabled',
      replicaSoftAntiAffinity: 'disabled',
      replicaZoneSoftAntiAffinity: 'ignored',
      replicaDiskSoftAntiAffinity: 'enabled',
      freezeFilesystemForSnapshot: 'disabled',
      fromBackup: '',
      backupTargetName: 'default',
      backupBlockSize: '16777216',
      cloneMode: 'full-copy',
      recurringJobSelector: [
        { name: 'daily', isGroup: true },
        { name: 'once', isGroup: false },
      ],
      diskSelector: ['ssd', 'fast'],
      nodeSelector: [],
      dataEngine: 'v1',
      frontend: 'blockdev',
    });
  });

  it('that nothing knows are told apart, as names are case sensitive', () => {
    expect(parseParameters({ numberofreplicas: '3', FSTYPE: 'xfs', typo: '' }).unknown).toEqual([
      'numberofreplicas',
      'typo',
    ]);
  });

  it('cannot make a volume migratable that one node uses', () => {
    expect(parseParameters({ migratable: 'true' }).fields).not.toHaveProperty('migratable');
    expect(parseParameters({ migratable: 'true', share: 'true' }).fields).toMatchObject({ migratable: true });
  });

  it.each([
    ['numberOfReplicas', 'three', /numberOfReplicas: "three" must be a whole number from 0 to 20/],
    ['numberOfReplicas', '-1', /numberOfReplicas: "-1" must be/],
    ['numberOfReplicas', '', /numberOfReplicas: "" must be/],
    ['numberOfReplicas', '21', /numberOfReplicas: "21" must be/],
    ['staleReplicaTimeout', '1.5', /staleReplicaTimeout: "1.5" must be/],
    ['share', 'yes', /share: "yes" must be "true" or "false"/],
    ['encrypted', '', /encrypted: "" must be/],
    [
      'replicaAutoBalance',
      'best',
      /replicaAutoBalance: "best" must be one of ignored, disabled, least-effort, best-effort/,
    ],
    ['dataLocality', 'local', /dataLocality: "local" must be one of disabled, best-effort, strict-local/],
    ['replicaSoftAntiAffinity', 'true', /replicaSoftAntiAffinity: "true" must be one of ignored, enabled, disabled/],
    ['backupBlockSize', '4Mi', /backupBlockSize: "4Mi" must be 2Mi or 16Mi/],
    ['cloneMode', 'thin', /cloneMode: "thin" must be one of full-copy, linked-clone/],
    ['recurringJobSelector', '{"name":"x"}', /invalid json format of recurringJobSelector/],
    ['recurringJobSelector', '[{"isGroup":true}]', /invalid json format of recurringJobSelector/],
    ['recurringJobSelector', 'daily', /invalid json format of recurringJobSelector/],
    ['dataEngine', 'v3', /dataEngine: "v3" must be one of v1, v2/],
    ['mkfsParams', '-F /dev/sda', /mkfsParams: .* no path .*as in "\/dev\/sda"/],
    ['mkfsParams', '-l logdev=/dev/sdb', /mkfsParams: .* no path or other device .*as in "logdev=\/dev\/sdb"/],
    ['mkfsParams', '-l size=64m,logdev=dev/sdb', /as in "size=64m,logdev=dev\/sdb"/],
    ['mkfsParams', '-rrtdev=dev/sdb', /as in "-rrtdev=dev\/sdb"/],
    ['mkfsParams', '-J device=/dev/sdb1', /as in "device=\/dev\/sdb1"/],
    ['mkfsParams', '-FJdevice=LABEL=journal', /as in "-FJdevice=LABEL=journal"/],
    ['mkfsParams', '-d name=dev/sdb', /as in "name=dev\/sdb"/],
    ['mkfsParams', '-d file,size=1g', /as in "file,size=1g"/],
    ['mkfsParams', '-c options=/etc/passwd', /as in "options=\/etc\/passwd"/],
  ])('refuse %s: %j', (name, value, message) => {
    expect(() => parseParameters({ [name]: value })).toThrow(message);
  });

  it('take lists and mkfs options apart', () => {
    expect(readTags(' a ,, b')).toEqual(['a', 'b']);
    const fine = '-d agcount=4,su=64k,sw=2 -l size=64m -L name -E lazy_itable_init=0,hugefiles_name=x -i maxpct=5';
    expect(readMkfsArguments(fine).join(' ')).toBe(fine);
    expect(readMkfsArguments('-I 256  -O ^metadata_csum')).toEqual(['-I', '256', '-O', '^metadata_csum']);
  });
});
