// A stand-in for the gateway, in memory, for the console's own tests and for
// work on the console: `npm run build && npm run fixture`. It serves dist/ with
// the content security policy that the gateway sends.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { addApplication, addEnvironment, addRevision, commitId, ENV_TYPES, health, now, plan, refuse, search, seed } from './fixture-data.mjs'
import { addSovereign, sovereigns } from './fixture-sovereigns.mjs'
import { addUpgrade, upgrades } from './fixture-upgrades.mjs'

const DIST = fileURLToPath(new URL('../dist', import.meta.url))
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// The gateway's; no-referrer makes some browsers send `Origin: null`.
const HEADERS = {
  'x-content-type-options': 'nosniff', 'x-frame-options': 'DENY', 'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin', 'cross-origin-resource-policy': 'same-origin',
}

/** Starts a server on a port (0: any); answers `{url, close}`. */
export function startFixture(port = 0) {
  const begin = (kind) => {
    const data = seed(kind)
    if (kind !== 'empty') {
      addSovereign(data, 'omantel.example')
      addUpgrade(data, kind === 'long')
    }
    return data
  }
  let data = begin('full')
  let sequence = 0
  let log = []
  let isAway = false
  let awayStatus
  const searches = { refused: false, held: false, waiting: [] }
  const quiet = { held: false, waiting: [] }
  const streams = new Map()
  const following = new Set()
  let isExpired = false
  const timers = new Set()

  const later = (milliseconds, run) => {
    const timer = setTimeout(() => (timers.delete(timer), run()), milliseconds)
    timers.add(timer)
  }
  // What controllers do takes a while, or until the test lets it go on.
  const pace = { held: false, waiting: [] }
  const inTime = (run, times = 1) => {
    const due = () => {
      if (pace.held) pace.waiting.push(run)
      else run()
    }
    later(data.speed * times, due)
  }
  const provisioned = sovereigns({ data: () => data, inTime })
  const organizationOf = (environment) => environment.slice(0, environment.lastIndexOf('-'))
  const rolesOf = (username) =>
    [...data.organizations.values()].flatMap((one) => one.members.filter((member) => member.user === username)
      .map((member) => ({ organization: one.name, role: member.role, environments: member.environments })))
  /** Whose the catalogs' sources are: none of all others. */
  const SOVEREIGN = Symbol('the Sovereign')
  const sees = (username, organization) =>
    organization === SOVEREIGN ? data.users.get(username)?.sovereignAdmin : !organization || data.users.get(username)?.sovereignAdmin || rolesOf(username).some((one) => one.organization === organization)

  function emit(kind, item, organization) {
    const entry = { id: ++sequence, data: JSON.stringify({ kind, item }), organization }
    log.push(entry)
    for (const [response, username] of streams) if (sees(username, organization)) write(response, entry)
  }
  const write = (response, entry) => response.write(`id: ${entry.id}\nevent: change\ndata: ${entry.data}\n\n`)

  const tell = {
    organization: (name) => emit('organization', data.organizations.get(name), name),
    environment: (name) => emit('environment', environmentView(data.environments.get(name)), organizationOf(name)),
    application: (key) => emit('application', data.applications.get(key), organizationOf(key.split('/')[0])),
    pull: (key) => emit('pullRequest', { ...data.pulls.get(key), diff: undefined }, organizationOf(key.split('/')[0])),
    deletion: (key) => emit('deletion', data.deletions.get(key), undefined),
    removed: (kind, name, organization) => emit('removed', { kind, name, organization }, organization),
  }

  function environmentView(environment) {
    return {
      ...environment,
      applications: [...data.applications.values()].filter((one) => one.environment === environment.name).length,
      policies: [...data.policies.values()].filter((one) => one.environments.includes(environment.name)).map((one) => one.name),
    }
  }

  function settle(key, phase, message, version) {
    inTime(() => {
      const application = data.applications.get(key)
      if (!application) return
      data.applications.set(key, { ...application, deployedVersion: version ?? application.version, health: health(phase, message, 'Ready') })
      tell.application(key)
    })
  }

  function erase(kind, name, organization, waits, leftBehind, gone) {
    const key = `${kind}/${name}`
    data.deletions.set(key, { kind, name, startedAt: now(), waitingFor: waits, leftBehind: [] })
    tell.deletion(key)
    inTime(() => {
      data.deletions.set(key, { ...data.deletions.get(key), endedAt: now(), waitingFor: undefined, leftBehind })
      gone()
      tell.deletion(key)
      tell.removed(kind.toLowerCase(), name, organization)
    }, 2)
  }

  function execute(username, environment, command) {
    const planned = plan(data, environment, command)
    if (planned.problem) return [planned.problem.status, planned.problem]
    if (command.plan && command.plan !== planned.plan.digest) {
      return [409, refuse(409, 'plan-changed', planned.plan.subject, 'The plan would differ by now.', 'Look at the new plan.')]
    }
    const destination = planned.plan.environment
    const accepted = { repository: `${organizationOf(destination)}/${destination}`, plan: planned.plan.digest }
    data.heads.set(destination, (data.heads.get(destination) ?? 0) + 1)
    if (planned.plan.policies.length > 0) {
      // What is open already is not opened again.
      const same = [...data.pulls.values()].find((one) => one.environment === destination && one.state === 'open' && one.title === planned.plan.subject)
      if (same) return [202, { ...accepted, pullRequest: same.number }]
      const number = [...data.pulls.values()].filter((one) => one.environment === destination).length + 1
      const isBound = [...data.policies.values()].some((one) => one.environments.includes(destination))
      const pull = {
        environment: destination, number, title: planned.plan.subject, author: username, head: `catalyst/${command.command}-${number}`, createdAt: now(), state: 'open', approvals: [],
        body: `Carries **${planned.plan.applications[0]?.name}** from \`${environment}\`.`,
        blockedBy: isBound ? ['Policy two-eyes asks for 1 approval by somebody else than the author; there is none.'] : [],
        diff: planned.plan.files.map((one) => one.diff).join(''), command, source: environment,
      }
      data.pulls.set(`${destination}/${number}`, pull)
      tell.pull(`${destination}/${number}`)
      return [202, { ...accepted, pullRequest: number }]
    }
    // Accepted is committed, not there yet: an install shows a little later.
    if (command.command === 'install') {
      later(200, () => apply(username, environment, command))
      return [202, { ...accepted, commit: commitId(planned.plan.digest) }]
    }
    return [202, { ...accepted, commit: apply(username, environment, command) }]
  }

  function apply(username, environment, command) {
    const key = `${environment}/${command.name ?? command.application}`
    if (command.command === 'install') {
      const blueprint = data.blueprints.find((one) => one.name === command.blueprint)
      const dependencies = {}
      for (const { alias, blueprint: wanted } of blueprint.depends) {
        dependencies[alias] = command.dependencies?.[alias] ?? `${command.name}-${alias}`
        const other = `${environment}/${dependencies[alias]}`
        if (!data.applications.has(other)) {
          addApplication(data, environment, dependencies[alias], wanted, '1.1.0', {}, {}, 'Installing')
          tell.application(other)
          settle(other, 'Running', 'All objects are as wanted.')
        }
      }
      addApplication(data, environment, command.name, command.blueprint, command.version, command.config, dependencies, 'Installing')
      settle(key, 'Running', 'All objects are as wanted.')
    } else if (command.command === 'delete') {
      const application = data.applications.get(key)
      data.applications.set(key, { ...application, health: health('Deleting', 'Waiting for pods to end.') })
      erase('Application', key, organizationOf(environment), `Deployment ${command.application}`, command.data === 'keep' ? [`PersistentVolumeClaim ${command.application}/data`] : [], () => data.applications.delete(key))
    } else {
      const application = data.applications.get(key)
      const config = { ...application.config }
      for (const [name, value] of Object.entries(command.config ?? {})) value === null ? delete config[name] : (config[name] = value)
      const phase = command.paused === true ? 'Paused' : 'Updating'
      data.applications.set(key, { ...application, config, version: command.version ?? application.version, size: command.size ?? application.size, health: health(phase, phase === 'Paused' ? 'Paused by a commit.' : 'The new version rolls out.') })
      const subject = command.command === 'rollback' ? `Roll back ${command.application}` : `Change ${command.application}`
      const commit = addRevision(data, key, subject, username, command.command)
      data.applications.get(key).appliedRevision = commit
      if (phase !== 'Paused') settle(key, 'Running', 'All objects are as wanted.')
    }
    if (data.applications.has(key)) tell.application(key)
    tell.environment(environment)
    return data.history.get(key)?.[0]?.commit ?? commitId(key)
  }

  /** Refuses a deletion while there are Applications, unless they go too. */
  function keeps(title, isGone, query) {
    const there = [...data.applications.values()].filter((one) => isGone(one.environment)).map((one) => `${one.environment}/${one.name}`)
    if (there.length === 0 || query.get('applications') === 'drop') return undefined
    return [409, refuse(409, 'refused', title, `There are Applications in it: ${there.join(', ')}.`, 'Delete the Applications first.')]
  }

  const upgraded = upgrades({
    data: () => data, inTime, later, apply,
    sees: (username, organization) => (organization ? sees(username, organization) : data.users.get(username).sovereignAdmin),
    isAdmin: (username, organization) => data.users.get(username).sovereignAdmin || rolesOf(username).some((one) => one.organization === organization && one.role === 'org-admin'),
    tell: (upgrade) => emit('upgrade', upgrade, upgrade.organization),
    tellPull: (key) => tell.pull(key),
  })

  // [method, pattern, handler({username, parameters, body, query})] → [status, json]
  const routes = [
    ['GET', '/me', ({ username }) => [200, { ...pick(data.users.get(username)), organizations: rolesOf(username) }]],
    ['GET', '/sovereign', () => [200, { name: 'localhost', domain: 'localhost', version: '0.0.0', envTypes: ENV_TYPES, hostClusters: ENV_TYPES.map((one) => `lo-loc-rtz-${one}`), trustedSigners: [], addresses: { console: base(), api: `${base()}/api/v1`, git: `${base()}/git`, registry: '127.0.0.1:8080', issuer: `${base()}/oidc`, vault: `${base()}/vault` } }]],
    ['GET', '/organizations', ({ username }) => page([...data.organizations.values()].filter((one) => sees(username, one.name)))],
    ['POST', '/organizations', ({ body, username }) => {
      if (!/^[a-z][a-z0-9-]{2,31}$/.test(body.name)) return [422, { ...refuse(422, 'invalid', `Create Organization ${body.name}`, 'The name does not fit.', 'Choose another name.'), faults: [{ pointer: '/name', message: '3 to 32 of a–z, 0–9 and hyphens, beginning with a letter.' }] }]
      later(200, () => {
      data.organizations.set(body.name, { name: body.name, displayName: body.displayName ?? body.name, contact: body.contact, environments: [], members: [{ user: username, role: 'org-admin' }], health: health('Installing', 'The forge organization is being made.') })
      tell.organization(body.name)
      inTime(() => { const one = data.organizations.get(body.name); data.organizations.set(body.name, { ...one, health: health('Running', '', 'Reconciled') }); tell.organization(body.name) })
      })
      return [202, { repository: 'system/catalyst-config', commit: commitId(body.name) }]
    }],
    ['GET', '/organizations/:organization', ({ parameters }) => one(data.organizations.get(parameters.organization), `Organization ${parameters.organization}`)],
    ['DELETE', '/organizations/:organization', ({ parameters: { organization }, query }) => {
      const kept = keeps(`Delete the Organization ${organization}`, (environment) => organizationOf(environment) === organization, query)
      if (kept) return kept
      erase('Organization', organization, organization, `vcluster ${organization}`, [], () => data.organizations.delete(organization))
      return [202, { repository: 'system/catalyst-config', commit: commitId('delete') }]
    }],
    ['PUT', '/organizations/:organization/members/:user', ({ parameters, body }) => member(parameters.organization, parameters.user, body)],
    ['DELETE', '/organizations/:organization/members/:user', ({ parameters }) => member(parameters.organization, parameters.user, undefined)],
    ['POST', '/organizations/:organization/invitations', ({ parameters, body }) => invite(body, parameters.organization)],
    ['GET', '/organizations/:organization/environments', ({ parameters }) => page([...data.environments.values()].filter((one) => one.organization === parameters.organization).map(environmentView))],
    ['POST', '/organizations/:organization/environments', ({ parameters: { organization }, body }) => {
      const environment = addEnvironment(data, organization, body.envType, 'Installing')
      tell.environment(environment.name)
      tell.organization(organization)
      inTime(() => { data.environments.set(environment.name, { ...environment, health: health('Running', '', 'Reconciled') }); tell.environment(environment.name) })
      return [202, { repository: 'system/catalyst-config', commit: commitId(environment.name) }]
    }],
    ['GET', '/users', ({ username }) => data.users.get(username).sovereignAdmin ? page([...data.users.values()].map((one) => ({ ...one, organizations: rolesOf(one.username) }))) : [403, refuse(403, 'forbidden', 'List users', 'Only a sovereign-admin may.')]],
    ['POST', '/users/invitations', ({ body }) => invite(body)],
    ['DELETE', '/users/:user', ({ parameters }) => (data.users.delete(parameters.user), [204])],
    ['GET', '/environments', ({ username }) => page([...data.environments.values()].filter((one) => sees(username, one.organization)).map(environmentView))],
    ['GET', '/environments/:environment', ({ parameters }) => one(data.environments.has(parameters.environment) && environmentView(data.environments.get(parameters.environment)), `Environment ${parameters.environment}`)],
    ['DELETE', '/environments/:environment', ({ parameters: { environment }, query }) => {
      const kept = keeps(`Delete the Environment ${environment}`, (one) => one === environment, query)
      if (kept) return kept
      erase('Environment', environment, organizationOf(environment), `namespace ${environment}`, [`Repository ${environment} (archived)`], () => { data.environments.delete(environment); const owner = data.organizations.get(organizationOf(environment)); owner.environments = owner.environments.filter((one) => one !== environment) })
      return [202, { repository: 'system/catalyst-config', commit: commitId('delete') }]
    }],
    ['GET', '/environments/:environment/applications', ({ parameters }) => page([...data.applications.values()].filter((one) => one.environment === parameters.environment).map(({ environment, name, source, blueprint, version, health, url }) => ({ environment, name, source, blueprint, version, health, url })))],
    ['GET', '/environments/:environment/applications/:application', ({ parameters }) => one(data.applications.get(`${parameters.environment}/${parameters.application}`), `Application ${parameters.application}`)],
    ['GET', '/environments/:environment/applications/:application/vulnerabilities', ({ parameters }) => [200, vulnerabilities([`Application ${parameters.application}`])]],
    ['GET', '/environments/:environment/applications/:application/history', ({ parameters }) => page((data.history.get(`${parameters.environment}/${parameters.application}`) ?? []).map((one) => ({ ...one, diff: undefined })))],
    ['GET', '/environments/:environment/applications/:application/history/:commit', ({ parameters }) => one((data.history.get(`${parameters.environment}/${parameters.application}`) ?? []).find((revision) => revision.commit === parameters.commit), `commit ${parameters.commit}`)],
    ['POST', '/environments/:environment/plans', ({ parameters, body }) => { const planned = plan(data, parameters.environment, body); return planned.problem ? [planned.problem.status, planned.problem] : [200, planned.plan] }],
    ['POST', '/environments/:environment/changes', ({ username, parameters, body }) => execute(username, parameters.environment, body)],
    ['GET', '/environments/:environment/pull-requests', ({ parameters }) => page([...data.pulls.values()].filter((one) => one.environment === parameters.environment).map((one) => ({ ...one, diff: undefined })))],
    ['GET', '/environments/:environment/branches', ({ parameters: { environment } }) => page((data.branches.get(environment) ?? []).map((one) => ({ ...one, pullRequest: openFrom(environment, one.name)?.number })))],
    ['POST', '/environments/:environment/pull-requests', ({ username, parameters: { environment }, body }) => {
      const branch = (data.branches.get(environment) ?? []).find((one) => one.name === body.branch)
      if (!branch) return [404, refuse(404, 'not-found', `Open a pull request from ${body.branch}`, 'There is no such branch.', 'Push it first.')]
      const repository = `${organizationOf(environment)}/${environment}`
      const open = openFrom(environment, branch.name)
      if (open) return [202, { repository, pullRequest: open.number }]
      const number = [...data.pulls.values()].filter((one) => one.environment === environment).length + 1
      data.pulls.set(`${environment}/${number}`, { environment, number, title: body.title ?? branch.subject, body: body.body ?? '', author: username, createdAt: now(), state: 'open', approvals: [], blockedBy: [], diff: branch.diff, head: branch.name })
      tell.pull(`${environment}/${number}`)
      return [202, { repository, pullRequest: number }]
    }],
    ['GET', '/environments/:environment/pull-requests/:number', ({ parameters }) => one(data.pulls.get(`${parameters.environment}/${parameters.number}`), `pull request ${parameters.number}`)],
    ['POST', '/environments/:environment/pull-requests/:number/approval', ({ username, parameters }) => {
      const key = `${parameters.environment}/${parameters.number}`
      const pull = data.pulls.get(key)
      if (pull.author === username) return [403, refuse(403, 'forbidden', `Approve pull request ${parameters.number}`, 'The author cannot approve it.')]
      data.pulls.set(key, { ...pull, approvals: [...new Set([...pull.approvals, username])], blockedBy: [] })
      tell.pull(key)
      return [204]
    }],
    ['POST', '/environments/:environment/pull-requests/:number/merge', ({ username, parameters }) => {
      const key = `${parameters.environment}/${parameters.number}`
      const pull = data.pulls.get(key)
      if (pull.blockedBy.length > 0) return [409, refuse(409, 'blocked', `Merge pull request ${parameters.number}`, pull.blockedBy.join(' '))]
      data.pulls.set(key, { ...pull, state: 'merged' })
      tell.pull(key)
      const from = data.applications.get(`${pull.source}/${pull.command?.application}`)
      if (pull.command?.command === 'change') apply(username, pull.environment, pull.command)
      if (pull.command?.command === 'promote') apply(username, pull.environment, { command: 'install', name: from.name, blueprint: from.blueprint, version: from.version, config: from.config })
      return [202, { repository: `${organizationOf(pull.environment)}/${pull.environment}`, commit: commitId('merge') }]
    }],
    ['POST', '/environments/:environment/pull-requests/:number/close', ({ parameters }) => {
      const key = `${parameters.environment}/${parameters.number}`
      const pull = data.pulls.get(key)
      if (pull.state !== 'open') return [409, refuse(409, 'refused', `Close pull request ${parameters.number}`, `It was ${pull.state}.`)]
      data.pulls.set(key, { ...pull, state: 'closed', blockedBy: [] })
      tell.pull(key)
      return [200, data.pulls.get(key)]
    }],
    ['GET', '/blueprints', ({ query }) => {
      if (searches.refused) return [503, refuse(503, 'busy', 'Look for Blueprints', 'The Sovereign is busy.', 'Try again.')]
      const found = search(data.blueprints, query.get('q') ?? '').filter((one) => !query.get('category') || one.category === query.get('category'))
      return page(found.map(({ source, name, version, versions, title, tagline, category, tags, license, icon }) => ({ source, name, version, versions, title, tagline, category, tags, license, icon })))
    }],
    ['GET', '/blueprints/:source/:name', ({ parameters, query }) => {
      const found = data.blueprints.find((blueprint) => blueprint.name === parameters.name)
      const version = query.get('version') ?? found?.version
      const folder = data.sources.find((it) => it.source === found?.source)?.blueprints.find((it) => it.name === found.name)
      return one(found && { ...found, version, withdrawn: folder?.yanked?.[version] }, `Blueprint ${parameters.name}`)
    }],
    ['GET', '/hooks/registry', ({ username }) => data.users.get(username).sovereignAdmin
      ? [200, { url: 'http://127.0.0.1:8080/api/v1/hooks/registry', token: 'canary-registry-token' }]
      : [403, refuse(403, 'forbidden', 'Show the registry’s token', 'It is for sovereign-admins only.')]],
    ['GET', '/blueprint-sources', ({ username }) => page(data.sources.filter(({ source }) => (data.organizations.has(source) ? sees(username, source) : data.users.get(username).sovereignAdmin)))],
    ['GET', '/blueprints/:source/:name/:version/vulnerabilities', ({ parameters }) => [200, vulnerabilities([`Blueprint ${parameters.name} ${parameters.version}`])]],
    ['GET', '/policies', () => page([...data.policies.values()])],
    ['PUT', '/policies/:name', ({ parameters, body }) => { data.policies.set(parameters.name, body); emit('policy', body); return [202, { repository: 'system/catalyst-config', commit: commitId('policy') }] }],
    ['DELETE', '/policies/:name', ({ parameters }) => { data.policies.delete(parameters.name); tell.removed('policy', parameters.name); return [202, { repository: 'system/catalyst-config', commit: commitId('policy') }] }],
    ['GET', '/deletions', () => page([...data.deletions.values()])],
    ...provisioned.routes,
    ...upgraded.routes,
  ]

  /** Two findings of one package, and an image that nobody listed. */
  const vulnerabilities = (path) => {
    const finding = { component: 'time', version: '0.1.40', purl: 'pkg:cargo/time@0.1.40', path: [...path, 'image ghcr.io/acme/shop:1.0', 'time 0.1.40'] }
    return {
      database: { state: 'current', message: 'The newest record of the vulnerability database was changed 2 hours ago.', modified: now(-7_200_000), records: 1200, ecosystems: ['crates.io'] },
      components: 12,
      counts: { critical: 0, high: 1, medium: 0, low: 0, unknown: 1 },
      findings: [
        { ...finding, id: 'RUSTSEC-2020-0071', aliases: ['CVE-2020-26235'], summary: 'Potential segfault', severity: 'high', score: 7.5, fixedIn: ['0.2.23'] },
        { ...finding, id: 'RUSTSEC-2026-0001', severity: 'unknown' },
      ],
      gaps: ['What image ghcr.io/acme/other:1.0 is made of is not listed, so that nothing in it was compared.'],
    }
  }
  const openFrom = (environment, branch) => [...data.pulls.values()].find((one) => one.environment === environment && one.head === branch && one.state === 'open')
  const pick = ({ username, email, sovereignAdmin }) => ({ username, email, sovereignAdmin })
  const page = (items) => [200, { items }]
  const one = (item, what) => (item ? [200, item] : [404, refuse(404, 'not-found', `Find ${what}`, `There is no ${what} that you may see.`, 'Check the name.')])
  const base = () => `http://127.0.0.1:${server.address().port}`

  function member(organization, user, role) {
    const owner = data.organizations.get(organization)
    const others = owner.members.filter((one) => one.user !== user)
    data.organizations.set(organization, { ...owner, members: role ? [...others, { user, ...role }].sort((left, right) => (left.user < right.user ? -1 : 1)) : others })
    tell.organization(organization)
    return [202, { repository: 'system/catalyst-config', commit: commitId(`${organization} ${user}`) }]
  }

  function invite(body, organization) {
    if (!body.username) return [422, { ...refuse(422, 'invalid', 'Invite a user', 'The user needs a name.'), faults: [{ pointer: '/username', message: 'This is needed.' }] }]
    const isNew = !data.users.has(body.username)
    if (isNew) data.users.set(body.username, { username: body.username, email: body.email, active: false, sovereignAdmin: body.sovereignAdmin === true })
    if (organization) member(organization, body.username, { role: body.role ?? 'org-viewer', environments: body.environments })
    return [200, { username: body.username, ...(isNew ? { url: `${base()}/oidc/set-password?token=one-time-${body.username}`, expiresAt: now(86_400_000) } : {}) }]
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://fixture')
    const username = /(?:^|;\s*)catalyst_session=([^;]+)/.exec(request.headers.cookie ?? '')?.[1]
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const json = (status, body) => {
      response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json', 'cache-control': 'no-store' })
      response.end(body === undefined ? '' : JSON.stringify(body))
    }
    if (url.pathname.startsWith('/fixture/')) return control(url, text ? JSON.parse(text) : {}, json)
    // As when the Sovereign is down: no answer at all.
    if (isAway && awayStatus) return json(awayStatus, { message: 'no healthy upstream' })
    if (isAway) return request.socket.destroy()
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
    if (request.method !== 'GET' && request.headers.origin !== `http://${request.headers.host}`) {
      return json(403, refuse(403, 'foreign-origin', `${request.method} ${url.pathname}`, `The Origin ${request.headers.origin} is not the console's.`))
    }
    if (url.pathname === '/auth/sign-in') {
      isExpired = false
      response.writeHead(303, { location: url.searchParams.get('return') ?? '/', 'set-cookie': `catalyst_session=${data.signInAs}; Path=/; HttpOnly; SameSite=Lax` })
      return response.end()
    }
    if (url.pathname === '/auth/sign-out') {
      response.writeHead(200, { 'content-type': 'application/json', 'set-cookie': 'catalyst_session=; Path=/; Max-Age=0' })
      return response.end(JSON.stringify({ location: '/' }))
    }
    if (url.pathname.startsWith('/api/v1/')) {
      const path = url.pathname.slice('/api/v1'.length)
      if (path.endsWith('/icon')) {
        response.writeHead(200, { 'content-type': 'image/svg+xml' })
        return response.end('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" fill="#17683a"/><path d="M12 14h24v20H12zM16 20h16M16 25h16M16 30h9" fill="none" stroke="#fff" stroke-width="2.5"/></svg>')
      }
      if (isExpired === true || (isExpired && request.method !== 'GET') || !username || !data.users.has(username)) return json(401, refuse(401, 'unauthenticated', 'Recognise the caller', 'Nobody is signed in.', 'Sign in.'))
      if (path === '/stream') return stream(request, response, username)
      if (path.endsWith('/logs')) return logs(url, response)
      // An answer that a test lets go when it wants to.
      if (searches.held && url.searchParams.has('q')) await new Promise((go) => searches.waiting.push(go))
      if (provisioned.answers(path, request, response, username)) return undefined
      for (const [method, pattern, handler] of routes) {
        const parameters = match(pattern, path)
        if (method !== request.method || !parameters) continue
        if (parameters.organization && !sees(username, parameters.organization)) break
        if (parameters.environment && !sees(username, organizationOf(parameters.environment))) break
        return json(...handler({ username, parameters, body: text ? JSON.parse(text) : {}, query: url.searchParams }))
      }
      return json(404, refuse(404, 'not-found', `${request.method} ${path}`, 'There is nothing here that you may see.', 'Check the name.'))
    }
    const asked = normalize(url.pathname)
    // A page's path may end as a domain does.
    const name = TYPES[extname(asked)] ? asked : '/index.html'
    try {
      const content = await readFile(join(DIST, name))
      response.writeHead(200, { 'content-type': TYPES[extname(name)] ?? 'application/octet-stream', 'content-security-policy': POLICY, 'cache-control': 'no-cache' })
      response.end(content)
    } catch {
      response.writeHead(404).end('not found')
    }
  })

  function stream(request, response, username) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(': welcome\n\n')
    const after = request.headers['last-event-id']
    if (after !== undefined) {
      const first = log[0]?.id ?? sequence + 1
      if (Number(after) + 1 < first || Number(after) > sequence) response.write(`id: ${sequence}\nevent: reset\ndata: \n\n`)
      else for (const entry of log) if (entry.id > Number(after) && sees(username, entry.organization)) write(response, entry)
    }
    streams.set(response, username)
    const beat = setInterval(() => response.write(': \n\n'), 5000)
    response.on('close', () => (clearInterval(beat), streams.delete(response)))
  }

  function logs(url, response) {
    const container = url.searchParams.get('container')
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
    response.flushHeaders()
    let line = 0
    const next = () => {
      line++
      for (const name of ['web', 'proxy']) {
        const words = `${now()} ${name}: request ${line} answered`
        if (!container) response.write(`guestbook-7c9f/${name} ${words}\n`)
        else if (container === name) response.write(`${words}\n`)
      }
    }
    const talk = () => {
      for (let count = 0; count < 20; count++) next()
      if (url.searchParams.get('follow') !== 'true') return response.end()
      const timer = setInterval(next, 200)
      response.on('close', () => clearInterval(timer))
    }
    following.add(response)
    response.on('close', () => following.delete(response))
    // A container that waits to be started again says nothing until it is.
    if (quiet.held) quiet.waiting.push(talk)
    else talk()
  }

  /** What tests ask of the fixture itself. */
  function control(url, body, json) {
    const what = url.pathname.slice('/fixture/'.length)
    if (what === 'reset') {
      for (const timer of timers) clearTimeout(timer)
      timers.clear()
      Object.assign(pace, { held: false, waiting: [] })
      data = begin(body.seed ?? 'full')
      Object.assign(data, body.signInAs ? { signInAs: body.signInAs } : {})
      log = []
      for (const response of streams.keys()) response.destroy()
    } else if (what === 'sign-in-as') data.signInAs = body.username
    else if (what === 'streams') return json(200, { open: streams.size })
    else if (what === 'cut-streams') {
      for (const response of streams.keys()) response.destroy()
      provisioned.cut()
    }
    else if (what === 'away') {
      isAway = body.isAway
      // As a proxy before it answers, where there is one.
      awayStatus = body.status
      if (isAway) for (const response of [...streams.keys(), ...following]) body.isDrained ? response.end() : response.destroy()
    } else if (what === 'searches') {
      Object.assign(searches, body)
      if (!searches.held) for (const go of searches.waiting.splice(0)) go()
    } else if (what === 'source') {
      // A part of it, as it is from now on; a Blueprint that changed with it is told of, too.
      const source = data.sources.find((it) => it.source === body.source)
      Object.assign(source, body.change)
      emit('blueprintSource', source, data.organizations.has(source.source) ? source.source : SOVEREIGN)
      const changed = data.blueprints.find((it) => it.name === body.tell)
      if (changed) emit('blueprint', changed)
    } else if (what === 'quiet') {
      quiet.held = body.held
      if (!quiet.held) for (const talk of quiet.waiting.splice(0)) talk()
    } else if (what === 'expire') {
      // Until somebody signs in anew, nobody is; with `writesOnly` nothing tells so that
      // the page still reads by itself, however late that is.
      isExpired = body.writesOnly ? 'to-writes' : true
      if (!body.keepsStreams) for (const response of streams.keys()) response.destroy()
    } else if (what === 'forget') log = []
    else if (what === 'pace') {
      pace.held = body.held
      if (!pace.held) for (const run of pace.waiting.splice(0)) run()
    } else if (what === 'phase') {
      const application = data.applications.get(body.application)
      data.applications.set(body.application, { ...application, ...(body.nothingDeployed && { deployedVersion: undefined }), health: health(body.phase, body.message ?? '', body.reason) })
      // `silent`: a change that the stream does not tell, as when it fell out of the log.
      if (!body.silent) tell.application(body.application)
    } else if (what === 'install') {
      addApplication(data, body.environment, body.name, body.blueprint, body.version, {}, {}, body.phase)
      tell.application(`${body.environment}/${body.name}`)
    } else if (what === 'commit') data.heads.set(body.environment, (data.heads.get(body.environment) ?? 0) + 1)
    else if (what === 'revision') {
      // A commit that somebody pushed, by whomever it was made.
      addRevision(data, body.application, body.subject, body.author, undefined)
      Object.assign(data.history.get(body.application)[0], { pushedBy: body.pushedBy })
      data.applications.get(body.application).appliedRevision = commitId(body.subject)
      tell.application(body.application)
    } else if (what === 'approve') {
      const pull = data.pulls.get(body.pull)
      data.pulls.set(body.pull, { ...pull, approvals: [body.username], blockedBy: [] })
      tell.pull(body.pull)
    } else if (what === 'member') member(body.organization, body.username, { role: body.role })
    else if (what === 'push') {
      const { environment, ...branch } = body
      data.branches.set(environment, [...(data.branches.get(environment) ?? []), { commit: commitId(branch.name), at: now(), commits: 1, ...branch }])
    } else if (what === 'remove-user') data.users.delete(body.username)
    else return json(404, {})
    json(200, {})
  }

  function match(pattern, path) {
    const wanted = pattern.split('/')
    const given = path.split('/')
    if (wanted.length !== given.length) return undefined
    const parameters = {}
    return wanted.every((part, index) => (part.startsWith(':') ? ((parameters[part.slice(1)] = decodeURIComponent(given[index])), true) : part === given[index])) ? parameters : undefined
  }

  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve({
      url: base(),
      close: () => new Promise((done) => {
        for (const timer of timers) clearTimeout(timer)
        for (const response of streams.keys()) response.destroy()
        server.closeAllConnections()
        server.close(done)
      }),
    }))
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startFixture(Number(process.env.PORT ?? 4810))
  console.log(`The fixture server listens on ${url}`)
}
