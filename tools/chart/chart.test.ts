import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { CRD_KINDS, validateSetting } from '../../packages/shared-types/src/index.ts';
import { MANIFEST, manifest, renderChart } from './manifest.ts';
import { chartFiles } from './render-values.ts';
import { settingsWithValue, valueName } from './setting-values.ts';
import { isGroup, type Group, type Value } from './value.ts';
import { VALUES } from './values.ts';

const root = resolve(import.meta.dirname, '../..');
const chart = join(root, 'charts/longhorn');
const hasHelm = spawnSync('helm', ['version'], { stdio: 'ignore' }).status === 0;
if (!hasHelm) console.log('helm is not on the PATH: tests that render the chart are left out');

interface Rendered {
  apiVersion: string;
  kind: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; annotations?: Record<string, string> };
  rules?: { apiGroups: string[]; resources: string[]; verbs: string[] }[];
  data?: Record<string, string>;
}

function objects(...values: string[]): Rendered[] {
  return parseAllDocuments(renderChart(values))
    .map((document): unknown => document.toJS())
    .filter((object): object is Rendered => typeof object === 'object' && object !== null && 'kind' in object);
}

const titles = (rendered: readonly Rendered[]): string[] => rendered.map((o) => `${o.kind} ${o.metadata.name}`);

describe('the made files of the chart', () => {
  it.each([...chartFiles()])('%s is current', (name, content) => {
    expect(readFileSync(join(chart, name), 'utf8')).toBe(content);
  });

  it('say something about every value', () => {
    const undocumented = (entries: Record<string, Value | Group>, path: string): string[] =>
      Object.entries(entries).flatMap(([key, entry]) => [
        ...(/\w{3,}.*\.$/s.test(entry.doc) ? [] : [`${path}${key}`]),
        ...(isGroup(entry) ? undocumented(entry.children, `${path}${key}.`) : []),
      ]);
    expect(undocumented(VALUES, '')).toEqual([]);
  });

  it('name settings as upstream does', () => {
    const names = new Map(settingsWithValue().map(([name]) => [valueName(name), name]));
    expect(names.get('upgradeResponderURL')).toBe('upgrade-responder-url');
    expect(names.get('autoCleanupSnapshotWhenDeleteBackup')).toBe('auto-cleanup-when-delete-backup');
    expect(names.get('longGRPCTimeOut')).toBe('long-grpc-timeout');
    expect(names.get('v1DataEngine')).toBe('v1-data-engine');
    expect(names.size).toBeGreaterThanOrEqual(82);
  });
});

/** Kinds of the owners of what the code makes, as far as the owner's deletion waits for it. */
function blockedOwners(): string[] {
  const sources = globSync('packages/*/src/**/*.ts', { cwd: root }).filter(
    (path) => !/\.test\.ts$|\/generated\/|^packages\/(local-cluster|e2e)\//.test(path),
  );
  const kinds = sources.flatMap((path) => {
    const text = readFileSync(join(root, path), 'utf8');
    return [...text.matchAll(/blockOwnerDeletion: true/g)].map(({ index }) => {
      const named = [...text.slice(Math.max(0, index - 250), index).matchAll(/kind: '(\w+)'|setOwner\(\w+, '(\w+)'/g)];
      const [, kind, owner] = named.at(-1) ?? [];
      return kind ?? owner ?? `unknown, in ${path}`;
    });
  });
  return [...new Set(kinds)].toSorted();
}

describe('the rights on OpenShift', () => {
  // Kubernetes asks for them only where OwnerReferencesPermissionEnforcement is on.
  it('let the manager name every owner whose deletion waits for what it makes', () => {
    const rules = readFileSync(join(chart, 'templates/rbac.yaml'), 'utf8');
    const granted = [...rules.matchAll(/\b(\w+)\/finalizers\b/g)].map(([, plural = '']) => plural);
    const wanted = blockedOwners().map(
      (name) => Object.values(CRD_KINDS).find(({ kind }) => kind === name)?.plural ?? name,
    );
    expect(wanted).toContain('instancemanagers');
    expect(granted.toSorted()).toEqual(wanted.toSorted());
  });
});

describe.skipIf(!hasHelm)('the rendered chart', () => {
  it('passes the strict lint', () => {
    expect(execFileSync('helm', ['lint', '--strict', chart], { encoding: 'utf8' })).toContain('0 chart(s) failed');
  });

  it('has the objects that upstream has, by name', () => {
    const found = titles(objects());
    for (const title of [
      'ServiceAccount longhorn-service-account',
      'ServiceAccount longhorn-ui-service-account',
      'ClusterRole longhorn-role',
      'ClusterRoleBinding longhorn-bind',
      'Role longhorn',
      'RoleBinding longhorn',
      'PriorityClass longhorn-critical',
      'ConfigMap longhorn-default-setting',
      'ConfigMap longhorn-default-resource',
      'ConfigMap longhorn-storageclass',
      'DaemonSet longhorn-manager',
      'Deployment longhorn-driver-deployer',
      'Deployment longhorn-ui',
      'Service longhorn-backend',
      'Service longhorn-frontend',
      'Service longhorn-admission-webhook',
      'Service longhorn-recovery-backend',
      'Job longhorn-pre-upgrade',
      'Job longhorn-post-upgrade',
      'Job longhorn-uninstall',
      ...Object.values(CRD_KINDS).map(({ plural }) => `CustomResourceDefinition ${plural}.longhorn.io`),
    ]) {
      expect(found).toContain(title);
    }
  });

  it('puts the labels of the release on every object', () => {
    const without = objects().filter(({ metadata }) => metadata.labels?.['app.kubernetes.io/instance'] !== 'longhorn');
    expect(titles(without)).toEqual([]);
  });

  it('writes settings that the manager takes', () => {
    const config = objects(
      '--set=defaultSettings.defaultReplicaCount.v1=2,defaultSettings.defaultReplicaCount.v2=1',
      '--set=defaultSettings.storageOverProvisioningPercentage=1000000,defaultSettings.autoSalvage=false',
    ).find(({ metadata }) => metadata.name === 'longhorn-default-setting');
    const [document] = parseAllDocuments(config?.data?.['default-setting.yaml'] ?? '');
    const settings = document?.toJS() as Record<string, string>;
    expect(settings).toEqual({
      'default-replica-count': '{"v1":"2","v2":"1"}',
      'disable-revision-counter': '{"v1":"true"}',
      'auto-salvage': 'false',
      'priority-class': 'longhorn-critical',
      'storage-over-provisioning-percentage': '1000000',
    });
    expect(Object.entries(settings).map(([name, value]) => validateSetting(name, value))).toEqual(
      Object.keys(settings).map(() => null),
    );
  });

  it.each([
    ['longhornUI.replicas=many', '/longhornUI/replicas'],
    ['image.longhorn.engnie.tag=x', '/image/longhorn'],
    ['defaultSettings.replicaAutoBalance=sometimes', '/defaultSettings/replicaAutoBalance'],
    ['defaultSettings.defaultReplicaCount=99', '/defaultSettings/defaultReplicaCount'],
    ['persistence.reclaimPolicy=Keep', '/persistence/reclaimPolicy'],
    ['csi.attacherReplicaCount=0', '/csi/attacherReplicaCount'],
  ])('refuses %s and says where', (value, path) => {
    expect(() => renderChart(['--set', value])).toThrow(path);
  });

  it.each([
    ['longhorn-pre-upgrade', 'pre-upgrade', 'pre-upgrade'],
    ['longhorn-post-upgrade', 'post-upgrade', 'post-upgrade'],
    ['longhorn-uninstall', 'pre-delete', 'uninstall'],
  ])('runs %s as the hook %s', (name, hook, command) => {
    const job = objects().find(({ kind, metadata }) => kind === 'Job' && metadata.name === name);
    expect(job?.metadata.annotations?.['helm.sh/hook']).toBe(hook);
    expect(JSON.stringify(job)).toContain(`"longhorn-manager","${command}"`);
    expect(JSON.stringify(job)).toContain('"runAsNonRoot":true');
  });

  it.each(['jobEnabled', 'upgradeVersionCheck'])('makes no check before an upgrade without %s', (value) => {
    const found = titles(objects('--set', `preUpgradeChecker.${value}=false`));
    expect(found).not.toContain('Job longhorn-pre-upgrade');
    expect(found).toContain('Job longhorn-post-upgrade');
  });

  it('is what deploy/longhorn.yaml holds', () => {
    expect(existsSync(MANIFEST)).toBe(true);
    expect(readFileSync(MANIFEST, 'utf8')).toBe(manifest());
  });

  it('grants no right that docs/rbac.md gives no reason for', () => {
    const reasons = readFileSync(join(root, 'docs/rbac.md'), 'utf8');
    const rows = new Set(
      [...reasons.matchAll(/^\| *`([^`]+)` *\| *`([^`]+)` *\|/gm)].map(([, what, verbs]) => `${what}: ${verbs}`),
    );
    const granted = [...objects(), ...objects('--set=openshift.enabled=true')]
      .filter(({ kind }) => kind === 'ClusterRole' || kind === 'Role')
      .flatMap(({ kind, rules }) =>
        (rules ?? []).map(({ apiGroups, resources, verbs }) => {
          const isOurs = apiGroups[0] === 'longhorn.io' && resources.length > 3;
          const what = isOurs ? (resources[0]?.includes('/') === true ? '*/status' : '*') : resources.join(' ');
          return `${kind === 'Role' ? 'namespace ' : ''}${apiGroups[0] || 'core'} ${what}: ${verbs.join(' ')}`;
        }),
      );
    expect(granted.filter((right) => !rows.has(right))).toEqual([]);
    expect([...rows].filter((row) => !granted.includes(row))).toEqual([]);
  });

  it('renders every optional object', () => {
    const found = titles(
      objects(
        '--set=networkPolicies.enabled=true,ingress.enabled=true,metrics.serviceMonitor.enabled=true',
        '--set=openshift.enabled=true,namespace.create=true,privateRegistry.createSecret=true',
        '--set=privateRegistry.registrySecret=pull,privateRegistry.registryUrl=r.io',
      ),
    );
    for (const title of [
      'NetworkPolicy longhorn-manager',
      'NetworkPolicy instance-manager',
      'NetworkPolicy longhorn-admission-webhook',
      'NetworkPolicy longhorn-ui-frontend',
      'Ingress longhorn-ingress',
      'ServiceMonitor longhorn-prometheus-servicemonitor',
      'ClusterRole longhorn-ocp-privileged-role',
      'Namespace longhorn-system',
      'Secret pull',
    ]) {
      expect(found).toContain(title);
    }
  });
});
