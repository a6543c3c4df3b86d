import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isAtWork, lineOf, phaseOf, took } from './provisioning'
import { valueFault, type Schema } from './schema'
import { configOf, credentialsOf, FIELDS, fieldsOf, inRegion, NEEDS, optionsOf, pointerOf, propertyOf, startValues, stepFaults, stepOf, STEPS, WITHOUT } from './sovereign'

// The schema as it is published.
const snapshot = new URL('../../../control/provisioner/tests/snapshots/config__the_schema_is_as_published.snap', import.meta.url)
const text = readFileSync(snapshot, 'utf8')
const schema = JSON.parse(text.slice(text.indexOf('\n{'))) as Schema

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me'
const PRIVATE = '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n'

function filled() {
  return {
    ...startValues(schema),
    sovereignFqdn: ' omantel.example ',
    acmeEmail: 'platform@omantel.example',
    gitUrl: 'https://git.example/sovereigns',
    region: 'fsn',
    sshPublicKey: KEY,
    adminCidrs: '203.0.113.7/32\n\n2001:db8::/48',
    hetznerToken: 'token',
    sshPrivateKey: PRIVATE,
  }
}

const faultsOf = (values: ReturnType<typeof startValues>, isChange = false) =>
  Object.assign({}, ...STEPS.map((step) => stepFaults(step.id, values, schema, isChange))) as Record<string, string>

describe('the wizard', () => {
  it('has a field for every property that must be given, and none that there is not', () => {
    const ofConfig = FIELDS.filter((field) => field.step !== 'credentials')
    const own = ofConfig.map((field) => field.name)
    expect(ofConfig.filter((field) => Object.keys(propertyOf(field, schema)).length === 0)).toEqual([])
    expect((schema.required ?? []).filter((name) => !own.includes(name))).toEqual([])
    for (const field of FIELDS.filter((one) => one.kind === 'choice')) {
      const options = optionsOf(field, propertyOf(field, schema))
      expect(options.length, field.name).toBeGreaterThan(1)
      for (const value of Object.keys(field.options ?? {})) expect(options.map(([one]) => one), field.name).toContain(value)
    }
  })

  it('sends what was given, and no default', () => {
    expect(faultsOf(filled())).toEqual({})
    expect(configOf(filled(), schema)).toEqual({
      sovereignFqdn: 'omantel.example',
      acmeEmail: 'platform@omantel.example',
      gitUrl: 'https://git.example/sovereigns',
      region: 'fsn',
      sshPublicKey: KEY,
      adminCidrs: ['203.0.113.7/32', '2001:db8::/48'],
    })
    expect(credentialsOf(filled())).toEqual({ hetznerToken: 'token', sshPrivateKey: PRIVATE.trim() })
    const other = { ...filled(), controlPlaneCount: '1', workerCount: '0' }
    expect(configOf(other, schema)).toMatchObject({ controlPlaneCount: 1, workerCount: 0 })
  })

  it('plans with server types of the region, unless others were chosen', () => {
    const there = inRegion(filled(), schema, 'ash')
    expect([there.controlPlaneServerType, there.workerServerType]).toEqual(['cpx31', 'cpx41'])
    // Not sent: they are the defaults there.
    expect(configOf(there, schema)).toEqual({ ...configOf(filled(), schema), region: 'ash' })
    const chosen = inRegion({ ...filled(), workerServerType: 'ccx33' }, schema, 'hil')
    expect([chosen.controlPlaneServerType, chosen.workerServerType]).toEqual(['cpx31', 'ccx33'])
    expect(inRegion(there, schema, 'fsn')).toEqual(filled())
    // A type of elsewhere is sent, though it is the default in other regions.
    expect(configOf({ ...there, workerServerType: 'cx43' }, schema).workerServerType).toBe('cx43')
    expect(startValues(schema, { region: 'ash' }).workerServerType).toBe('cpx41')
  })

  it('sends the limits that are given, each by its name', () => {
    const values = { ...filled(), 'limits.servers': '10', 'limits.volumes': '30' }
    expect(configOf(values, schema).limits).toEqual({ servers: 10, volumes: 30 })
    const known = { limits: { servers: 10, networks: 4, volumes: null } }
    expect(startValues(schema, known)['limits.servers']).toBe('10')
    expect(configOf({ ...values, 'limits.servers': '', 'limits.volumes': '' }, schema, known).limits).toEqual({ networks: 4 })
    expect(faultsOf({ ...filled(), 'limits.cores': '-1' })['limits.cores']).toBeTruthy()
    expect(stepOf('/config/limits/volumes')).toBe('machines')
  })

  it('tells at once what is wrong with each network, and of a password that is too short', () => {
    const { adminCidrs } = faultsOf({ ...filled(), adminCidrs: '203.0.113.7/24\n0.0.0.0/0\n198.51.100.0/24' })
    expect(adminCidrs).toContain('Write 203.0.113.0/24, or 203.0.113.7/32')
    expect(adminCidrs).toContain('0.0.0.0/0: It is no network')
    expect(adminCidrs).not.toContain('198.51.100.0')
    const git = { ...filled(), gitCredentials: true, gitUsername: 'flux' }
    expect(faultsOf({ ...git, gitPassword: 'seven77' }).gitPassword).toContain('fewer than 8')
    expect(faultsOf({ ...git, gitPassword: 'eight888' })).toEqual({})
  })

  it('asks for what belongs to a choice, and forgets what no longer does', () => {
    const names = (values: ReturnType<typeof startValues>) => STEPS.flatMap((step) => fieldsOf(step.id, values)).map((field) => field.name)
    const values = { ...filled(), domainMode: 'pool', dnsZone: 'example', gitCredentials: true, gitUsername: 'flux', gitPassword: 'x' }
    expect(names(values)).toEqual(FIELDS.map((field) => field.name))
    expect(configOf(values, schema)).toMatchObject({ domainMode: 'pool', dnsZone: 'example', gitCredentials: true })
    const back = { ...values, domainMode: 'byo', gitCredentials: false }
    expect(names(back)).not.toContain('dnsZone')
    expect(configOf(back, schema)).toEqual(configOf(filled(), schema))
    expect(credentialsOf(back)).not.toHaveProperty('gitPassword')
    expect(Object.keys(faultsOf({ ...values, dnsZone: '', gitPassword: '' }))).toEqual(['dnsZone', 'gitPassword'])
  })

  it.each([
    ['sovereignFqdn', 'Omantel.example'],
    ['sovereignFqdn', ''],
    ['acmeEmail', 'me@localhost'],
    ['gitUrl', 'https://me:secret@git.example/x'],
    ['gitBranch', '-x'],
    ['region', ''],
    ['workerCount', '51'],
    ['workerCount', 'many'],
    ['workerServerType', 'm5.large'],
    ['sshPublicKey', 'hello'],
    ['sshPublicKey', PRIVATE],
    ['adminCidrs', ' \n'],
    ['hetznerToken', 'two words'],
    ['sshPrivateKey', KEY],
  ])('tells that %s cannot be %j', (name, value) => {
    const faults = faultsOf({ ...filled(), [name]: value })
    expect(Object.keys(faults)).toEqual([name])
  })

  it.each([
    ['sovereignFqdn', 'Omantel.example', 'a domain in lower case'],
    ['sshPublicKey', PRIVATE, 'This is the private key'],
    ['sshPrivateKey', KEY, 'This is the public key'],
    ['sshPrivateKey', 'hello', 'This is no private key'],
    ['gitUrl', 'git@git.example:x', 'begins with https://'],
    ['workerServerType', 'm5.large', 'such as cx33'],
  ])('says of %s what would be right instead of %j', (name, value, words) => {
    expect(faultsOf({ ...filled(), [name]: value })[name]).toContain(words)
  })

  it('has words for every form that the schema asks for', () => {
    for (const field of FIELDS) if (schema.properties[field.name]?.pattern) expect(field.form, field.name).toBeTruthy()
  })

  it('says what is needed, and what a Sovereign is without as long as it is', () => {
    // Once Catalyst is no longer held back, WITHOUT goes.
    const held = readFileSync(new URL('../../../../clusters/_template/22-catalyst.yaml', import.meta.url), 'utf8')
    expect(held).toMatch(/^ {2}suspend: true$/m)
    expect(WITHOUT).toContain('no console')
    for (const words of ['API token', 'domain', 'Git repository', 'SSH key pair']) expect(NEEDS.join('\n')).toContain(words)
  })

  it('keeps what it does not show of a description that is changed, and needs no credential again', () => {
    const known = { ...configOf(filled(), schema), k3sChannel: 'stable', dnsZone: null, workerCount: 3, limits: { servers: 10 } }
    const values = startValues(schema, known)
    expect(values.adminCidrs).toBe('203.0.113.7/32\n2001:db8::/48')
    expect(values.hetznerToken).toBe('')
    expect(faultsOf(values, true)).toEqual({})
    expect(Object.keys(faultsOf(values))).toEqual(['hetznerToken', 'sshPrivateKey'])
    const config = configOf({ ...values, workerCount: '4' }, schema, known)
    expect(config).toEqual({ ...configOf(filled(), schema), k3sChannel: 'stable', workerCount: 4, limits: { servers: 10 } })
    // Back at its default, a property that was given says so.
    expect(configOf(values, schema, { ...known, workerCount: 5 }).workerCount).toBe(3)
  })

  it('finds the step of a fault', () => {
    for (const field of FIELDS) expect(stepOf(pointerOf(field))).toBe(field.step)
    expect(stepOf('/config/adminCidrs/0')).toBe('access')
    expect(stepOf('/config/extraRegions')).toBeUndefined()
  })
})

describe('values', () => {
  it.each([
    [{ minimum: 1, maximum: 5 }, 0, 'At least 1.'],
    [{ minimum: 1, maximum: 5 }, 6, 'At most 5.'],
    [{ minimum: 1, maximum: 5 }, 2.5, 'A whole number is needed.'],
    [{ minimum: 1, maximum: 5 }, 5, undefined],
    [{ enum: [1, 3] }, 2, 'One of 1, 3 is needed.'],
    [{ enum: [1, 3] }, 3, undefined],
    [{ maxLength: 3 }, 'four', 'At most 3 characters.'],
    [{ pattern: '^a+$' }, undefined, undefined],
    [{ pattern: '^a+$' }, 'b', 'This does not have the form that is needed.'],
    [{ items: { pattern: '^a+$' } }, ['a', 'b', 'c'], 'b: This does not have the form that is needed. c: This does not have the form that is needed.'],
    [{ items: { pattern: '^a+$' } }, ['a'], undefined],
    [{ minItems: 1 }, [], 'This is needed.'],
  ])('by %j, %j is answered %j', (property, value, expected) => {
    expect(valueFault(property, value)).toBe(expected)
  })
})

describe('events', () => {
  it.each([
    [{ event: 'job-begun', task: 'provision' }, 'Begins to provision.'],
    [{ event: 'step-begun', step: 'apply', number: 6, of: 11, expectedSeconds: 180 }, '[6/11] apply, usually 3 min 00 s'],
    [{ event: 'step-done', step: 'apply', seconds: 71 }, '    done in 1 min 11 s'],
    [{ event: 'step-failed', step: 'init', message: 'no network\n  at length' }, '    failed: no network'],
    [{ event: 'found', subject: 'ssh', message: 'absent', problem: true }, '    problem: ssh: absent'],
    [{ event: 'resources', done: 1, total: 31 }, '    1/31 resources'],
    [{ event: 'waiting', step: 'wait-ssh', what: 'port 22', seconds: 3700, limitSeconds: 7200 }, '    1 h 01 min of at most 2 h 00 min: port 22'],
    [{ event: 'planned', changes: [{}, {}] }, '    2 resources would change'],
    [{ event: 'tofu', type: 'resource', address: 'a.b', action: 'create', state: 'done', seconds: 3 }, '    a.b: create done, 3 s'],
    [{ event: 'tofu', type: 'resource', address: 'a.b', action: 'create', state: 'begun', seconds: 0 }, undefined],
    [{ event: 'tofu', type: 'diagnostic', error: true, summary: 'limit' }, '    error: limit'],
    [{ event: 'job-ended', outcome: 'failed', failure: 'no' }, 'Ended: failed.'],
    [{ event: 'job-ended', outcome: 'provisioned' }, 'Ended: provisioned.'],
    [{ event: 'of a later version' }, undefined],
  ])('%j', (event, expected) => {
    expect(lineOf(event)).toBe(expected)
  })

  it('calls a step as the table does', () => {
    const begun = { event: 'step-begun', step: 'apply', number: 6, of: 14, expectedSeconds: 180 }
    expect(lineOf(begun, { apply: 'create the resources' })).toBe('[6/14] create the resources, usually 3 min 00 s')
  })

  it('has a phase for every state', () => {
    expect(phaseOf({ state: 'running', task: 'destroy' })).toBe('Destroying')
    expect(phaseOf({ state: 'interrupted', task: 'provision' })).toBe('Interrupted')
    expect(isAtWork({ state: 'cancelling' })).toBe(true)
    expect(isAtWork({ state: 'failed' })).toBe(false)
    expect(took(59)).toBe('59 s')
  })
})
