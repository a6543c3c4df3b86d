// Fleet upgrades, in memory: the shapes of core/model/api, an Application a moment. One
// that is Failed when its turn comes stops it; where a policy binds, it waits for its
// pull request.
import { commitId, digestOf, ENV_TYPES, now, refuse } from './fixture-data.mjs'

const THROUGH = ['Done', 'Left']
const isOver = (one) => ['Completed', 'Cancelled'].includes(one.phase)
const stageOf = (environment) => environment.slice(environment.lastIndexOf('-') + 1)
const ownerOf = (environment) => environment.slice(0, environment.lastIndexOf('-'))
const isOlder = (left, right) => left.localeCompare(right, 'en', { numeric: true }) < 0

/** One that has stopped, with a message as long as one gets if `isLong`. */
export function addUpgrade(data, isLong) {
  const message = isLong ? `the container ${'x'.repeat(63)} in the pod ${'y'.repeat(63)} ended with exit code 1` : 'its pod ended with exit code 1'
  const failed = `it does not run after 1805 seconds: it is Degraded: ${message}`
  const member = (environment, state, more) => ({ environment, application: 'guestbook-db', from: '1.0.0', state, since: now(-60_000), ...more })
  data.upgrades.set('postgres-3f9a2c1b', {
    name: 'postgres-3f9a2c1b', source: 'catalog', blueprint: 'bp-postgres', to: '1.1.0', organization: 'acme', requestedBy: 'admin',
    phase: 'Stopped', wave: 2, message: `wave 2 of 3: guestbook-db in acme-stg: ${failed}`, observedAt: now(),
    waves: [
      { stage: 'dev', applications: [member('acme-dev', 'Done', { commit: commitId('dev') })] },
      { stage: 'stg', applications: [member('acme-stg', 'Failed', { commit: commitId('stg'), message: failed })] },
      { stage: 'prod', applications: [{ ...member('acme-prod', 'Waiting'), since: undefined }] },
    ],
  })
}

export function upgrades({ data, inTime, later, apply, sees, isAdmin, tell, tellPull }) {
  const policiesOf = (environment) => [...data().policies.values()].filter((one) => one.environments.includes(environment)).map((one) => one.name)

  function planned(body) {
    const stages = body.waves ?? ENV_TYPES
    const found = [...data().applications.values()].filter((one) =>
      one.blueprint === body.blueprint && isOlder(one.version, body.to) && (!body.organization || ownerOf(one.environment) === body.organization) && stages.includes(stageOf(one.environment)))
    const member = ({ environment, name, version }) => ({ environment, application: name, from: version })
    const isPaused = (one) => one.health.phase === 'Paused'
    const waves = stages.flatMap((stage) => {
      const all = found.filter((one) => !isPaused(one) && stageOf(one.environment) === stage)
      const size = body.batch ?? (all.length || 1)
      return Array.from({ length: Math.ceil(all.length / size) }, (_, index) => ({
        stage,
        applications: all.slice(index * size, (index + 1) * size).map((one) => ({
          ...member(one), policies: policiesOf(one.environment), moved: [{ from: '/title', to: '/page/title' }], creates: 0, updates: 2, deletes: 0,
          warnings: stage === 'prod' ? ['The Environment has no quota.'] : [],
        })),
      }))
    })
    const blocked = found.filter(isPaused).map((one) => ({ ...member(one), reason: 'It is paused, so that nobody would see it run.', next: 'Resume it first, or upgrade it by itself.' }))
    const { source = 'catalog', blueprint, to, organization } = body
    return { digest: digestOf([body.blueprint, to, waves, blocked]), source, blueprint, to, organization, waves, blocked }
  }

  const titleOf = (body) => `Upgrade every ${body.blueprint} to ${body.to}`
  const asked = (run) => ({ username, body }) =>
    body.organization ? (isAdmin(username, body.organization) ? run(username, body) : refusedOf(titleOf(body), body.organization))
      : (sees(username) ? run(username, body) : refusedOf(titleOf(body)))
  const refusedOf = (title, organization) => [403, refuse(403, 'forbidden', title, organization ? `This takes an org-admin of ${organization}.` : 'This takes a sovereign-admin.')]

  function start(username, body) {
    const plan = planned(body)
    const title = titleOf(body)
    if (body.plan && body.plan !== plan.digest) return [409, refuse(409, 'plan-changed', title, 'The plan would differ from the one you saw.', 'Look at the new plan, then carry it out.')]
    const rival = [...data().upgrades.values()].find((one) => one.blueprint === body.blueprint && !isOver(one))
    if (rival) return [409, refuse(409, 'refused', title, `There is a fleet upgrade of ${body.blueprint} to ${rival.to} that is not over: ${rival.name}.`, `Wait for it, or cancel ${rival.name}.`)]
    const name = `${body.blueprint.slice(3)}-${commitId(`${plan.digest} ${data().upgrades.size}`).slice(0, 8)}`
    const waves = plan.waves.map(({ stage, applications }) => ({ stage, applications: applications.map(({ environment, application, from }) => ({ environment, application, from, state: 'Waiting' })) }))
    const { source, blueprint, to, organization } = plan
    // Accepted is committed, not there yet.
    later(200, () => {
      put({ name, source, blueprint, to, organization, requestedBy: username, phase: 'Progressing', message: '', waves, observedAt: now() })
      goOn(name)
    })
    return [202, { name, repository: 'system/catalyst-config', commit: commitId(name), plan: plan.digest }]
  }

  function put(upgrade) {
    data().upgrades.set(upgrade.name, upgrade)
    tell(upgrade)
  }

  /** A look at it, and the next after a moment as long as something is under way. */
  function goOn(name) {
    const upgrade = structuredClone(data().upgrades.get(name))
    if (!upgrade || upgrade.phase !== 'Progressing') return
    const index = upgrade.waves.findIndex((wave) => wave.applications.some((one) => !THROUGH.includes(one.state)))
    if (index < 0) return put({ ...upgrade, phase: 'Completed', wave: undefined, message: 'every Application runs at the version, or was left alone' })
    const wave = upgrade.waves[index]
    for (const one of wave.applications) look(upgrade, one)
    const failed = wave.applications.filter((one) => one.state === 'Failed')
    const place = `wave ${index + 1} of ${upgrade.waves.length}`
    put({
      ...upgrade, wave: index + 1, ...(failed.length > 0
        ? { phase: 'Stopped', message: `${place}: ${failed.map((one) => `${one.application} in ${one.environment}: ${one.message}`).join('; ')}` }
        : { message: `${place} goes on` }),
    })
    inTime(() => goOn(name))
  }

  function look(upgrade, one) {
    const key = `${one.environment}/${one.application}`
    const application = data().applications.get(key)
    const become = (state, more = {}) => Object.assign(one, { state, since: now(), message: undefined, ...more })
    if (!application) become('Left', { message: 'there is no such Application any more' })
    else if (application.health.phase === 'Failed') become('Failed', { message: `it is Failed: ${application.health.message}` })
    else if (one.state === 'RollingOut') become('Done')
    else if (application.version === upgrade.to) become('RollingOut', { message: 'Flux is rolling it out' })
    else if (one.state === 'Waiting') {
      const command = { command: 'change', application: one.application, version: upgrade.to }
      if (policiesOf(one.environment).length === 0) return become('RollingOut', { commit: apply(upgrade.requestedBy, one.environment, command) })
      const number = [...data().pulls.values()].filter((pull) => pull.environment === one.environment).length + 1
      data().pulls.set(`${one.environment}/${number}`, {
        environment: one.environment, number, title: `Change ${one.application}: version ${upgrade.to}`, author: upgrade.requestedBy, head: `catalyst/change-${number}`,
        createdAt: now(), state: 'open', approvals: [], blockedBy: ['Policy two-eyes asks for 1 approval.'], body: '', diff: '', command, source: one.environment,
      })
      tellPull(`${one.environment}/${number}`)
      become('Proposed', { pullRequest: number, message: `it waits for pull request ${number}` })
    }
    return undefined
  }

  const steered = (run) => ({ username, parameters: { upgrade: name } }) => {
    const upgrade = data().upgrades.get(name)
    if (!upgrade || !sees(username, upgrade.organization)) return [404, refuse(404, 'not-found', `Find the fleet upgrade ${name}`, 'There is none.', 'Look at the list of fleet upgrades.')]
    if (upgrade.organization && !isAdmin(username, upgrade.organization)) return refusedOf(`Steer ${name}`, upgrade.organization)
    return run(username, upgrade) ?? [202, { repository: 'system/catalyst-config', commit: commitId(name) }]
  }

  const routes = [
    ['GET', '/upgrades', ({ username }) => [200, { items: [...data().upgrades.values()].filter((one) => sees(username, one.organization)) }]],
    ['GET', '/upgrades/:upgrade', ({ username, parameters: { upgrade: name } }) => {
      const upgrade = data().upgrades.get(name)
      return upgrade && sees(username, upgrade.organization) ? [200, upgrade] : [404, refuse(404, 'not-found', `Find the fleet upgrade ${name}`, 'There is none.')]
    }],
    ['POST', '/upgrade-plans', asked((_, body) => [200, planned(body)])],
    ['POST', '/upgrades', asked(start)],
    ['POST', '/upgrades/:upgrade/cancel', steered((_, upgrade) => {
      const left = upgrade.waves.flatMap((wave) => wave.applications).filter((one) => one.state === 'Waiting').length
      inTime(() => put({ ...data().upgrades.get(upgrade.name), phase: 'Cancelled', wave: undefined, message: `somebody cancelled it; ${left} were not begun` }))
    })],
    ['POST', '/upgrades/:upgrade/resume', steered((username, upgrade) => {
      if (upgrade.phase !== 'Stopped') return [409, refuse(409, 'refused', `Resume ${upgrade.name}`, 'It has not stopped.')]
      inTime(() => {
        const again = structuredClone(data().upgrades.get(upgrade.name))
        for (const one of again.waves.flatMap((wave) => wave.applications)) if (one.state === 'Failed') Object.assign(one, { state: 'Waiting', message: undefined })
        put({ ...again, phase: 'Progressing', requestedBy: username })
        goOn(upgrade.name)
      })
      return undefined
    })],
  ]
  return { routes }
}
