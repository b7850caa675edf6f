/** Rights that a run of the quick set does not use, and why they are granted all the same. */
export interface RightsException {
  /** matches rights as `GROUP RESOURCE VERB` */
  right: RegExp;
  reason: string;
}

export const EXCEPTIONS: readonly RightsException[] = [
  {
    right: / list$/,
    reason: 'the sidecars list by a watch where the API server can; older ones are asked for a list',
  },
  {
    right:
      /^longhorn\.io (backing\w+|backup\w*|recurringjobs|sharemanagers|supportbundles|system\w+) (create|delete|get|patch|update|watch)$/,
    reason: 'kinds whose controllers are not built yet; people make such objects by the REST API',
  },
  {
    right: /^longhorn\.io (\w+) patch$/,
    reason: 'an uninstallation takes finalizers off what its owner does not let go',
  },
  {
    right: /^longhorn\.io (\w+) (get|update|create|delete)$/,
    reason: 'objects are read again after a conflict, and changed by settings and actions that the set does not touch',
  },
  { right: /^longhorn\.io orphans\/status update$/, reason: 'the set leaves no orphan behind' },
  {
    right: /^(apps (daemonsets|deployments)|storage\.k8s\.io (csidrivers|storageclasses)) update$/,
    reason: 'an upgrade changes what is there; the set only installs',
  },
  {
    right: /^apiextensions\.k8s\.io customresourcedefinitions\/status update$/,
    reason: 'an upgrade notes that no object of an older version is stored any more; the set only installs',
  },
  {
    right: /^(core secrets update|admissionregistration\.k8s\.io \w+ patch)$/,
    reason: 'certificates are renewed months after they were made',
  },
  {
    right: /^(core pods|storage\.k8s\.io volumeattachments) delete$/,
    reason: 'pods of nodes without power, and pods whose device was lost: the long tests (--full) do that',
  },
  {
    right: /^snapshot\.storage\.k8s\.io /,
    reason: 'asked for by the documents of the snapshotter and the provisioner, which use all of them after conflicts',
  },
  {
    right: /^storage\.k8s\.io csistoragecapacities /,
    reason: 'free space is published for classes with WaitForFirstConsumer, which the set does not have',
  },
  {
    right:
      /^(core (events|nodes|configmaps|persistentvolumes|persistentvolumeclaims|persistentvolumeclaims\/status)|coordination\.k8s\.io leases|storage\.k8s\.io (csinodes|volumeattachments|volumeattributesclasses)) (get|update|patch|watch)$/,
    reason: 'asked for by the documents of the sidecars, which use them after conflicts and failures',
  },
];
