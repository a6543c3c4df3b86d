// Sovereigns that are provisioned, in memory: the shapes of core/model/api, jobs that end
// after a moment. `failing.example` fails in preflight until its token is changed;
// of `removed.example` nothing is left, which somebody has to say.
import { readFileSync } from 'node:fs'
import { now, refuse } from './fixture-data.mjs'

const snapshot = new URL('../../control/provisioner/tests/snapshots/config__the_schema_is_as_published.snap', import.meta.url)
const published = readFileSync(snapshot, 'utf8')
const SCHEMA = JSON.parse(published.slice(published.indexOf('\n{')))

const STEPS = [
  ['preflight', 'look for what would fail later', 10], ['stage-module', 'stage the OpenTofu module', 1], ['write-variables', 'write its variables', 1],
  ['init', 'initialise OpenTofu', 20], ['plan', 'plan', 10], ['apply', 'create the resources', 180], ['wait-ssh', 'wait for SSH', 60],
  ['wait-kubernetes', 'wait for the nodes', 600], ['hand-over', 'hand secrets over', 20], ['wait-flux', 'wait for Flux', 60], ['wait-parts', 'wait for the parts', 1200],
  ['observe', 'let Crossplane observe the resources', 120], ['adopt', 'let Crossplane adopt the resources', 120], ['checklist', 'go through the checklist', 60],
]
const PLANNED = [{ address: 'hcloud_network.sovereign', action: 'create' }, { address: 'hcloud_server.control_plane[0]', action: 'create' }]
const SHRUNK = [{ address: 'hcloud_server.control_plane[1]', action: 'delete', loses: true }]
const plannedOf = (fqdn) => (fqdn === 'shrinking.example' ? SHRUNK : PLANNED)
const NEXT = {
  failed: 'Put right what is told and resume it; another description or other credentials can be given with that.',
  planned: 'Nothing of the plan is done yet. Look at it, and carry it out: resume it with `create`.',
  archived: 'Change it in its Git repository. Restore it to have OpenTofu change or destroy it.',
}

const NOTHING_LEFT = 'cannot go on with removed.example: the token’s project has nothing of what was made for it: no network 1; give one of the project’s API tokens as the credential hetznerToken; if all of it was removed by hand, ask again with removedByHand as true'

const steps = (done, failed) => STEPS.map(([name, title, expectedSeconds], index) => ({
  name, title, expectedSeconds,
  state: index < done ? 'done' : index === done && failed ? 'failed' : 'pending',
  ...(index < done ? { at: now(), seconds: 3 } : {}),
  versions: index < done && name === 'init' ? { tofu: '1.12.6' } : {},
}))

const OUTPUTS = (fqdn) => ({
  console_url: `https://console.${fqdn}`, kubeconfig_command: `ssh root@192.0.2.7 cat /etc/rancher/k3s/k3s.yaml`,
  dns_records: [{ name: fqdn, type: 'A', value: '192.0.2.8' }, { name: `*.${fqdn}`, type: 'A', value: '192.0.2.8' }],
})

export function addSovereign(data, fqdn) {
  data.sovereigns.set(fqdn, {
    events: [{ event: 'job-begun', task: 'provision', at: now() }, { event: 'job-ended', outcome: 'provisioned', at: now() }], token: 'given',
    view: {
      fqdn, region: 'fsn', state: 'provisioned', task: 'provision', by: 'admin', begunAt: now(-60_000), endedAt: now(), resources: { done: 2, total: 2 },
      steps: steps(STEPS.length), planned: PLANNED, outputs: OUTPUTS(fqdn),
      config: { sovereignFqdn: fqdn, region: 'fsn', gitUrl: 'https://git.example/sovereigns', acmeEmail: `ops@${fqdn}`, adminCidrs: ['203.0.113.7/32'], sshPublicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me', workerCount: 3, k3sChannel: null },
    },
  })
}

/** Routes and the event stream; `now` is what the fixture knows at the time. */
export function sovereigns({ data, inTime }) {
  const clients = new Set()

  function tell(one, event) {
    one.events.push({ ...event, at: now() })
    for (const client of clients) if (client.one === one) write(client.response, one, one.events.length - 1)
  }
  const write = (response, one, index) => response.write(`id: ${index + 1}\ndata: ${JSON.stringify(one.events[index])}\n\n`)

  function begin(fqdn, task, username, body, view) {
    const one = data().sovereigns.get(fqdn) ?? { events: [], token: '' }
    data().sovereigns.set(fqdn, one)
    one.token = body.credentials?.hetznerToken ?? one.token
    one.view = { ...view, fqdn, state: 'running', task, by: username, begunAt: now(), endedAt: undefined, failure: undefined, next: undefined, planned: [] }
    tell(one, { event: 'job-begun', task })
    inTime(() => {
      if (one.view.state === 'cancelling') end(one, 'cancelled', { next: 'Resume it to go on, or destroy it.' })
      else if (fqdn === 'removed.example' && !body.removedByHand) end(one, 'failed', { failure: NOTHING_LEFT, next: NEXT.failed })
      else if (task === 'destroy' && fqdn === 'failing.example' && one.token !== 'better') {
        end(one, 'failed', { failure: 'token: Hetzner does not know it', next: 'Put right what is told, if anything is, and destroy it again: that goes on where it stood.' })
      } else if (task === 'destroy') end(one, 'destroyed', { steps: steps(0), outputs: {} })
      else if (task === 'archive') end(one, 'archived', { next: NEXT.archived })
      else if (task === 'restore') {
        tell(one, { event: 'restored', sovereign: fqdn, resources: 2 })
        end(one, 'provisioned', {})
      } else if (fqdn === 'failing.example' && one.token !== 'better') {
        const failure = `cannot provision ${fqdn}: preflight found one problem; nothing was created\n  token: it may only read`
        tell(one, { event: 'step-failed', step: 'preflight', message: 'the token may only read' })
        end(one, 'failed', { failure, next: NEXT.failed, steps: steps(0, true), step: 'preflight' })
      } else if (task === 'plan') {
        tell(one, { event: 'planned', changes: plannedOf(fqdn), digest: 'd1' })
        end(one, 'planned', { planned: plannedOf(fqdn), planDigest: 'd1', next: NEXT.planned, steps: steps(5) })
      } else {
        one.view = { ...one.view, resources: { done: 1, total: 2 }, steps: steps(5) }
        tell(one, { event: 'resources', done: 1, total: 2 })
        inTime(() => end(one, 'provisioned', { resources: { done: 2, total: 2 }, steps: steps(STEPS.length), outputs: OUTPUTS(fqdn) }))
      }
    })
    return [202, one.view]
  }

  function end(one, state, more) {
    one.view = { ...one.view, ...more, state, endedAt: now() }
    tell(one, { event: 'job-ended', outcome: state, failure: more.failure })
  }

  const admins = (run) => (asked) => (data().users.get(asked.username)?.sovereignAdmin ? run(asked) : [403, refuse(403, 'forbidden', 'Provision Sovereigns', 'Sovereigns are provisioned by sovereign-admins only.')])
  const known = (run) => admins((asked) => {
    const one = data().sovereigns.get(asked.parameters.fqdn)
    return one ? run(one, asked) : [404, refuse(404, 'not-found', `Find the Sovereign ${asked.parameters.fqdn}`, 'There is none.', 'Check the name.')]
  })
  const goOn = (task) => known((one, { body, parameters, username }) => begin(parameters.fqdn, task, username, body, { ...one.view, config: body.config ?? one.view.config }))
  // A plan that has not ended is planned again; one that has is carried out once that is said.
  const resume = known((one, asked) => {
    const { fqdn, state, task } = one.view
    if (state === 'planned' && !asked.body.create) return [409, refuse(409, 'unconfirmed', `Go on with ${fqdn}`, 'Nobody has said yet that this shall be done.')]
    if (state === 'planned' && fqdn === 'shrinking.example' && asked.body.allowDestroy !== fqdn) return [409, refuse(409, 'unconfirmed', `Go on with ${fqdn}`, 'Its domain was not named.')]
    return goOn(state !== 'planned' && task === 'plan' ? 'plan' : 'provision')(asked)
  })
  const keep = (task) => known((one, { parameters, username }) => begin(parameters.fqdn, task, username, {}, one.view))

  const routes = [
    ['GET', '/sovereigns', admins(() => [200, { items: [...data().sovereigns.values()].map(({ view: { steps, planned, outputs, config, failure, next, ...summary } }) => summary) }])],
    ['GET', '/sovereigns/schema', admins(() => [200, SCHEMA])],
    ['POST', '/sovereigns/render', admins(({ body }) => {
      const title = 'Render a Sovereign\'s folder'
      const wrong = body.config.adminCidrs.indexOf('1:2/64')
      if (wrong >= 0) return [422, { ...refuse(422, 'invalid', title, 'There is one problem; nothing was begun.'), faults: [{ pointer: '/config/adminCidrs', message: '"1:2/64" is not a network.' }] }]
      const files = [{ path: 'kustomization.yaml', text: 'resources: [settings.yaml]\n' }, { path: 'settings.yaml', text: `sovereign_fqdn: ${body.config.sovereignFqdn}\n` }]
      return [200, { folder: `clusters/${body.config.sovereignFqdn}`, files, without: 'It is without catalyst, whose chart is not published yet.' }]
    })],
    ['POST', '/sovereigns', admins(({ body, username }) => {
      const { sovereignFqdn: fqdn, workerServerType, region } = body.config
      if (workerServerType === 'cx99') return [422, { ...refuse(422, 'invalid', `Provision ${fqdn}`, 'There is one problem; nothing was begun.'), faults: [{ pointer: '/config/workerServerType', message: 'cx99 is not offered.' }] }]
      if (data().sovereigns.has(fqdn)) return [409, refuse(409, 'exists', `Provision ${fqdn}`, `${fqdn} was begun here already`, 'Resume it.')]
      return begin(fqdn, body.planOnly ? 'plan' : 'provision', username, body, { region, steps: steps(0), outputs: {}, config: body.config })
    })],
    ['GET', '/sovereigns/:fqdn', known((one) => [200, one.view])],
    ['POST', '/sovereigns/:fqdn/plan', goOn('plan')],
    ['POST', '/sovereigns/:fqdn/resume', resume],
    ['POST', '/sovereigns/:fqdn/archive', keep('archive')],
    ['POST', '/sovereigns/:fqdn/restore', keep('restore')],
    ['POST', '/sovereigns/:fqdn/forget', known((one) => (data().sovereigns.delete(one.view.fqdn), [204]))],
    ['POST', '/sovereigns/:fqdn/cancel', known((one) => [202, (one.view = { ...one.view, state: 'cancelling' })])],
    ['POST', '/sovereigns/:fqdn/destroy', known((one, { body, parameters, query, username }) =>
      query.get('confirm') === parameters.fqdn ? begin(parameters.fqdn, 'destroy', username, body, one.view) : [409, refuse(409, 'unconfirmed', `Destroy ${parameters.fqdn}`, 'It was not confirmed.')])],
  ]

  /** Whether a path is of events, which are then answered. */
  function answers(path, request, response, username) {
    const [, fqdn] = /^\/sovereigns\/([^/]+)\/events$/.exec(path) ?? []
    const one = fqdn && data().users.get(username)?.sovereignAdmin ? data().sovereigns.get(decodeURIComponent(fqdn)) : undefined
    if (!one) return false
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.write(': open\n\n')
    for (let index = Number(request.headers['last-event-id'] ?? 0); index < one.events.length; index++) write(response, one, index)
    const client = { one, response }
    clients.add(client)
    response.on('close', () => clients.delete(client))
    return true
  }

  const cut = () => { for (const { response } of clients) response.destroy() }
  return { routes, answers, cut }
}
