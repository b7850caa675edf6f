/** What local-cluster does otherwise than a real API server, each with the reason why it may. */
import type { Accepted } from './difference.ts';

const requests = (...names: string[]): RegExp =>
  new RegExp(`^(${names.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})$`);
const EVERY = /^/;
const MESSAGES = /^body\.(message|details\.causes(\[\d+\]\.message|\.length))$/;

export const ACCEPTED: readonly Accepted[] = [
  {
    requests: EVERY,
    path: /\bmanagedFields\b/,
    reason:
      'Who manages which field is recorded from the first server-side apply of an object on: before it nobody can conflict.',
  },
  {
    requests: EVERY,
    path: /columnDefinitions\[\d+\]\.description$/,
    reason: "Columns of tables come without the API documentation's prose; kubectl does not show it.",
  },
  {
    requests: requests('version'),
    path: /^body\./,
    reason: 'It says what it is: its own build, of the API of v1.33, and not made by Go.',
  },
  {
    requests: requests(
      'an empty body',
      'a body that is no JSON',
      'a body that is a list',
      'a body that is a text',
      'an empty custom object',
      'a custom body that is no JSON',
      'a custom body without kind',
      'a body of another kind',
      'a body of another version',
      'a body of an unknown media type',
      'a custom body of an unknown media type',
      'an answer that nobody can give',
      'a continue token that is none',
      'a label selector that is none',
      'a resourceVersion that is none',
      'create with a label that is a number',
      'create with labels that are a list',
      'create a volume with a label that is a number',
      'merge patch that is no JSON',
      'merge patch of a wrong type',
      'merge patch of an unknown field, strictly',
      'patch an unknown field, strictly',
      'json patch that is an object',
      'apply without kind',
      'apply something that is no YAML',
    ),
    path: MESSAGES,
    reason:
      "Same code and reason; the text is not that of Go's decoders, which name internal structures, but says what is wrong.",
  },
  {
    requests: requests('patch of an unknown media type'),
    path: /^body\.(message|details)$/,
    reason: 'Same code and reason; the text lists the media types that are taken.',
  },
  {
    requests: requests('update with another uid', 'put a volume with another uid'),
    path: MESSAGES,
    reason: 'Same code, reason and facts; there is no etcd whose error and key could be quoted.',
  },
  {
    requests: requests(
      'create a budget with both limits',
      'change the node of an attachment',
      'change the role of a binding',
      'change a field of a pod that cannot change',
      'shrink a claim',
    ),
    path: MESSAGES,
    reason: "Same code, reason and field; a real server adds a dump or a difference of Go's internal structures.",
  },
  {
    requests: requests(
      'create a setting with a list where number or text may be',
      'create a definition without versions',
      'a watch with initial events and nothing else',
    ),
    path: MESSAGES,
    reason: 'Same code and field; consequences of the one fault are not listed as faults of their own.',
  },
  {
    requests: requests('without credentials'),
    path: /^(status|body\..*)$/,
    reason: 'There are no anonymous users: who has no token is 401 Unauthorized, not 403 Forbidden.',
  },
  {
    requests: requests('POST on a custom object'),
    path: /^(status|body\..*)$/,
    reason: 'A POST to the path of an object is a wrong method whatever its body is, as for built-in kinds.',
  },
  {
    requests: requests(
      'a watch of a version that is none',
      'create with a resourceVersion',
      'delete with a body that is no JSON',
      'apply with an unknown field, strictly',
    ),
    path: /^(status|body\.(message|reason|code))$/,
    reason: "The client's mistake is answered 400 with its text; a real server blames itself with 500.",
  },
  {
    requests: requests('list the second page'),
    path: /^body\.metadata\.continue$/,
    reason: 'With a selector the real server cannot know that no later object matches and offers an empty last page.',
  },
  {
    requests: requests('watch a future version'),
    path: /^(status|body.*)$/,
    reason:
      'A version from the future is of a cluster that was reset: 410 makes clients list again, where a real server keeps them waiting.',
  },
  {
    requests: requests('create a definition'),
    path: /^body\.status\./,
    reason: 'A definition is established when the answer comes; a real server establishes it shortly afterwards.',
  },
  {
    requests: requests('delete the definition', 'delete the namespace'),
    path: /^body\.(metadata\.(generation|finalizers.*)|status\.conditions.*)$/,
    reason: 'The contents are held by a finalizer of our own, without conditions that tell of its progress.',
  },
  {
    requests: /\b(pod|service account)\b/,
    path: /^body\.spec\.tolerations$/,
    reason: 'Pods get no default tolerations: a node without power is told by its kubelet, and taints evict nobody.',
  },
  {
    requests: /\bpod\b/,
    path: /^body\.status\.conditions\[\d+\]\.last(Probe|Transition)Time$/,
    reason: 'Built-in kinds have no schema here: fields that are not given are not filled in with null.',
  },
  {
    requests: requests('create a claim with an unknown field inside, strictly'),
    path: /^(status|body\..*)$/,
    reason: 'Built-in kinds have no schema here: unknown fields are noticed at the top of an object only.',
  },
  {
    requests: requests('create a pod with a name for a service account that is not there'),
    path: /^(status|body\..*)$/,
    reason: 'Pods are processes without service account tokens: accounts need not exist.',
  },
  {
    requests: requests('delete a pod that no node has'),
    path: /^body\.metadata\.(generation|deletionTimestamp|deletionGracePeriodSeconds)$/,
    reason: 'A pod that goes at once is answered as it was last stored.',
  },
  {
    requests: requests('create a daemon set that no node takes'),
    path: /^body\.metadata\.annotations$/,
    reason: 'The deprecated annotation of template generations is not written.',
  },
  {
    requests: requests('create a service', 'create a headless service'),
    path: /^body\.spec\.(clusterIPs?|ipFamil(ies|yPolicy))$/,
    reason: 'Addresses are given by a controller right after the creation, of one family.',
  },
  {
    requests: /\b(persistent volume|claim)\b/,
    path: /^body\.(metadata\.(finalizers.*|deletionTimestamp|deletionGracePeriodSeconds)|status\.(phase|lastPhaseTransitionTime))$/,
    reason: 'There are no controllers of volumes and claims: nothing protects, binds or counts them.',
  },
  {
    requests: requests('ask whether one may'),
    path: /^body\.status\.reason$/,
    reason: 'The reason is said: whoever has the token may do everything.',
  },
  {
    requests: requests('a webhook is not there', 'a webhook spoils an object'),
    path: MESSAGES,
    reason: "Same code, reason and webhook; the text is Node's and not that of Go's libraries.",
  },
];
