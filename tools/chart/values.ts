/** All values of the chart, by upstream's names; ours are marked. */
import { settingValues } from './setting-values.ts';
import {
  asked,
  choice,
  count,
  flag,
  group,
  labels,
  list,
  map,
  openGroup,
  text,
  type Group,
  type Value,
} from './value.ts';

const PULL_SECRET = { anyOf: [{ type: 'string' }, { type: 'object', required: ['name'] }] };
const TOLERATION = {
  type: 'object',
  properties: {
    key: { type: 'string' },
    operator: { enum: ['Exists', 'Equal', ''] },
    value: { type: 'string' },
    effect: { enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute', ''] },
    tolerationSeconds: { type: 'integer' },
  },
  additionalProperties: false,
};
const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'Rancher-Proxy'];
const tolerations = (of: string): Value => list(`Tolerations of ${of}.`, TOLERATION);
const nodeSelector = (of: string): Value => labels(`Node selector of ${of}.`);
const PORT = { type: ['integer', 'string', 'null'], pattern: '^[0-9]*$', minimum: 0, maximum: 65535 };

function image(of: string, repository: string, tag: string, registry = ''): Group {
  return group(`Image of ${of}.`, {
    registry: text(registry, 'Registry, where no global or private one is set.'),
    repository: asked(text(repository, 'Repository.', { minLength: 1 }), 'Images'),
    tag: asked(text(tag, 'Tag.', { minLength: 1 }), 'Images'),
  });
}

const sidecar = (of: string, name: string, tag: string): Group =>
  image(of, `sig-storage/${name}`, tag, 'registry.k8s.io');

const images = group('Images.', {
  longhorn: group('Our own.', {
    engine: image('the engine, which is copied to every node', 'longhornio/longhorn-engine', 'v1.10.1'),
    manager: image('manager, driver deployer and jobs', 'longhornio/longhorn-manager', 'v1.10.1'),
    ui: image('the web UI', 'longhornio/longhorn-ui', 'v1.10.1'),
    instanceManager: image(
      'the instance managers, which run engines and replicas',
      'longhornio/longhorn-instance-manager',
      'v1.10.1',
    ),
    csi: image('the CSI plugin (not a value of Longhorn)', 'longhornio/longhorn-csi', 'v1.10.1'),
    shareManager: image('share managers; nothing runs it yet', 'longhornio/longhorn-share-manager', 'v1.10.1'),
    backingImageManager: image(
      'backing image managers; nothing runs it yet',
      'longhornio/backing-image-manager',
      'v1.10.1',
    ),
    supportBundleKit: image('support bundles; nothing runs it yet', 'longhornio/support-bundle-kit', 'v0.0.71'),
  }),
  csi: group('Sidecars of the CSI plugin.', {
    attacher: sidecar('the attacher', 'csi-attacher', 'v4.12.0'),
    provisioner: sidecar('the provisioner', 'csi-provisioner', 'v6.3.0'),
    nodeDriverRegistrar: sidecar('the registrar at kubelet', 'csi-node-driver-registrar', 'v2.15.0'),
    resizer: sidecar('the resizer', 'csi-resizer', 'v2.2.0'),
    snapshotter: sidecar('the snapshotter', 'csi-snapshotter', 'v8.6.0'),
    livenessProbe: sidecar('the liveness probe', 'livenessprobe', 'v2.17.0'),
  }),
  openshift: group('For OpenShift.', {
    oauthProxy: group('Accepted for compatibility: the UI has no login of its own yet.', {
      registry: text('', 'Registry.'),
      repository: text('', 'Repository.'),
      tag: text('', 'Tag.'),
    }),
  }),
  pullPolicy: choice('IfNotPresent', 'When images are pulled.', ['IfNotPresent', 'Always', 'Never']),
});

const globals = openGroup('For all components of this chart; a component with values of its own uses those.', {
  imageRegistry: text('', 'Registry of all images; goes before the others.'),
  imagePullSecrets: list('Names of secrets that images are pulled with.', PULL_SECRET),
  tolerations: tolerations('components that have none of their own'),
  nodeSelector: nodeSelector('components that have none of their own'),
  cattle: openGroup('Set by Rancher.', {
    systemDefaultRegistry: text('', 'Registry of all images, where no private registry is set.'),
    windowsCluster: group('A cluster with Windows nodes.', {
      enabled: flag(false, 'Keeps everything on Linux nodes by the three values below.'),
      tolerations: {
        ...tolerations('all components, in front of others'),
        default: [{ key: 'cattle.io/os', value: 'linux', effect: 'NoSchedule', operator: 'Equal' }],
      },
      nodeSelector: labels('Node selector of all components, besides others.', { 'kubernetes.io/os': 'linux' }),
      defaultSetting: group('The same as settings, for what the manager makes.', {
        taintToleration: text('cattle.io/os=linux:NoSchedule', 'Goes in front of defaultSettings.taintToleration.'),
        systemManagedComponentsNodeSelector: text(
          'kubernetes.io/os:linux',
          'Goes in front of defaultSettings.systemManagedComponentsNodeSelector.',
        ),
      }),
    }),
  }),
});

const services = group('Services.', {
  ui: group('Of the web UI.', {
    type: asked(choice('ClusterIP', 'How it is reached.', SERVICE_TYPES), 'Services'),
    nodePort: { doc: 'Port of every node, for NodePort and LoadBalancer.', default: null, schema: PORT },
    annotations: labels('Annotations.'),
    loadBalancerIP: text('', 'Address to ask a load balancer for.'),
    loadBalancerSourceRanges: list('Networks that may use the load balancer.', { type: 'string' }),
  }),
  manager: group('Of the REST API.', {
    type: choice('ClusterIP', 'How it is reached.', SERVICE_TYPES.slice(0, 3)),
    nodePort: { doc: 'Port of every node, for NodePort and LoadBalancer.', default: '', schema: PORT },
  }),
  ipFamilyPolicy: choice('', 'Address families of all services (not a value of Longhorn). Empty: as the cluster is.', [
    '',
    'SingleStack',
    'PreferDualStack',
    'RequireDualStack',
  ]),
  ipFamilies: list('Address families in their order (not a value of Longhorn).', { enum: ['IPv4', 'IPv6'] }),
});

const persistence = group('The StorageClass `longhorn`, which the manager makes.', {
  createStorageClass: flag(true, 'Make it; false: a class of that name is yours (not a value of Longhorn).'),
  defaultClass: asked(flag(true, 'It is the default class of the cluster.'), 'Storage class'),
  defaultFsType: asked(choice('ext4', 'File system of volumes.', ['ext4', 'xfs']), 'Storage class'),
  defaultMkfsParams: text('', 'Further options of mkfs.'),
  defaultClassReplicaCount: asked(count(3, 'Replicas of a volume.', 1, 20), 'Storage class'),
  defaultDataLocality: choice('disabled', 'Whether a replica is kept on the node of the pod.', [
    'disabled',
    'best-effort',
    'strict-local',
  ]),
  reclaimPolicy: choice('Delete', 'What happens to the volume when its claim is deleted.', ['Delete', 'Retain']),
  volumeBindingMode: choice('Immediate', 'When the volume is made.', ['Immediate', 'WaitForFirstConsumer']),
  migratable: flag(false, 'Volumes can be migrated between nodes while they are used (shared block volumes only).'),
  disableRevisionCounter: choice('true', 'No write counter in the replicas.', ['true', 'false', '']),
  nfsOptions: text('', 'Mount options of shared volumes, instead of the default ones.'),
  recurringJobSelector: group('Recurring jobs of new volumes.', {
    enable: flag(false, 'Use the list.'),
    jobList: {
      doc: 'Jobs and groups: [{"name":"daily","isGroup":true}], as a list or as JSON.',
      default: [],
      schema: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'object', required: ['name'] } }] },
    },
  }),
  backingImage: group('Backing image of new volumes.', {
    enable: flag(false, 'Use it.'),
    name: text(null, 'Name.'),
    dataSourceType: text(null, 'Where it comes from, if it has to be made: download or export-from-volume.'),
    dataSourceParameters: text(null, 'JSON with what the source needs, such as {"url": "https://..."}.'),
    expectedChecksum: text(null, 'SHA-512 of its content.'),
  }),
  defaultDiskSelector: group('Disks of replicas.', {
    enable: flag(false, 'Use the selector.'),
    selector: text('', 'Disk tags, separated by commas.'),
  }),
  defaultNodeSelector: group('Nodes of replicas.', {
    enable: flag(false, 'Use the selector.'),
    selector: text('', 'Node tags, separated by commas.'),
  }),
  unmapMarkSnapChainRemoved: choice('ignored', 'Whether trim frees what only snapshots hold.', [
    'ignored',
    'enabled',
    'disabled',
  ]),
  dataEngine: choice('v1', 'Data engine.', ['v1']),
  backupTargetName: text('default', 'Backup target of the volumes.'),
});

const ingress = group('Ingress for the web UI. The UI has no login: put one in front of it.', {
  enabled: asked(flag(false, 'Make one.'), 'Services'),
  ingressClassName: text(null, 'Class; empty: that of the cluster.'),
  host: text('sslip.io', 'Host name; the UI answers only to names that it knows.'),
  tls: flag(false, 'With TLS.'),
  secureBackends: flag(false, 'Adds the annotation ingress.kubernetes.io/secure-backends.'),
  tlsSecret: text('longhorn.local-tls', 'Secret of the certificate.'),
  path: text('/', 'Path.', { pattern: '^/' }),
  pathType: choice('ImplementationSpecific', 'How the path is compared.', [
    'ImplementationSpecific',
    'Exact',
    'Prefix',
  ]),
  annotations: labels('Annotations.'),
  secrets: {
    doc: 'Certificates to store as secrets: a list of name, key and certificate (PEM).',
    default: null,
    schema: { type: ['array', 'null'], items: { type: 'object', required: ['name', 'key', 'certificate'] } },
  },
});

const component = (of: string): Record<string, Value | Group> => ({
  priorityClass: text('longhorn-critical', `Priority class of ${of}.`),
  tolerations: tolerations(of),
  nodeSelector: nodeSelector(of),
});
const log = group('Its log.', {
  format: choice('plain', 'Accepted for compatibility: each line is a JSON object in both.', ['plain', 'json']),
});
const replicaCount = (of: string): Value => count(null, `Pods of the ${of}; empty: 3.`, 1, 50);

/** In the order of values.yaml. */
export const VALUES: Record<string, Value | Group> = {
  global: globals,
  networkPolicies: group('Network policies: who may connect to the components.', {
    enabled: flag(false, 'Make them.'),
    type: choice('k3s', 'Whose ingress controller may reach the UI.', ['k3s', 'rke2', 'rke1', '']),
  }),
  image: images,
  service: services,
  persistence,
  preUpgradeChecker: group('What is checked before an upgrade.', {
    jobEnabled: flag(
      true,
      'Make the check as a job of Helm before anything is changed; managers make it again when they start.',
    ),
    upgradeVersionCheck: flag(true, 'Refuse upgrades that leave versions out, and downgrades.'),
  }),
  csi: group('The CSI driver.', {
    kubeletRootDir: asked(text(null, 'Root folder of kubelet; empty: it is looked for.'), 'CSI'),
    attacherReplicaCount: replicaCount('attacher'),
    provisionerReplicaCount: replicaCount('provisioner'),
    resizerReplicaCount: replicaCount('resizer'),
    snapshotterReplicaCount: replicaCount('snapshotter'),
  }),
  defaultSettings: group(
    'Settings. Those named here win over changes by the UI at every start of a manager; left out (null): not touched.',
    settingValues(),
  ),
  defaultBackupStore: group('The backup target `default`.', {
    backupTarget: text(null, 'URL.'),
    backupTargetCredentialSecret: text(null, 'Secret with its credentials.'),
    pollInterval: {
      doc: 'Seconds between two looks at it.',
      default: null,
      schema: { type: ['integer', 'string', 'null'] },
    },
  }),
  privateRegistry: group('A registry of your own.', {
    createSecret: {
      doc: 'Make the secret from the values below.',
      default: null,
      schema: { type: ['boolean', 'null'] },
    },
    registryUrl: text(null, 'Registry of all images, where no global one is set.'),
    registryUser: text(null, 'User.'),
    registryPasswd: text(null, 'Password.'),
    registrySecret: text(null, 'Name of the secret that images are pulled with.'),
  }),
  longhornManager: group('Manager.', {
    log,
    ...component('the manager'),
    serviceAnnotations: labels('Annotations of the service longhorn-backend.'),
    resources: map('Requests and limits of the container (not a value of Longhorn).', {
      requests: { cpu: '50m', memory: '128Mi' },
    }),
  }),
  longhornDriver: group('Driver deployer.', { log, ...component('the driver deployer') }),
  longhornUI: group('Web UI.', {
    replicas: asked(count(2, 'Pods.', 0, 50), 'Services'),
    ...component('the UI'),
    affinity: map('Affinity of the pods.', {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 1,
            podAffinityTerm: {
              labelSelector: { matchExpressions: [{ key: 'app', operator: 'In', values: ['longhorn-ui'] }] },
              topologyKey: 'kubernetes.io/hostname',
            },
          },
        ],
      },
    }),
    listenAddress: text('0.0.0.0', 'Address that the pods listen on; "::" in IPv6 clusters (not a value of Longhorn).'),
    hosts: list('Further host names that the UI may be opened under (not a value of Longhorn).', { type: 'string' }),
    resources: map('Requests and limits of the container (not a value of Longhorn).', {
      requests: { cpu: '10m', memory: '64Mi' },
    }),
  }),
  ingress,
  namespaceOverride: text('', 'Namespace of all objects instead of that of the release.'),
  namespace: group('The namespace as an object of the chart (not a value of Longhorn).', {
    create: flag(false, 'Make it, with the Pod Security labels that it needs; not with helm --create-namespace.'),
  }),
  nameOverride: text('', 'Value of the label app.kubernetes.io/name.'),
  annotations: labels('Annotations of the pods of the manager.'),
  serviceAccount: group('Service accounts.', { annotations: labels('Annotations of all of them.') }),
  metrics: group('Metrics.', {
    serviceMonitor: group('ServiceMonitor of the Prometheus operator.', {
      enabled: asked(flag(false, 'Make one.'), 'Metrics'),
      additionalLabels: labels('Labels that the operator selects by.'),
      annotations: labels('Annotations.'),
      interval: text('', 'Time between two scrapes; empty: that of the operator.'),
      scrapeTimeout: text('', 'Limit of one scrape; empty: that of the operator.'),
      relabelings: list('Relabelings before the scrape.', { type: 'object' }),
      metricRelabelings: list('Relabelings of the metrics.', { type: 'object' }),
    }),
  }),
  openshift: group('OpenShift.', {
    enabled: flag(false, 'Lets the service accounts use the security context constraints anyuid and privileged.'),
    ui: group('Accepted for compatibility: use an Ingress or a Route of your own.', {
      route: text('longhorn-ui', 'Name of the route.'),
      port: count(443, 'Port of the service.', 1, 65535),
      proxy: count(8443, 'Port of the proxy.', 1, 65535),
    }),
  }),
  enablePSP: {
    doc: 'Accepted for compatibility: pod security policies are gone from Kubernetes.',
    default: false,
    schema: { enum: [false] },
  },
  enableGoCoverDir: {
    doc: 'Accepted for compatibility: there is nothing to measure by it.',
    default: false,
    schema: { enum: [false] },
  },
  extraObjects: list('Further objects, rendered as templates.', {
    anyOf: [{ type: 'object' }, { type: 'string' }],
  }),
};
