// What the fixture server knows at first, and how it plans. All of it is made
// up; the shapes are those of core/model/api.
import { createHash } from 'node:crypto'

export const ENV_TYPES = ['poc', 'dev', 'uat', 'stg', 'prod']

export const now = (offset = 0) => new Date(Date.now() + offset).toISOString()
export const commitId = (text) => createHash('sha1').update(text).digest('hex')
export const digestOf = (value) => 'sha256:' + createHash('sha256').update(JSON.stringify(value)).digest('hex')

export function health(phase, message = '', reason = phase, age = 0) {
  return { phase, reason, message, observedAt: now(), since: now(-age) }
}

const field = (pointer, title, kind, more = {}) => ({
  pointer, title, kind, required: false, secret: false, perEnvironment: false, ...more,
})

export function blueprints() {
  const make = (name, title, tagline, category, more = {}) => ({
    source: 'catalog', name, version: '1.1.0', versions: ['1.1.0', '1.0.0'], title, tagline, category,
    tags: [], license: 'Apache-2.0', digest: digestOf(name), signer: digestOf(title),
    description: `${tagline}\n\n## What you get\n\n- an **Application** of its own\n- a page to open\n\nSee the [documentation](https://example.org/).`,
    configSchema: { type: 'object' }, form: [], sizes: ['small', 'medium', 'large'], depends: [], opens: true, ...more,
  })
  return [
    make('bp-guestbook', 'Guestbook', 'Visitors leave a line, PostgreSQL keeps it', 'Examples', {
      tags: ['example', 'rust'],
      icon: '/api/v1/blueprints/catalog/bp-guestbook/1.1.0/icon',
      form: [
        field('/title', 'Title', 'text', { required: true, default: 'Guestbook', description: 'What visitors read at the top.' }),
        field('/replicas', 'Replicas', 'integer', { default: 1, minimum: 1, maximum: 5, perEnvironment: true }),
        field('/moderated', 'Moderated', 'toggle', { default: false, description: 'Entries wait for approval.' }),
      ],
      depends: [{ alias: 'db', source: 'catalog', blueprint: 'bp-postgres', version: '^1.0' }],
    }),
    make('bp-postgres', 'PostgreSQL', 'The relational database', 'Databases', {
      tags: ['sql', 'storage'], opens: false,
      form: [field('/storage', 'Storage', 'choice', { options: ['1Gi', '5Gi', '20Gi'], default: '1Gi' })],
    }),
    make('bp-every-field', 'Every field', 'One field of each kind', 'Examples', {
      sizes: [],
      form: [
        field('/name', 'Text', 'text', { required: true, pattern: '^[a-z]+$' }),
        field('/password', 'Password', 'password', { secret: true, required: true }),
        field('/whole', 'Integer', 'integer', { minimum: 1, maximum: 10 }),
        field('/ratio', 'Number', 'number', { minimum: 0, maximum: 1 }),
        field('/on', 'Toggle', 'toggle', { description: 'On or off.' }),
        field('/tier', 'Choice', 'choice', { options: ['bronze', 'silver', 3], required: true }),
        field('/hosts', 'Text list', 'text-list'),
        field('/peer', 'Application reference', 'application-reference'),
        field('/domain', 'Domain', 'domain', { perEnvironment: true }),
        field('/extra/rules', 'YAML', 'yaml'),
      ],
    }),
    make('bp-wordpress', 'WordPress', 'Publish a site or a blog', 'Websites', { tags: ['php', 'cms'] }),
  ]
}

/** A little of what the gateway's search does: every word fits, by its beginning or but for one letter; titles first. */
export function search(all, words) {
  const split = (text) => text.toLowerCase().split(/[^a-z0-9]+/).filter((word) => word !== '')
  const without = (word) => new Set([word, ...[...word].map((_, index) => word.slice(0, index) + word.slice(index + 1))])
  const fits = (word, known) => known.some((one) => one.startsWith(word) || (word.length > 3 && [...without(word)].some((each) => without(one).has(each))))
  const isNamed = (one, wanted) => wanted.every((word) => fits(word, split(`${one.name} ${one.title}`)))
  const wanted = split(words)
  return all
    .filter((one) => wanted.every((word) => fits(word, split([one.name, one.title, one.tagline, one.category, ...one.tags].join(' ')))))
    .sort((left, right) => (wanted.length === 0 ? 0 : Number(isNamed(right, wanted)) - Number(isNamed(left, wanted))))
}

export function seed(kind) {
  const data = {
    organizations: new Map(), environments: new Map(), applications: new Map(), policies: new Map(), pulls: new Map(), branches: new Map(), deletions: new Map(), sovereigns: new Map(), upgrades: new Map(),
    history: new Map(), heads: new Map(), blueprints: blueprints(), sources: [], speed: 400,
    users: new Map([
      ['admin', { username: 'admin', email: 'admin@example.org', active: true, sovereignAdmin: true }],
      ['bob', { username: 'bob', email: 'bob@example.org', active: true, sovereignAdmin: false }],
      ['eve', { username: 'eve', active: true, sovereignAdmin: false }],
    ]),
    signInAs: 'admin',
  }
  if (kind === 'empty') return data
  for (const [name, displayName] of [['acme', 'Acme Corporation'], ['globex', 'Globex']]) {
    data.organizations.set(name, {
      name, displayName, contact: `it@${name}.example`, environments: [], health: health('Running', '', 'Reconciled', 3_600_000),
      members: name === 'acme'
        ? [{ user: 'admin', role: 'org-admin' }, { user: 'bob', role: 'org-developer', environments: ['acme-prod'] }]
        : [{ user: 'admin', role: 'org-admin' }],
    })
  }
  addEnvironment(data, 'acme', 'dev')
  addEnvironment(data, 'acme', 'prod')
  data.policies.set('two-eyes', { name: 'two-eyes', environments: ['acme-prod'], rules: [{ kind: 'pr-required', minApprovals: 1 }] })
  addApplication(data, 'acme-dev', 'guestbook', 'bp-guestbook', '1.0.0', { title: 'Welcome', replicas: 2 }, { db: 'guestbook-db' })
  addApplication(data, 'acme-dev', 'guestbook-db', 'bp-postgres', '1.1.0', {}, {})
  addApplication(data, 'acme-dev', 'blog', 'bp-wordpress', '1.1.0', {}, {})
  const blog = data.applications.get('acme-dev/blog')
  blog.health = health('Degraded', 'Deployment blog/blog has 0 of 1 replicas.\nLast lines of blog-7c9f/wordpress:\n  PHP Fatal error: cannot reach the database', 'PodsCrashing', 120_000)
  blog.objects[2] = { ...blog.objects[2], ready: false, message: '0 of 1 replicas are ready' }
  data.sources = sources()
  if (kind === 'long') lengthen(data)
  return data
}

/** One source that goes well, and one that nothing is spared. */
function sources() {
  const repository = (owner, name) => `http://127.0.0.1:8080/git/${owner}/${name}.git`
  return [
    {
      source: 'acme', repository: repository('acme', 'shared-blueprints'), revision: commitId('acme'), readAt: now(-3_600_000), signer: digestOf('acme'),
      blueprints: [{ name: 'bp-chat' }, { name: 'bp-wiki', version: '1.2.0', yanked: { '1.1.0': 'it loses pages' } }],
      problems: [
        { file: 'chat/chart/values.yaml', line: 3, rule: 'image-tag', message: 'the image has the tag latest', fix: 'name a version, and its digest' },
        { file: 'chat/blueprint.yaml', rule: 'owner', message: 'nobody owns it', fix: 'name a team and how to reach it' },
      ],
      refused: [{ name: 'bp-stray', version: '0.1.0', reason: 'cannot register bp-stray 0.1.0 of acme: it carries no signature', fix: 'publish it signed by a key that is trusted for acme, or take it out of the registry: oras manifest delete --plain-http 127.0.0.1:8080/acme/bp-stray:0.1.0' }],
      health: health('Failed', '2 problems keep Blueprints from being published', 'Refused', 3_600_000),
    },
    {
      source: 'catalog', repository: repository('catalog', 'blueprints'), revision: commitId('catalog'), readAt: now(-60_000), signer: digestOf('catalog'),
      blueprints: blueprints().map((one) => ({ name: one.name, version: one.version })), problems: [], refused: [],
      health: health('Running', 'the Blueprints are published: 4', 'Published', 60_000),
    },
  ]
}

/** Everything as long as a Sovereign lets it be, and words without a place to break. */
function lengthen(data) {
  const environments = ENV_TYPES.map((envType) => data.environments.get(`acme-${envType}`) ?? addEnvironment(data, 'acme', envType)).map((one) => one.name)
  const word = 'x'.repeat(40)
  const source = data.sources[0]
  source.blueprints[1] = { name: `bp-${word}`, version: `1.0.0-${word}`, yanked: { [`1.0.0-a.${word}`]: `${word}${word}` } }
  Object.assign(source.problems[0], { file: `bp-${word}/chart/templates/${word}.yaml`, message: `${word}${word}` })
  Object.assign(source.refused[0], { name: `bp-${word}`, version: `1.0.0-${word}`, reason: `sha256:${word}${word}` })
  data.users.set(word, { username: word, email: `${word}@${word}.example`, active: false, sovereignAdmin: false })
  for (const organization of data.organizations.values()) organization.members.push({ user: word, role: 'org-developer', environments })
  data.policies.set(`policy-of-${word}`, { name: `policy-of-${word}`, environments, rules: [{ kind: 'pr-required', minApprovals: 2, approvers: [word, 'admin', 'bob'] }] })
  const blog = data.applications.get('acme-dev/blog')
  blog.objects = [
    { ...blog.objects[0], name: `blog-${word}`, ready: false, message: `Helm install failed for release blog/blog with chart bp-wordpress@1.1.0+${word}${word}: failed to create resource: Deployment.apps "blog" is invalid: spec.template.spec.containers[0].image: Required value` },
    { ...blog.objects[1], apiVersion: 'networking.k8s.io/v1', kind: 'PersistentVolumeClaim', name: `data-${word}-0`, message: 'waiting for a volume' },
    blog.objects[2],
  ]
  addApplication(data, 'acme-dev', `a-${word}`.slice(0, 40), 'bp-wordpress', `1.1.0-rc.1+build.${word}`, {}, {})
  addRevision(data, 'acme-dev/blog', `Change ${word} ${word}`, word, 'change')
  for (const number of [1, 2]) {
    data.pulls.set(`acme-prod/${number}`, {
      environment: 'acme-prod', number, title: `Carry ${word} ${word}`, body: '', author: word, createdAt: now(), state: number === 1 ? 'open' : 'merged',
      approvals: ['admin', word], blockedBy: [], diff: '', head: `${word}/x`,
    })
  }
}

export function addEnvironment(data, organization, envType, phase = 'Running') {
  const name = `${organization}-${envType}`
  const environment = {
    name, organization, envType, vclusters: [`lo-loc-rtz-${envType}-${organization}`],
    repository: `http://127.0.0.1:8080/git/${organization}/${name}.git`, appliedRevision: commitId(name), applications: 0, policies: [],
    health: health(phase, phase === 'Running' ? '' : `Waiting for the vcluster lo-loc-rtz-${envType}-${organization}.`, phase === 'Running' ? 'Reconciled' : 'VclusterNotReady'),
  }
  data.environments.set(name, environment)
  const owner = data.organizations.get(organization)
  owner.environments = [...new Set([...owner.environments, name])].sort()
  return environment
}

export function addApplication(data, environment, name, blueprint, version, config, dependencies, phase = 'Running') {
  const key = `${environment}/${name}`
  const found = data.blueprints.find((one) => one.name === blueprint)
  const commit = commitId(`${key} ${version} ${Date.now()}`)
  const object = (apiVersion, kind, more = {}) => ({ apiVersion, kind, namespace: name, name, observedAt: now(), ready: true, message: '', ...more })
  const application = {
    environment, name, source: 'catalog', blueprint, version, size: found?.sizes[0], config, dependencies, dependents: [],
    // The repository's, whichever Application it changed.
    namespace: name, appliedRevision: commitId(environment), deployedVersion: phase === 'Running' ? version : undefined,
    health: health(phase, phase === 'Running' ? 'All objects are as wanted.' : `HelmRelease ${name} is being installed.`, phase === 'Running' ? 'Ready' : 'InstallInProgress', 60_000),
    url: found?.opens ? `http://${name}.${environment}.localhost:8080/` : undefined,
    objects: [
      object('helm.toolkit.fluxcd.io/v2', 'HelmRelease', { namespace: environment }),
      object('v1', 'Service', { ready: undefined }),
      object('apps/v1', 'Deployment', { message: '1 of 1 replicas are ready' }),
    ],
  }
  data.applications.set(key, application)
  for (const other of Object.values(dependencies)) {
    const served = data.applications.get(`${environment}/${other}`)
    if (served) served.dependents = [...new Set([...served.dependents, name])]
  }
  addRevision(data, key, `Install ${name} (${blueprint} ${version})`, 'admin', 'install', commit)
  return application
}

export function addRevision(data, key, subject, author, command, commit = commitId(`${key} ${subject} ${Math.random()}`), diff = undefined) {
  const revisions = data.history.get(key) ?? []
  for (const revision of revisions) revision.applied = false
  revisions.unshift({
    commit, author, authorEmail: `${author}@example.org`, at: now(), subject, command, applied: true,
    diff: diff ?? `--- a/applications/${key}/application.yaml\n+++ b/applications/${key}/application.yaml\n@@ -6,4 +6,4 @@\n   blueprint:\n     source: catalog\n-    version: 1.0.0\n+    version: 1.1.0\n   size: small\n`,
  })
  data.history.set(key, revisions)
  return commit
}

const file = (environment, name, lines) => ({
  action: 'create', path: `applications/${name}/application.yaml`,
  diff: `--- /dev/null\n+++ b/applications/${name}/application.yaml\n@@ -0,0 +1,${lines.length} @@\n${lines.map((line) => `+${line}`).join('\n')}\n`,
})

const objectsOf = (environment, name, action) =>
  [['v1', 'Namespace', undefined], ['networking.k8s.io/v1', 'NetworkPolicy', name], ['source.toolkit.fluxcd.io/v1', 'OCIRepository', environment],
    ['helm.toolkit.fluxcd.io/v2', 'HelmRelease', environment], ['v1', 'Service', name], ['apps/v1', 'Deployment', name]]
    .map(([apiVersion, kind, namespace]) => ({
      action, application: name, apiVersion, kind, namespace, name,
      diff: action === 'create' ? '' : kind === 'Deployment' || kind === 'HelmRelease' ? '  spec:\n-   replicas: 2\n+   replicas: 3\n' : '',
    })).filter((object) => action !== 'update' || object.diff !== '')

/** A Plan, or a Problem. */
export function plan(data, environment, asked) {
  const { plan: _seen, ...command } = asked
  const destination = command.command === 'promote' ? command.to : environment
  const result = { environment: destination, subject: '', applications: [], files: [], objects: [], policies: [], warnings: [] }
  const application = command.application && data.applications.get(`${environment}/${command.application}`)
  if (command.command === 'install') {
    const blueprint = data.blueprints.find((one) => one.name === command.blueprint)
    if (!blueprint) return { problem: refuse(404, 'not-found', 'Find the Blueprint', `There is no ${command.blueprint}.`) }
    // A name is refused first, and by no fault.
    const what = `Install ${command.name} into ${environment}`
    if (!/^[a-z][a-z0-9-]{0,38}[a-z0-9]$/.test(command.name)) return { problem: refuse(422, 'invalid', what, `The Application name ${command.name} is not allowed.`) }
    if (data.applications.has(`${environment}/${command.name}`)) return { problem: refuse(409, 'refused', what, `There is an Application ${command.name} in ${environment} already.`, 'Choose another name.') }
    const faults = []
    if (command.config?.title === 'forbidden') faults.push({ pointer: '/config/title', message: 'This title is taken.' })
    if (faults.length > 0) return { problem: { ...refuse(422, 'invalid', what, 'The config does not fit the Blueprint.', 'Mend the fields that are named.'), faults } }
    result.subject = `Install ${command.name} (${blueprint.name} ${command.version})`
    result.applications.push({ action: 'create', name: command.name, source: 'catalog', blueprint: blueprint.name, version: command.version, because: 'You asked for it.' })
    result.files.push(file(environment, command.name, ['apiVersion: catalyst.openova.io/v1alpha1', 'kind: Application', 'metadata:', `  name: ${command.name}`, 'spec:', `  config: ${JSON.stringify(command.config)}`]))
    result.objects.push(...objectsOf(environment, command.name, 'create'))
    for (const dependency of blueprint.depends) {
      const chosen = command.dependencies?.[dependency.alias]
      const alternatives = [...data.applications.values()].filter((one) => one.environment === environment && one.blueprint === dependency.blueprint).map((one) => one.name)
      const name = chosen ?? `${command.name}-${dependency.alias}`
      result.applications.push({ action: chosen ? 'none' : 'create', name, source: 'catalog', blueprint: dependency.blueprint, version: '1.1.0', because: `${command.name} needs it as “${dependency.alias}”.`, alternatives, alias: dependency.alias })
      if (!chosen) {
        result.files.push(file(environment, name, ['apiVersion: catalyst.openova.io/v1alpha1', 'kind: Application', 'metadata:', `  name: ${name}`]))
        result.objects.unshift(...objectsOf(environment, name, 'create'))
      }
    }
    result.warnings = environment.endsWith('-prod') ? ['The Environment has no quota.'] : []
  } else if (!application) {
    return { problem: refuse(404, 'not-found', `Find ${command.application} in ${environment}`, 'There is no such Application.') }
  } else {
    const verb = { change: 'Change', rollback: 'Roll back', promote: 'Promote', delete: 'Delete' }[command.command]
    const action = command.command === 'delete' ? 'delete' : command.command === 'promote' ? 'create' : 'update'
    const version = command.version ?? application.version
    result.subject = `${verb} ${command.application}`
    result.applications.push({ action, name: application.name, source: 'catalog', blueprint: application.blueprint, version, fromVersion: version === application.version ? undefined : application.version, because: 'You asked for it.' })
    result.files.push({ action: action === 'delete' ? 'update' : action, path: `applications/${application.name}/application.yaml`, diff: `--- a/applications/${application.name}/application.yaml\n+++ b/applications/${application.name}/application.yaml\n@@ -8,3 +8,3 @@\n   config:\n-    replicas: 2\n+    replicas: ${JSON.stringify(command.config?.replicas ?? 3)}\n     title: Welcome\n` })
    result.objects.push(...objectsOf(destination, application.name, action))
    if (command.command === 'delete' && command.data === 'drop') result.warnings.push('Volume data-guestbook-0 and its data go.')
  }
  for (const policy of data.policies.values()) {
    if (policy.environments.includes(destination)) result.policies.push(`${policy.name}: one approval by somebody else is needed in ${destination}.`)
  }
  if (command.command === 'promote' && result.policies.length === 0) result.policies.push('Promotions come as pull requests.')
  return { plan: { digest: digestOf([result, command, data.heads.get(destination) ?? 0]), ...result } }
}

export function refuse(status, type, title, detail, next) {
  return { type, title, status, detail, ...(next ? { next } : {}) }
}
